import { RESOURCE_TYPES } from "../contracts/wire.ts";
import { notFound, parentNotFound, type ApiError } from "./http/api-error.ts";
import { isName, isResourceGroup, isSubscription } from "./http/names.ts";
import { type Row } from "./store/document-table.ts";
import { projectKey, type ProjectPath, type ProjectRow } from "./store/projects.ts";
import { serviceKey, type ServicePath, type ServiceRow } from "./store/services.ts";
import { type Store } from "./store/store.ts";
import { taskKey, type TaskPath, type TaskRow } from "./store/tasks.ts";

/** Names that no resource can have need no look into the tables. */
const couldExist = (path: ServicePath & Partial<TaskPath>): boolean =>
  isSubscription(path.subscriptionId) &&
  isResourceGroup(path.resourceGroup) &&
  isName("service", path.service) &&
  (path.project === undefined || isName("project", path.project)) &&
  (path.task === undefined || isName("task", path.task));

export const findService = async (store: Store, path: ServicePath): Promise<Row<ServiceRow> | undefined> =>
  couldExist({ subscriptionId: path.subscriptionId, resourceGroup: path.resourceGroup, service: path.service })
    ? store.services.get(serviceKey(path))
    : undefined;

export const findProject = async (store: Store, path: ProjectPath): Promise<Row<ProjectRow> | undefined> =>
  couldExist({ ...path, task: undefined }) ? store.projects.get(projectKey(path)) : undefined;

export const findTask = async (store: Store, path: TaskPath): Promise<Row<TaskRow> | undefined> =>
  couldExist(path) ? store.tasks.get(taskKey(path)) : undefined;

const serviceNotFound = (path: ServicePath): ApiError => notFound(RESOURCE_TYPES.service, [path.service], path.resourceGroup);
const projectNotFound = (path: ProjectPath): ApiError => notFound(RESOURCE_TYPES.project, [path.service, path.project], path.resourceGroup);
const taskNotFound = (path: TaskPath): ApiError =>
  notFound(RESOURCE_TYPES.task, [path.service, path.project, path.task], path.resourceGroup);

/** @throws ApiError (404) */
export async function requireService(store: Store, path: ServicePath): Promise<Row<ServiceRow>> {
  const row = await findService(store, path);
  if (row === undefined) throw serviceNotFound(path);
  return row;
}

/** @throws ApiError (404) that names the project, or the service when that is missing too */
export async function requireProject(store: Store, path: ProjectPath): Promise<Row<ProjectRow>> {
  const row = await findProject(store, path);
  if (row !== undefined) return row;
  await requireParentService(store, path);
  throw projectNotFound(path);
}

/** @throws ApiError (404) */
export async function requireTask(store: Store, path: TaskPath): Promise<Row<TaskRow>> {
  const row = await findTask(store, path);
  if (row === undefined) throw taskNotFound(path);
  return row;
}

/** For what is made or listed below a service. @throws ApiError (404) */
export async function requireParentService(store: Store, path: ServicePath): Promise<Row<ServiceRow>> {
  const row = await findService(store, path);
  if (row === undefined) throw parentNotFound(RESOURCE_TYPES.service, [path.service], path.resourceGroup);
  return row;
}

/** For what is made or listed below a project. @throws ApiError (404) */
export async function requireParentProject(store: Store, path: ProjectPath): Promise<Row<ProjectRow>> {
  const row = await findProject(store, path);
  if (row !== undefined) return row;
  await requireParentService(store, path);
  throw parentNotFound(RESOURCE_TYPES.project, [path.service, path.project], path.resourceGroup);
}
