import { isTaskOver } from "../contracts/lifecycle.ts";
import { sendCommand } from "./commands.ts";
import { type ControlPlane } from "./control-plane.ts";
import { buryTask, forgetTask, removeTraces } from "./deletion.ts";
import { dispatchService, sendCancel, sendRun } from "./dispatch.ts";
import { announceCutovers, announceService, announceTask } from "./events/announce.ts";
import { publishLeft } from "./events/outbox.ts";
import { type Log, stackOf } from "./log.ts";
import { rebalance } from "./rebalance.ts";
import { secretName } from "./secrets/secret-store.ts";
import { isCommandOpen, type CommandRow } from "./store/commands.ts";
import { type Row } from "./store/document-table.ts";
import { taskIndexKey, taskKey, type TaskIndexRow, type TaskRow } from "./store/tasks.ts";
import { closeCommands, deleteSecrets, settleTask } from "./task-end.ts";

/** A worker that has said nothing of a deleted task for this long will never do so. */
const BURIED_FOR_MS = 7 * 86_400_000;

/** Making a task takes seconds; one that is half made after this long was cut short. */
const MAKING_MAX_MS = 600_000;

/** An ended operation is remembered this long for clients that poll. */
const OPERATION_KEPT_MS = 86_400_000;

/** An event that was written down this long ago is not being published by anybody. */
const PUBLISHING_MAX_MS = 15_000;

/** A request that comes again within this time is answered as it was. */
const REQUEST_KEPT_MS = 7 * 86_400_000;

/** A worker that was silent this long is no longer listed. */
const WORKER_KEPT_MS = 86_400_000;

/**
 * Does what was left undone: messages that could not be sent, clean-ups that were cut short, tasks that wait although there
 * is room. Everything in it may be done twice and at the same time as the requests do it.
 */
export async function watch(plane: ControlPlane, log: Log): Promise<void> {
  const steps: readonly (readonly [what: string, step: () => Promise<void>])[] = [
    ["tasks", () => mendTasks(plane, log)],
    ["commands", () => mendCommands(plane, log)],
    ["events", () => mendEvents(plane, log)],
    ["the workers' shares", () => rebalance(plane, log)],
    ["deleted tasks", () => mendDeletions(plane, log)],
    ["half-made tasks", () => mendCreations(plane)],
    ["old rows", () => dropOldRows(plane)],
  ];
  for (const [what, step] of steps) {
    try {
      await step();
    } catch (error) {
      log.error({ event: "watchdog.failed", error: stackOf(error) }, `the watchdog could not see to ${what}`);
    }
  }
}

async function mendTasks(plane: ControlPlane, log: Log): Promise<void> {
  const services = new Map<string, TaskRow["path"]>();
  for (const row of await plane.store.tasks.list("owed eq true")) {
    await mendTask(plane, row, log);
    services.set(row.key.partitionKey, row.value.path);
  }
  for (const path of services.values()) await dispatchService(plane, path, log);
}

async function mendTask(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<void> {
  const { state, dispatch, cancelDispatch } = row.value;
  if (isTaskOver(state)) await settleTask(plane, row, log);
  else if (cancelDispatch === "pending") await sendCancel(plane, row, log);
  else if (dispatch === "pending") await sendRun(plane, row, log);
  await announceTask(plane, row, log);
}

/** Commands that were not sent, whose task has ended without a word about them, or whose outcome was not told. */
async function mendCommands(plane: ControlPlane, log: Log): Promise<void> {
  for (const row of await plane.store.commands.list("open eq true or untold eq true")) {
    const task = await taskOf(plane, row.value);
    if (task === undefined) continue;
    if (isTaskOver(task.state)) await closeCommands(plane, task);
    else if (row.value.dispatch === "pending" && isCommandOpen(row.value)) await sendCommand(plane, task.path, row, log);
    await announceCutovers(plane, task, log);
  }
}

/** Events of services, and events that were written down and not published. */
async function mendEvents(plane: ControlPlane, log: Log): Promise<void> {
  for (const row of await plane.store.services.list("untold eq true")) await announceService(plane, row, log);
  await publishLeft(plane, olderThan(plane.now(), PUBLISHING_MAX_MS), log);
}

async function taskOf({ store }: ControlPlane, { taskId }: CommandRow): Promise<TaskRow | undefined> {
  const index = await store.taskIndex.get(taskIndexKey(taskId));
  const row = index && (await store.tasks.get(taskKey(index.value.path)));
  return row?.value.taskId === taskId ? row.value : undefined;
}

async function mendDeletions(plane: ControlPlane, log: Log): Promise<void> {
  for (const { value } of await plane.store.taskIndex.list("deleted eq true")) {
    const taskId = value.deleted?.taskId;
    if (taskId === undefined) continue;
    if (isOld(plane, value)) await forgetTask(plane, taskId, value);
    else await buryTask(plane, taskId, log);
  }
}

const isOld = ({ now }: ControlPlane, { deleted }: TaskIndexRow): boolean =>
  deleted !== undefined && now().getTime() - Date.parse(deleted.on) > BURIED_FOR_MS;

/** Tasks whose making, or whose giving way to a restart, was cut short: what is left of them goes. One that is there is only marked so. */
async function mendCreations(plane: ControlPlane): Promise<void> {
  const { store, now } = plane;
  for (const row of await store.taskIndex.list(`made eq false and ${olderThan(now(), MAKING_MAX_MS)}`)) {
    const taskId = row.key.partitionKey;
    const task = await store.tasks.get(taskKey(row.value.path));
    if (task?.value.taskId === taskId) await store.taskIndex.replace(row, { ...row.value, made: true });
    else {
      await deleteSecrets(plane, [secretName(taskId, "source"), secretName(taskId, "target")]);
      await removeTraces(plane, taskId);
    }
  }
}

const olderThan = (now: Date, ageMs: number): string => `Timestamp lt datetime'${new Date(now.getTime() - ageMs).toISOString()}'`;

async function dropOldRows({ store, now }: ControlPlane): Promise<void> {
  for (const row of await store.operations.list(olderThan(now(), OPERATION_KEPT_MS))) await store.operations.delete(row);
  for (const row of await store.workers.list(olderThan(now(), WORKER_KEPT_MS))) await store.workers.delete(row);
  for (const row of await store.requests.list(olderThan(now(), REQUEST_KEPT_MS))) await store.requests.delete(row);
}
