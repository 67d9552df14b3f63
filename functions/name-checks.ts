import { NameCheckRequest, type NameCheck } from "../contracts/wire.ts";
import { routes, servicePath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { findProject, findTask, requireProject, requireService } from "./find.ts";
import { invalid } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { isName, nameRule, type NameKind } from "./http/names.ts";
import { parsed } from "./http/validation.ts";
import { encodeNames } from "./store/keys.ts";
import { servicesOfSubscription, type ServicePath } from "./store/services.ts";

/** Whether a name is free. The classic CLI asks for a task's name with `service%2Fprojects%2Fproject` as the service's name. */
export const nameCheckEndpoints = (plane: ControlPlane): Endpoint[] => [
  {
    name: "name-check-service",
    method: "POST",
    route: `${routes.location}/checkNameAvailability`,
    right: "Migration.Read",
    handle: (call) => checkService(plane, call),
  },
  {
    name: "name-check-child",
    method: "POST",
    route: `${routes.service}/checkNameAvailability`,
    right: "Migration.Read",
    handle: (call) => checkChild(plane, call),
  },
  {
    name: "name-check-task",
    method: "POST",
    route: `${routes.project}/checkNameAvailability`,
    right: "Migration.Read",
    handle: (call) => checkChild(plane, call),
  },
];

/** `services`, or `Microsoft.DataMigration/services`; the CLI says the former. */
const kindOf = (type: string): string => type.split("/").at(-1)?.toLowerCase() ?? "";

async function checkService({ store }: ControlPlane, call: Call): Promise<Answer> {
  const { name, type } = parsed(NameCheckRequest, await call.body());
  if (kindOf(type) !== "services") throw invalid("type", 'give "services"');
  if (!isName("service", name)) return answer(refused("service"));
  const services = await store.services.list(
    `${servicesOfSubscription(call.params["subscriptionId"] ?? "")} and RowKey eq '${encodeNames(name)}'`,
  );
  return answer(services.length > 0 ? taken : { nameAvailable: true });
}

async function checkChild({ store }: ControlPlane, call: Call): Promise<Answer> {
  const { name, type } = parsed(NameCheckRequest, await call.body());
  const { path, project } = parentOf(call);
  const kind = kindOf(type);
  if (kind === "tasks") {
    if (project === undefined)
      throw invalid("type", "a task's name is checked below its project: services/{service}%2Fprojects%2F{project}");
    await requireProject(store, { ...path, project });
    return answer(
      !isName("task", name) ? refused("task") : (await findTask(store, { ...path, project, task: name })) ? taken : { nameAvailable: true },
    );
  }
  if (kind !== "projects") throw invalid("type", 'give "projects" or "tasks"');
  await requireService(store, path);
  return answer(
    !isName("project", name)
      ? refused("project")
      : (await findProject(store, { ...path, project: name }))
        ? taken
        : { nameAvailable: true },
  );
}

/** The service, and the project when the address has one, plainly or encoded into the service's name. */
function parentOf({ params }: Call): { path: ServicePath; project: string | undefined } {
  const path = servicePath(params);
  const parts = /^([^/]+)\/projects\/([^/]+)$/i.exec(path.service.replaceAll(/%2F/gi, "/"));
  if (parts === null) return { path, project: params["projectName"] };
  return { path: { ...path, service: parts[1] ?? "" }, project: parts[2] };
}

const taken: NameCheck = { nameAvailable: false, reason: "AlreadyExists", message: "The resource name is already in use." };

const refused = (kind: NameKind): NameCheck => ({
  nameAvailable: false,
  reason: "Invalid",
  message: `The name is not allowed: ${nameRule(kind)}.`,
});

const answer = (body: NameCheck): Answer => ({ status: 200, body });
