import { randomUUID } from "node:crypto";
import { type OperationStatus } from "../contracts/wire.ts";
import { routes } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { ApiError } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { operationKey, servicesOfSubscription, type ServiceRow } from "./store/services.ts";

/** Asynchronous operations: ours are done when they are answered, and clients that poll are told so. */
export const operationEndpoints = (plane: ControlPlane): Endpoint[] => [
  {
    name: "operation-statuses",
    method: "GET",
    route: `${routes.location}/operationStatuses/{operationName}`,
    handle: (call) => status(plane, call),
  },
  {
    name: "operation-results",
    method: "GET",
    route: `${routes.location}/operationResults/{operationName}`,
    handle: (call) => result(plane, call),
  },
  { name: "operations-list", method: "GET", route: routes.operations, handle: () => Promise.resolve(listOperations()) },
  { name: "usages-list", method: "GET", route: `${routes.location}/usages`, handle: (call) => usages(plane, call) },
];

/** Writes down an operation that has ended and answers the headers that lead a client to it. Absolute, as clients need them. */
export async function finishedOperation(
  { store, now }: ControlPlane,
  call: Call,
  { path: { subscriptionId }, location }: Pick<ServiceRow, "path" | "location">,
): Promise<Record<string, string>> {
  const name = randomUUID();
  await store.operations.create(operationKey(subscriptionId, name), { name, subscriptionId, location, endedOn: now().toISOString() });
  const at = `${call.base}/subscriptions/${subscriptionId}/providers/Microsoft.DataMigration/locations/${encodeURIComponent(location)}`;
  const version = `?api-version=${call.apiVersion}`;
  return {
    "azure-asyncoperation": `${at}/operationStatuses/${name}${version}`,
    location: `${at}/operationResults/${name}${version}`,
    "retry-after": "1",
  };
}

async function status(plane: ControlPlane, call: Call): Promise<Answer> {
  const { name, subscriptionId, location, endedOn } = await requireOperation(plane, call);
  const id = `/subscriptions/${subscriptionId}/providers/Microsoft.DataMigration/locations/${location}/operationStatuses/${name}`;
  const body: OperationStatus & { endTime: string } = { id, name, status: "Succeeded", endTime: endedOn };
  return { status: 200, body };
}

async function result(plane: ControlPlane, call: Call): Promise<Answer> {
  await requireOperation(plane, call);
  return { status: 200 };
}

async function requireOperation({ store }: ControlPlane, { params }: Call) {
  const name = params["operationName"] ?? "";
  const known = /^[0-9a-f-]{36}$/i.test(name) ? await store.operations.get(operationKey(params["subscriptionId"] ?? "", name)) : undefined;
  if (known === undefined) throw new ApiError("ResourceNotFound", { detail: "There is no such operation." });
  return known.value;
}

const operations: readonly (readonly [operation: string, resource: string, text: string])[] = [
  ["services/read", "Services", "Read services"],
  ["services/write", "Services", "Create or update services"],
  ["services/delete", "Services", "Delete services"],
  ["services/start/action", "Services", "Start services"],
  ["services/stop/action", "Services", "Stop services"],
  ["services/checkStatus/action", "Services", "Check the status of services"],
  ["services/projects/read", "Projects", "Read projects"],
  ["services/projects/write", "Projects", "Create or update projects"],
  ["services/projects/delete", "Projects", "Delete projects"],
  ["services/projects/tasks/read", "Tasks", "Read tasks"],
  ["services/projects/tasks/write", "Tasks", "Create and run tasks"],
  ["services/projects/tasks/delete", "Tasks", "Delete tasks"],
  ["services/projects/tasks/cancel/action", "Tasks", "Cancel tasks"],
  ["services/projects/tasks/command/action", "Tasks", "Cut databases over, reload tables, restart migrations"],
];

function listOperations(): Answer {
  const value = operations.map(([name, resource, operation]) => ({
    name: `Microsoft.DataMigration/${name}`,
    display: { provider: "Microsoft DataMigration", resource, operation, description: operation },
  }));
  return { status: 200, body: { value } };
}

/** More services than this in one location only mean that somebody forgot to delete some. */
const SERVICES_LIMIT = 1000;

async function usages({ store }: ControlPlane, { params }: Call): Promise<Answer> {
  const rows = await store.services.list(servicesOfSubscription(params["subscriptionId"] ?? ""));
  const currentValue = rows.filter(({ value }) => sameLocation(value.location, params["location"] ?? "")).length;
  const name = { value: "services", localizedValue: "Services" };
  const id = `/subscriptions/${params["subscriptionId"] ?? ""}/providers/Microsoft.DataMigration/locations/${params["location"] ?? ""}/usages/services`;
  return { status: 200, body: { value: [{ currentValue, id, limit: SERVICES_LIMIT, name, unit: "Count" }] } };
}

/** "West Europe" and "westeurope" are one place. */
const sameLocation = (a: string, b: string): boolean => a.replaceAll(" ", "").toLowerCase() === b.replaceAll(" ", "").toLowerCase();
