import { SUPPORTED_TASK_TYPES } from "../contracts/commands.ts";
import { type ServiceState, type ServiceStatus, type WorkerView } from "../contracts/wire.ts";
import { routes, servicePath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { runningTasks } from "./deletion.ts";
import { dispatchService } from "./dispatch.ts";
import { announceService } from "./events/announce.ts";
import { requireService } from "./find.ts";
import { ApiError } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { checkPreconditions, newRevision } from "./http/etag.ts";
import { finishedOperation } from "./operations.ts";
import { skuOf } from "./skus.ts";
import { retryingRaces } from "./store/races.ts";
import { type ServiceRow } from "./store/services.ts";
import { tasksOfService } from "./store/tasks.ts";
import { isAlive, workersOfService, type WorkerRow } from "./store/workers.ts";

/** Starting, stopping and asking after a service. A stopped service keeps its tasks queued. */
export const serviceStateEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "services-start", method: "POST", route: `${routes.service}/start`, handle: (call) => retryingRaces(() => start(plane, call)) },
  { name: "services-stop", method: "POST", route: `${routes.service}/stop`, handle: (call) => retryingRaces(() => stop(plane, call)) },
  {
    name: "services-check-status",
    method: "POST",
    route: `${routes.service}/checkStatus`,
    right: "Migration.Read",
    handle: (call) => checkStatus(plane, call),
  },
];

async function start(plane: ControlPlane, call: Call): Promise<Answer> {
  const answer = await change(plane, call, "Succeeded");
  await dispatchService(plane, servicePath(call.params), call.log);
  return answer;
}

async function stop(plane: ControlPlane, call: Call): Promise<Answer> {
  const running = await runningTasks(plane, servicePath(call.params));
  if (running.length > 0) {
    const names = running.slice(0, 10).map(({ value }) => `${value.path.project}/${value.path.task}`);
    throw new ApiError("InvalidRequest", {
      detail: `One or more activities are currently running: ${names.join(", ")}.`,
      remedy: "Cancel them or wait for their end, then stop the service.",
    });
  }
  return change(plane, call, "Stopped");
}

/** 200 when the service was in the state already, 202 with the operation's address when it was not. */
async function change(plane: ControlPlane, call: Call, state: ServiceState): Promise<Answer> {
  const row = await requireService(plane.store, servicePath(call.params));
  checkPreconditions(call.preconditions, row.value.revision);
  if (row.value.state === state) return { status: 200 };
  const changed = { ...row.value, state, stateSince: plane.now().toISOString(), revision: newRevision() };
  await announceService(plane, await plane.store.services.replace(row, changed), call.log);
  return { status: 202, headers: await finishedOperation(plane, call, row.value) };
}

async function checkStatus(plane: ControlPlane, call: Call): Promise<Answer> {
  const { value: service } = await requireService(plane.store, servicePath(call.params));
  const workers = (await plane.store.workers.list(workersOfService(service.path.service))).map(({ value }) =>
    workerView(value, plane.now()),
  );
  const alive = workers.filter((worker) => worker.alive);
  if (service.state === "Stopped") {
    const body: ServiceStatus = { status: "Stopped", provisioningState: "Stopped", registeredWorker: alive.length > 0 };
    return { status: 200, body };
  }
  const live = await plane.store.tasks.list(`${tasksOfService(service.path)} and over eq false`);
  return {
    status: 200,
    body: runningStatus(
      service,
      workers,
      live.map(({ value }) => value.state),
    ),
  };
}

function runningStatus(service: ServiceRow, workers: readonly WorkerView[], states: readonly string[]): ServiceStatus {
  const alive = workers.filter((worker) => worker.alive);
  const { vCores } = skuOf(service.sku);
  return {
    status: alive.length > 0 ? "Online" : "Offline",
    provisioningState: service.state,
    registeredWorker: alive.length > 0,
    agentVersion: alive[0]?.softwareVersion ?? "",
    vmSize: `Standard_F${vCores}`,
    workerType: "Dedicated",
    supportedTaskTypes: SUPPORTED_TASK_TYPES,
    agentConfiguration: {},
    workers,
    runningTasks: states.filter((state) => state !== "Queued").length,
    queuedTasks: states.filter((state) => state === "Queued").length,
  };
}

const workerView = (worker: WorkerRow, now: Date): WorkerView => ({
  workerId: worker.workerId,
  softwareVersion: worker.softwareVersion,
  startedOn: worker.startedOn,
  lastSeenOn: worker.sentAt,
  alive: isAlive(worker, now),
  stopping: worker.stopping,
  taskIds: worker.taskIds,
  maxTasks: worker.maxTasks,
  rssBytes: worker.rssBytes,
});
