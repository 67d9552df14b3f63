import { projectPath, routes, servicePath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { requireParentProject, requireParentService } from "./find.ts";
import { ApiError } from "./http/api-error.ts";
import { type Call, type Endpoint, type Method } from "./http/endpoint.ts";

/**
 * Service tasks and files belong to Oracle, SQL Server and MySQL migrations. Clients may list them and find none; there
 * is none to read, and none can be made.
 */
export const unusedResourceEndpoints = ({ store }: ControlPlane): Endpoint[] => [
  ...emptyCollection("service-tasks", `${routes.service}/serviceTasks`, (call) => requireParentService(store, servicePath(call.params)), [
    ["POST", "/{name}/cancel"],
  ]),
  ...emptyCollection("files", `${routes.project}/files`, (call) => requireParentProject(store, projectPath(call.params)), [
    ["POST", "/{name}/read"],
    ["POST", "/{name}/readwrite"],
  ]),
];

const ITEM_METHODS: readonly Method[] = ["GET", "PUT", "PATCH", "DELETE"];

function emptyCollection(
  name: string,
  route: string,
  requireParent: (call: Call) => Promise<unknown>,
  actions: readonly (readonly [Method, string])[],
): Endpoint[] {
  const none = (): Promise<never> =>
    Promise.reject(new ApiError("ResourceNotFound", { detail: `PostgreSQL migrations have no ${name}.`, remedy: "Nothing needs one." }));
  const item = [...ITEM_METHODS.map((method): readonly [Method, string] => [method, "/{name}"]), ...actions];
  return [
    {
      name: `${name}-list`,
      method: "GET",
      route,
      handle: async (call) => {
        await requireParent(call);
        return { status: 200, body: { value: [] } };
      },
    },
    ...item.map(([method, suffix]): Endpoint => ({
      name: `${name}-${suffix === "/{name}" ? method.toLowerCase() : (suffix.split("/").at(-1) ?? "")}`,
      method,
      route: route + suffix,
      handle: method === "DELETE" ? () => Promise.resolve({ status: 204 }) : none,
    })),
  ];
}
