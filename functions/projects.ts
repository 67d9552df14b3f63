import { ProjectPatch, ProjectRequest, RESOURCE_TYPES, type Project } from "../contracts/wire.ts";
import { projectId, projectPath, routes } from "./addresses.ts";
import { connectionView } from "./connection-view.ts";
import { type ControlPlane } from "./control-plane.ts";
import { deleteProject } from "./deletion.ts";
import { findProject, requireParentService, requireProject } from "./find.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { checkPreconditions, newRevision } from "./http/etag.ts";
import { requireName } from "./http/names.ts";
import { answerPage } from "./http/paging.ts";
import { flag } from "./http/query.ts";
import { parsed } from "./http/validation.ts";
import { projectKey, projectsOfService, type ProjectRow } from "./store/projects.ts";
import { retryingRaces } from "./store/races.ts";
import { armTime } from "./times.ts";

/** Projects: a pair of platforms, and the folder of the tasks. */
export const projectEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "projects-list", method: "GET", route: routes.projects, handle: (call) => list(plane, call) },
  { name: "projects-put", method: "PUT", route: routes.project, handle: (call) => retryingRaces(() => put(plane, call)) },
  { name: "projects-get", method: "GET", route: routes.project, handle: (call) => get(plane, call) },
  { name: "projects-patch", method: "PATCH", route: routes.project, handle: (call) => retryingRaces(() => patch(plane, call)) },
  { name: "projects-delete", method: "DELETE", route: routes.project, handle: (call) => retryingRaces(() => remove(plane, call)) },
];

async function list({ store }: ControlPlane, call: Call): Promise<Answer> {
  const path = projectPath(call.params);
  await requireParentService(store, path);
  return answerPage(call, (sizeMax, from) => store.projects.page(projectsOfService(path), sizeMax, from), view);
}

async function get({ store }: ControlPlane, call: Call): Promise<Answer> {
  const { value } = await requireProject(store, projectPath(call.params));
  return { status: 200, body: view(value), etag: value.revision };
}

async function put({ store, now }: ControlPlane, call: Call): Promise<Answer> {
  const request = parsed(ProjectRequest, await call.body());
  const path = projectPath(call.params);
  requireName("project", path.project);
  const service = await requireParentService(store, path);
  const known = await findProject(store, path);
  checkPreconditions(call.preconditions, known?.value.revision);
  const value: ProjectRow = {
    path: known?.value.path ?? { ...service.value.path, project: path.project },
    createdOn: known?.value.createdOn ?? armTime(now()),
    revision: newRevision(),
    location: request.location,
    tags: request.tags ?? {},
    ...propertiesOf(request.properties),
    sourcePlatform: request.properties.sourcePlatform,
    targetPlatform: request.properties.targetPlatform,
  };
  await (known ? store.projects.replace(known, value) : store.projects.create(projectKey(path), value));
  return { status: known ? 200 : 201, body: view(value), etag: value.revision };
}

async function patch({ store }: ControlPlane, call: Call): Promise<Answer> {
  const request = parsed(ProjectPatch, await call.body());
  const known = await requireProject(store, projectPath(call.params));
  checkPreconditions(call.preconditions, known.value.revision);
  const properties = request.properties ?? {};
  const value: ProjectRow = {
    ...known.value,
    revision: newRevision(),
    location: request.location ?? known.value.location,
    tags: request.tags ?? known.value.tags,
    sourcePlatform: properties.sourcePlatform ?? known.value.sourcePlatform,
    targetPlatform: properties.targetPlatform ?? known.value.targetPlatform,
    ...propertiesOf(properties),
  };
  await store.projects.replace(known, value);
  return { status: 200, body: view(value), etag: value.revision };
}

async function remove(plane: ControlPlane, call: Call): Promise<Answer> {
  const row = await findProject(plane.store, projectPath(call.params));
  checkPreconditions(call.preconditions, row?.value.revision);
  if (row === undefined) return { status: 204 };
  await deleteProject(plane, row, flag(call, "deleteRunningTasks"), call.log);
  return { status: 200 };
}

type Properties = Partial<ProjectRequest["properties"]>;

/** The properties that a request may leave out; passwords end here, a project keeps none. */
const propertiesOf = ({
  databasesInfo,
  sourceConnectionInfo,
  targetConnectionInfo,
}: Properties): Pick<ProjectRow, "databasesInfo" | "sourceConnectionInfo" | "targetConnectionInfo"> => ({
  ...(databasesInfo ? { databasesInfo } : {}),
  ...(sourceConnectionInfo ? { sourceConnectionInfo: connectionView(sourceConnectionInfo) } : {}),
  ...(targetConnectionInfo ? { targetConnectionInfo: connectionView(targetConnectionInfo) } : {}),
});

function view({ path, location, tags, createdOn, ...row }: ProjectRow): Project {
  return {
    id: projectId(path),
    name: path.project,
    type: RESOURCE_TYPES.project,
    location,
    ...(Object.keys(tags).length > 0 ? { tags } : {}),
    properties: {
      sourcePlatform: row.sourcePlatform,
      targetPlatform: row.targetPlatform,
      creationTime: createdOn,
      provisioningState: "Succeeded",
      ...(row.databasesInfo ? { databasesInfo: row.databasesInfo } : {}),
      ...(row.sourceConnectionInfo ? { sourceConnectionInfo: row.sourceConnectionInfo } : {}),
      ...(row.targetConnectionInfo ? { targetConnectionInfo: row.targetConnectionInfo } : {}),
    },
  };
}
