import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo } from "node:net";
import { isTaskOver } from "../../../contracts/lifecycle.ts";
import { SERVICE_SKUS, type Project, type Service, type ServiceStatus, type Task, type TaskInputView } from "../../../contracts/wire.ts";
import { portalHandler } from "../../../functions/portal.ts";
import { type PageSettings } from "../../../functions/portal/page-settings.ts";
import { iso, sourceFindings, userTables } from "./outputs.ts";
import { scenarios, type Moment, type ScenarioName } from "./scenarios.ts";

/**
 * Serves the built page, and beside it answers in the REST API's shapes from a script: for developing the page, for
 * pictures of states that are hard to reach, and for tests that need a certain state. What the API really does is
 * tested with the API.
 */
export interface ScriptedService {
  /** Ends in `/portal/`. */
  readonly url: string;
  /** Every request for data from now on fails like a server that is gone. */
  setGone(gone: boolean): void;
  /** The bodies of the tasks that were put, by name. */
  readonly put: ReadonlyMap<string, { taskType: string; input: Record<string, unknown> }>;
  readonly requests: readonly string[];
  close(): Promise<void>;
}

export interface ScriptedOptions {
  readonly folder: string;
  /** Stands before everything, as behind a gateway: "/some/where". */
  readonly prefix?: string;
  /** The subscription has no services yet. */
  readonly empty?: boolean;
  /** Problems that the connection check of the source finds. */
  readonly sourceHasProblems?: boolean;
  readonly settings?: Partial<PageSettings>;
}

const subscriptionId = "11111111-2222-3333-4444-555555555555";
const groupPath = `/subscriptions/${subscriptionId}/resourceGroups/rg-lists/providers/Microsoft.DataMigration/services`;

interface ScriptedTask {
  readonly name: string;
  readonly project: string;
  readonly taskType: string;
  readonly input: TaskInputView;
  readonly moment: () => Moment;
  readonly createdOn: string;
}

interface World {
  readonly options: ScriptedOptions;
  readonly services: Map<string, { service: Service; stopped: boolean }>;
  readonly projects: Map<string, Project>;
  readonly tasks: Map<string, ScriptedTask>;
  readonly canceled: Set<string>;
  readonly put: Map<string, { taskType: string; input: Record<string, unknown> }>;
}

