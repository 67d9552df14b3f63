import { RESOURCE_TYPES, ServicePatch, ServiceRequest, type Service } from "../contracts/wire.ts";
import { routes, serviceId, servicePath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { deleteService, runningTasks } from "./deletion.ts";
import { dispatchService } from "./dispatch.ts";
import { announceService } from "./events/announce.ts";
import { findService, requireService } from "./find.ts";
import { ApiError, invalid } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { checkPreconditions, newRevision } from "./http/etag.ts";
import { isResourceGroup, isSubscription, requireName } from "./http/names.ts";
import { answerPage } from "./http/paging.ts";
import { flag } from "./http/query.ts";
import { parsed } from "./http/validation.ts";
import { finishedOperation } from "./operations.ts";
import { DEFAULT_SKU, skuOf } from "./skus.ts";
import { type Row } from "./store/document-table.ts";
import { retryingRaces } from "./store/races.ts";
import { serviceKey, servicesOfGroup, servicesOfSubscription, type ServicePath, type ServiceRow } from "./store/services.ts";

/** Services: the queue of one group of workers, and how many migrations these may run at once. */
export const serviceEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "services-list-by-group", method: "GET", route: routes.services, handle: (call) => listByGroup(plane, call) },
  { name: "services-list", method: "GET", route: routes.servicesOfSubscription, handle: (call) => listBySubscription(plane, call) },
  { name: "services-put", method: "PUT", route: routes.service, handle: (call) => retryingRaces(() => put(plane, call)) },
  { name: "services-get", method: "GET", route: routes.service, handle: (call) => get(plane, call) },
  { name: "services-patch", method: "PATCH", route: routes.service, handle: (call) => retryingRaces(() => patch(plane, call)) },
  { name: "services-delete", method: "DELETE", route: routes.service, handle: (call) => retryingRaces(() => remove(plane, call)) },
];

const listByGroup = ({ store }: ControlPlane, call: Call): Promise<Answer> => {
  const { subscriptionId, resourceGroup } = requireGroup(servicePath(call.params));
  return answerPage(call, (sizeMax, from) => store.services.page(servicesOfGroup(subscriptionId, resourceGroup), sizeMax, from), view);
};

const listBySubscription = ({ store }: ControlPlane, call: Call): Promise<Answer> => {
  const { subscriptionId } = servicePath(call.params);
  if (!isSubscription(subscriptionId)) throw invalid("subscriptionId", "letters, digits and hyphens, as in a GUID");
  return answerPage(call, (sizeMax, from) => store.services.page(servicesOfSubscription(subscriptionId), sizeMax, from), view);
};

async function get({ store }: ControlPlane, call: Call): Promise<Answer> {
  const { value } = await requireService(store, servicePath(call.params));
  return { status: 200, body: view(value), etag: value.revision };
}

async function put(plane: ControlPlane, call: Call): Promise<Answer> {
  const request = parsed(ServiceRequest, await call.body());
  const path = requireGroup(servicePath(call.params));
  requireName("service", path.service);
  const known = await findService(plane.store, path);
  checkPreconditions(call.preconditions, known?.value.revision);
  return write(plane, call, known, {
    path: known?.value.path ?? path,
    revision: newRevision(),
    location: request.location,
    tags: request.tags ?? {},
    kind: "Cloud",
    sku: request.sku?.name ?? known?.value.sku ?? DEFAULT_SKU,
    state: known?.value.state ?? "Succeeded",
    stateSince: known?.value.stateSince ?? plane.now().toISOString(),
    announced: known?.value.announced ?? null,
    properties: given(request.properties),
  });
}

async function patch(plane: ControlPlane, call: Call): Promise<Answer> {
  const request = parsed(ServicePatch, await call.body());
  const known = await requireService(plane.store, servicePath(call.params));
  checkPreconditions(call.preconditions, known.value.revision);
  return write(plane, call, known, {
    ...known.value,
    revision: newRevision(),
    location: request.location ?? known.value.location,
    tags: request.tags ?? known.value.tags,
    sku: request.sku?.name ?? known.value.sku,
    properties: { ...known.value.properties, ...given(request.properties) },
  });
}

async function write(plane: ControlPlane, call: Call, known: Row<ServiceRow> | undefined, value: ServiceRow): Promise<Answer> {
  if (known === undefined) await announceService(plane, await plane.store.services.create(serviceKey(value.path), value), call.log);
  else {
    if (known.value.sku !== value.sku) await refuseWhileBusy(plane, value.path);
    await plane.store.services.replace(known, value);
    await dispatchService(plane, value.path, call.log); // a larger service has room for tasks that wait
  }
  return {
    status: known ? 200 : 201,
    body: view(value),
    etag: value.revision,
    // "Stopped" is no end for the client's poller: without this header it would ask for ever.
    headers: value.state === "Succeeded" ? {} : await finishedOperation(plane, call, value),
  };
}

/** The size of a service does not change under running tasks. */
async function refuseWhileBusy(plane: ControlPlane, path: ServicePath): Promise<void> {
  const running = await runningTasks(plane, path);
  if (running.length > 0) throw new ApiError("ServiceIsBusy", { detail: "The sku can be changed when none runs." });
}

async function remove(plane: ControlPlane, call: Call): Promise<Answer> {
  const row = await findService(plane.store, servicePath(call.params));
  checkPreconditions(call.preconditions, row?.value.revision);
  if (row === undefined) return { status: 204 };
  await deleteService(plane, row, flag(call, "deleteRunningTasks"), call.log);
  return { status: 200 };
}

/** @throws ApiError (400) when no service can be there */
function requireGroup(path: ServicePath): ServicePath {
  if (!isSubscription(path.subscriptionId)) throw invalid("subscriptionId", "letters, digits and hyphens, as in a GUID");
  if (!isResourceGroup(path.resourceGroup)) throw invalid("resourceGroupName", "1 to 90 letters, digits, _ ( ) - and ., not at the end");
  return path;
}

/** The properties that were really given. */
const given = (properties: ServiceRequest["properties"]): ServiceRow["properties"] =>
  Object.fromEntries(
    Object.entries(properties ?? {}).filter((entry): entry is [string, string | boolean] => entry[1] !== null && entry[1] !== undefined),
  );

function view({ path, location, tags, kind, sku, state, properties }: ServiceRow): Service {
  const { name, tier, size, family } = skuOf(sku);
  return {
    id: serviceId(path),
    name: path.service,
    type: RESOURCE_TYPES.service,
    location,
    ...(Object.keys(tags).length > 0 ? { tags } : {}),
    kind,
    sku: { name, tier, size, family },
    properties: { provisioningState: state, ...properties },
  };
}
