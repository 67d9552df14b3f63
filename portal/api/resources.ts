import type { Fence } from "../../contracts/settings.ts";
import type { Page, Project, Service, ServiceStatus, TableLevelOutput, Task } from "../../contracts/wire.ts";
import { ApiError, type ApiAnswer, type ApiClient } from "./client.ts";

/** Where a service is: what the addresses of everything below it begin with. */
export interface ServiceRef {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly service: string;
}

export interface ProjectRef extends ServiceRef {
  readonly project: string;
}

export interface TaskRef extends ProjectRef {
  readonly task: string;
}

const segment = encodeURIComponent;
const provider = "providers/Microsoft.DataMigration";

const servicePath = ({ subscriptionId, resourceGroup, service }: ServiceRef): string =>
  `subscriptions/${segment(subscriptionId)}/resourceGroups/${segment(resourceGroup)}/${provider}/services/${segment(service)}`;
const projectPath = (ref: ProjectRef): string => `${servicePath(ref)}/projects/${segment(ref.project)}`;
const taskPath = (ref: TaskRef): string => `${projectPath(ref)}/tasks/${segment(ref.task)}`;

/** Reads the name of the resource group out of a resource's id. */
export const resourceGroupOf = (id: string): string => /\/resourceGroups\/([^/]+)/i.exec(id)?.[1] ?? "";

/** All pages of a list. */
async function listAll<T>(api: ApiClient, path: string, signal?: AbortSignal): Promise<T[]> {
  const values: T[] = [];
  let answer = await api.send({ method: "GET", path, ...(signal ? { signal } : {}) });
  for (;;) {
    const page = answer.body as Page<T>;
    values.push(...page.value);
    if (!page.nextLink) return values;
    answer = await api.follow(page.nextLink, signal);
  }
}

export const listServices = (api: ApiClient, subscriptionId: string, signal?: AbortSignal): Promise<Service[]> =>
  listAll(api, `subscriptions/${segment(subscriptionId)}/${provider}/services`, signal);

/** One size that a service may have. */
export interface SkuView {
  readonly name: string;
  readonly tier: string;
  readonly size: string;
}

export const listSkus = (api: ApiClient, subscriptionId: string, signal?: AbortSignal): Promise<SkuView[]> =>
  listAll(api, `subscriptions/${segment(subscriptionId)}/${provider}/skus`, signal);

export const getService = async (api: ApiClient, ref: ServiceRef, signal?: AbortSignal): Promise<Service> =>
  (await api.send({ method: "GET", path: servicePath(ref), ...(signal ? { signal } : {}) })).body as Service;

export const checkStatus = async (api: ApiClient, ref: ServiceRef, signal?: AbortSignal): Promise<ServiceStatus> =>
  (await api.send({ method: "POST", path: `${servicePath(ref)}/checkStatus`, ...(signal ? { signal } : {}) })).body as ServiceStatus;

export interface NewService {
  readonly location: string;
  readonly skuName: string;
  readonly virtualSubnetId: string;
}

export const createService = (api: ApiClient, ref: ServiceRef, { location, skuName, virtualSubnetId }: NewService): Promise<ApiAnswer> =>
  api.send({
    method: "PUT",
    path: servicePath(ref),
    body: { location, sku: { name: skuName }, properties: { ...(virtualSubnetId ? { virtualSubnetId } : {}) } },
  });

export const startService = (api: ApiClient, ref: ServiceRef): Promise<ApiAnswer> =>
  api.send({ method: "POST", path: `${servicePath(ref)}/start` });

export const stopService = (api: ApiClient, ref: ServiceRef): Promise<ApiAnswer> =>
  api.send({ method: "POST", path: `${servicePath(ref)}/stop` });

export const listProjects = (api: ApiClient, ref: ServiceRef, signal?: AbortSignal): Promise<Project[]> =>
  listAll(api, `${servicePath(ref)}/projects`, signal);

/** Creates the project where there is none; one that exists is left as it is, tags and all. */
export async function ensureProject(api: ApiClient, ref: ProjectRef, location: string): Promise<void> {
  try {
    await api.send({ method: "GET", path: projectPath(ref) });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    const properties = { sourcePlatform: "PostgreSQL", targetPlatform: "AzureDbForPostgreSQL" };
    await api.send({ method: "PUT", path: projectPath(ref), body: { location, properties } });
  }
}

export const listTasks = (api: ApiClient, ref: ProjectRef, signal?: AbortSignal): Promise<Task[]> =>
  listAll(api, `${projectPath(ref)}/tasks`, signal);

export const putTask = (api: ApiClient, ref: TaskRef, taskType: string, input: unknown): Promise<ApiAnswer> =>
  api.send({ method: "PUT", path: taskPath(ref), body: { properties: { taskType, input } } });

export const getTask = async (api: ApiClient, ref: TaskRef, expand: "output" | "command", signal?: AbortSignal): Promise<Task> =>
  (await api.send({ method: "GET", path: taskPath(ref), query: { $expand: expand }, ...(signal ? { signal } : {}) })).body as Task;

export const cancelTask = (api: ApiClient, ref: TaskRef): Promise<ApiAnswer> =>
  api.send({ method: "POST", path: `${taskPath(ref)}/cancel` });

/** Deletes a task; one that still runs is refused unless `running` says that it may be ended. */
export const deleteTask = (api: ApiClient, ref: TaskRef, running: "refuse" | "end"): Promise<ApiAnswer> =>
  api.send({ method: "DELETE", path: taskPath(ref), query: running === "end" ? { deleteRunningTasks: "true" } : {} });

/** Asks for the cutover of one database, by its name on the source, with or without a fence. */
export const cutOver = (api: ApiClient, ref: TaskRef, databaseName: string, fence: Fence): Promise<ApiAnswer> =>
  api.send({
    method: "POST",
    path: `${taskPath(ref)}/command`,
    body: { commandType: "Migrate.Sync.Complete.Database", input: { databaseName, fence } },
  });

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Asks for a table to be loaded anew while the others are followed. */
export const reloadTable = (
  api: ApiClient,
  ref: TaskRef,
  { databaseName, schema, name }: Pick<TableLevelOutput, "databaseName" | "schema" | "name">,
): Promise<ApiAnswer> =>
  api.send({
    method: "POST",
    path: `${taskPath(ref)}/command`,
    body: { commandType: "Migrate.Sync.Reload.Table", input: { databaseName, tableNames: [`${quoted(schema)}.${quoted(name)}`] } },
  });

/** Begins a migration that failed or was cancelled anew; empty passwords are none. */
export const restartTask = (
  api: ApiClient,
  ref: TaskRef,
  { source, target }: { readonly source: string; readonly target: string },
): Promise<ApiAnswer> =>
  api.send({
    method: "POST",
    path: `${taskPath(ref)}/command`,
    body: {
      commandType: "Migrate.Sync.Restart.Task",
      input: { ...(source === "" ? {} : { sourcePassword: source }), ...(target === "" ? {} : { targetPassword: target }) },
    },
  });