export async function startScriptedService(options: ScriptedOptions): Promise<ScriptedService> {
  const prefix = options.prefix ?? "";
  const settings: PageSettings = {
    authMode: "none",
    subscriptionId,
    resourceGroup: "rg-lists",
    location: "westeurope",
    ...options.settings,
  };
  const page = portalHandler(settings, options.folder);
  const world = newWorld(options);
  const requests: string[] = [];
  let gone = false;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    requests.push(`${request.method} ${url.pathname}${url.search}`);
    const path = url.pathname.startsWith(prefix) ? url.pathname.slice(prefix.length) : undefined;
    if (path === undefined) return end(response, 404, {});
    if (path === "/portal" || path.startsWith("/portal/")) return servePage(page, request, url, response);
    if (gone) return void request.socket.destroy();
    const { status, body } = route(world, request.method ?? "GET", path, url, await bodyOf(request));
    end(response, status, body);
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}${prefix}/portal/`,
    setGone: (value) => (gone = value),
    put: world.put,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function servePage(
  page: ReturnType<typeof portalHandler>,
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
): Promise<void> {
  const headers = new Headers({ "accept-encoding": request.headers["accept-encoding"]?.toString() ?? "" });
  const answer = await page({ url: url.href, headers });
  const isJson = answer.jsonBody !== undefined;
  response.writeHead(answer.status ?? 200, {
    ...(answer.headers as Record<string, string>),
    ...(isJson ? { "content-type": "application/json" } : {}),
  });
  response.end(isJson ? JSON.stringify(answer.jsonBody) : answer.body);
}

function newWorld(options: ScriptedOptions): World {
  const world: World = { options, services: new Map(), projects: new Map(), tasks: new Map(), canceled: new Set(), put: new Map() };
  if (options.empty) return world;
  addService(world, "dms-lists", "rg-lists", "westeurope", "Premium_4vCores");
  addService(world, "dms-archive", "rg-archive", "northeurope", "Standard_2vCores").stopped = true;
  addProject(world, "pg-online");
  addProject(world, "pg-archive");
  const beganMs = Date.now();
  for (const name of Object.keys(scenarios) as ScenarioName[]) {
    if (name === "large") continue; // asked for by its address: in the list it would only slow everything down
    addTask(world, scenarioTask(name, beganMs));
  }
  addTask(world, scenarioTask("large", beganMs));
  return world;
}

const scenarioTask = (name: ScenarioName, beganMs: number): ScriptedTask => ({
  name,
  project: "pg-online",
  taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
  input: {
    selectedDatabases: [
      {
        name: "listdb",
        targetDatabaseName: "listdb",
        migrationSetting: name === "fenced" ? { fence: "readOnly" } : {},
        sourceSetting: {},
        targetSetting: {},
      },
    ],
  },
  moment: () => scenarios[name](Date.now() - beganMs),
  createdOn: iso(beganMs - 900_000 - Object.keys(scenarios).indexOf(name) * 1000),
});

function addService(world: World, name: string, group: string, location: string, skuName: string) {
  const sku = SERVICE_SKUS.find((one) => one.name === skuName) ?? SERVICE_SKUS[3];
  const service: Service = {
    id: `${groupPath.replace("rg-lists", group)}/${name}`,
    name,
    type: "Microsoft.DataMigration/services",
    location,
    kind: "Cloud",
    sku: { name: sku.name, tier: sku.tier, size: sku.size, family: sku.family },
    properties: { provisioningState: "Succeeded" },
  };
  const entry = { service, stopped: false };
  world.services.set(name, entry);
  return entry;
}

function addProject(world: World, name: string): Project {
  const project: Project = {
    id: `${groupPath}/dms-lists/projects/${name}`,
    name,
    type: "Microsoft.DataMigration/services/projects",
    location: "westeurope",
    properties: {
      sourcePlatform: "PostgreSQL",
      targetPlatform: "AzureDbForPostgreSQL",
      creationTime: iso(Date.now()),
      provisioningState: "Succeeded",
    },
  };
  world.projects.set(name, project);
  return project;
}

const addTask = (world: World, task: ScriptedTask): void => void world.tasks.set(task.name, task);

interface ScriptedAnswer {
  readonly status: number;
  readonly body?: unknown;
}

const notFound: ScriptedAnswer = { status: 404, body: { error: { code: "ResourceNotFound", message: "The resource does not exist." } } };

function route(world: World, method: string, path: string, url: URL, body: unknown): ScriptedAnswer {
  const segments = path.split("/").filter(Boolean).map(decodeURIComponent);
  if (segments.at(-1) === "skus") return { status: 200, body: { value: SERVICE_SKUS } };
  const serviceName = segments[7];
  if (segments[2] === "providers") return { status: 200, body: { value: [...world.services.values()].map(({ service }) => service) } };
  if (serviceName === undefined) return notFound;
  const rest = segments.slice(8);
  const service = world.services.get(serviceName);
  if (rest.length === 0 && method === "PUT") {
    const { location, sku } = body as { location: string; sku: { name: string } };
    return { status: 201, body: addService(world, serviceName, segments[3] ?? "", location, sku.name).service };
  }
  if (!service) return notFound;
  if (rest[0] === "start" || rest[0] === "stop") {
    service.stopped = rest[0] === "stop";
    return { status: 200 };
  }
  if (rest.length === 0) return { status: 200, body: service.service };
  if (rest[0] === "checkStatus") return { status: 200, body: statusOf(world, serviceName, service.stopped) };
  return serviceName === "dms-lists" ? routeProject(world, method, rest, url, body) : { status: 200, body: { value: [] } };
}

function statusOf(world: World, name: string, stopped: boolean): ServiceStatus {
  if (stopped) return { status: "Stopped", provisioningState: "Stopped", registeredWorker: false };
  const running = [...world.tasks.values()].filter((task) => name === "dms-lists" && momentOf(world, task).state === "Running");
  const worker = {
    softwareVersion: "0.1.0",
    startedOn: iso(Date.now() - 7_200_000),
    lastSeenOn: iso(Date.now() - 3_000),
    alive: true,
    stopping: false,
    maxTasks: 4,
    rssBytes: 212_000_000,
  };
  return {
    status: "Online",
    provisioningState: "Succeeded",
    registeredWorker: true,
    agentVersion: "0.1.0",
    runningTasks: running.length,
    queuedTasks: 1,
    workers: [
      { ...worker, workerId: "worker-7d9f-a", taskIds: running.slice(0, 3).map(taskIdOf) },
      { ...worker, workerId: "worker-7d9f-b", taskIds: [], rssBytes: 96_000_000 },
      { ...worker, workerId: "worker-5c11-a", taskIds: [], alive: false, lastSeenOn: iso(Date.now() - 400_000) },
    ],
  };
}

const taskIdOf = ({ name }: ScriptedTask): string => `task-${name}`;

function routeProject(
  world: World,
  method: string,
  [, projectName, tasks, taskName, action]: string[],
  url: URL,
  body: unknown,
): ScriptedAnswer {
  if (projectName === undefined) return { status: 200, body: { value: [...world.projects.values()] } };
  if (tasks === undefined) {
    if (method === "PUT") return { status: 201, body: addProject(world, projectName) };
    const project = world.projects.get(projectName);
    return project ? { status: 200, body: project } : notFound;
  }
  if (taskName === undefined) {
    const own = [...world.tasks.values()].filter(({ project, name }) => project === projectName && name !== "large");
    return { status: 200, body: { value: own.map((task) => taskBody(world, task, null)) } };
  }
  if (method === "PUT") return putTask(world, projectName, taskName, body);
  const task = world.tasks.get(taskName);
  if (method === "DELETE") return { status: world.tasks.delete(taskName) ? 200 : 204 };
  if (!task) return notFound;
  if (action === "cancel") world.canceled.add(taskName);
  if (action === "command") addTask(world, { ...task, moment: () => scenarios["cutting-over"](Date.now()) });
  return { status: 200, body: action === "command" ? body : taskBody(world, task, url.searchParams.get("$expand")) };
}

function putTask(world: World, project: string, name: string, body: unknown): ScriptedAnswer {
  const { properties } = body as { properties: { taskType: string; input: Record<string, unknown> } };
  world.put.set(name, properties);
  const beganMs = Date.now();
  const moment = momentOfPut(world, properties.taskType, beganMs);
  const task: ScriptedTask = {
    name,
    project,
    taskType: properties.taskType,
    input: properties.input,
    moment,
    createdOn: iso(beganMs),
  };
  addTask(world, task);
  return { status: 201, body: taskBody(world, task, null) };
}

/** Long enough for the page to show that something is going on. */
const checkMs = 700;

function momentOfPut(world: World, taskType: string, beganMs: number): () => Moment {
  const soon = (output: unknown) => (): Moment =>
    Date.now() - beganMs < checkMs ? { state: "Running", output: [] } : { state: "Succeeded", output: [output] as Moment["output"] };
  switch (taskType) {
    case "ConnectToSource.PostgreSql.Sync":
      return soon({
        id: "source",
        sourceServerVersion: "13.10",
        sourceServerBrandVersion: "PostgreSQL 13.10",
        databases: ["listdb", "billing", "postgres"],
        validationErrors: [],
        findings: world.options.sourceHasProblems ? sourceFindings : [],
      });
    case "ConnectToTarget.AzureDbForPostgreSql.Sync":
      return soon({
        id: "target",
        targetServerVersion: "16.4",
        targetServerBrandVersion: "PostgreSQL 16.4",
        databases: ["listdb", "postgres"],
        validationErrors: [],
        findings: [],
      });
    case "GetUserTablesPostgreSql":
      return soon({ id: "tables", databaseName: "listdb", tables: userTables, validationErrors: [], findings: [] });
    default:
      return () => scenarios.loading(Date.now() - beganMs);
  }
}

function momentOf(world: World, task: ScriptedTask): Moment {
  const moment = task.moment();
  return world.canceled.has(task.name) && !isTaskOver(moment.state) ? { ...moment, state: "Canceling" } : moment;
}

function taskBody(world: World, task: ScriptedTask, expand: string | null): Task {
  const { state, output, errors, commands, waitingFor } = momentOf(world, task);
  const isOver = isTaskOver(state);
  return {
    id: `${groupPath}/dms-lists/projects/${task.project}/tasks/${task.name}`,
    name: task.name,
    type: "Microsoft.DataMigration/services/projects/tasks",
    etag: randomUUID(),
    properties: {
      taskId: taskIdOf(task),
      taskType: task.taskType as Task["properties"]["taskType"],
      state,
      createdOn: task.createdOn,
      isCloneable: true,
      input: task.input,
      errors: errors ?? [],
      waitingFor: waitingFor ?? null,
      startedOn: state === "Queued" ? null : task.createdOn,
      endedOn: isOver ? iso(Date.parse(task.createdOn) + 840_000) : null,
      ...(expand === "output" ? { output } : {}),
      ...(expand === "command" ? { commands: commands ?? [] } : {}),
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}

function end(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
