import { type RunCommand } from "../contracts/commands.ts";
import { isTaskOver } from "../contracts/lifecycle.ts";
import { taskResourceId } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { findService } from "./find.ts";
import { type Log, messageOf } from "./log.ts";
import { skuOf } from "./skus.ts";
import { type Row } from "./store/document-table.ts";
import { LostRace } from "./store/races.ts";
import { type ServicePath } from "./store/services.ts";
import { needsSeat, tasksOfService, type TaskRow } from "./store/tasks.ts";
import { updateTask } from "./task-updates.ts";

/**
 * Which of a service's live tasks go to the workers now: all small ones, and the oldest migrations while there are seats.
 * Whoever asks gets the same answer, so that two who ask at once do not take two seats for one.
 */
export function tasksToDispatch<T extends { readonly value: TaskRow }>(live: readonly T[], seats: number): T[] {
  const taken = live.filter(({ value }) => needsSeat(value) && value.dispatch !== "waiting").length;
  const waiting = live
    .filter(({ value }) => value.dispatch === "waiting" && !isTaskOver(value.state))
    .sort((a, b) => order(a.value).localeCompare(order(b.value)));
  let free = seats - taken;
  return waiting.filter(({ value }) => !needsSeat(value) || free-- > 0);
}

const order = (task: TaskRow): string => `${task.createdOn} ${task.taskId}`;

/**
 * Sends a new task if there is room. One that needs no seat is sent without a look at the others: many that are made at once
 * would else all look at each other.
 */
export async function dispatchTask(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<void> {
  if (needsSeat(row.value)) return dispatchService(plane, row.value.path, log);
  const service = await findService(plane.store, row.value.path);
  if (service !== undefined && service.value.state !== "Stopped") await sendWaiting(plane, row, log);
}

/** Sends what a service has room for. What cannot be sent stays pending, and the watchdog sends it. */
export async function dispatchService(plane: ControlPlane, path: ServicePath, log: Log): Promise<void> {
  const service = await findService(plane.store, path);
  if (service === undefined || service.value.state === "Stopped") return;
  const live = await plane.store.tasks.list(`${tasksOfService(path)} and seating eq true`);
  for (const row of tasksToDispatch(live, skuOf(service.value.sku).vCores)) await sendWaiting(plane, row, log);
}

async function sendWaiting(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<void> {
  try {
    await sendRun(plane, await plane.store.tasks.replace(row, { ...row.value, dispatch: "pending" }), log);
  } catch (error) {
    if (!(error instanceof LostRace)) throw error; // somebody else sends it, or it was cancelled
  }
}

/** Sends the run command of a task that is pending, then marks it sent. Sending twice delivers once. Answers whether it went out. */
export async function sendRun(plane: ControlPlane, { key, value }: Row<TaskRow>, log: Log): Promise<boolean> {
  if (!(await sent(() => plane.bus.sendCommand(value.path.service, runCommand(value)), { what: "run", taskId: value.taskId }, log)))
    return false;
  await updateTask(plane, key, value.taskId, (task) => (task.dispatch === "pending" ? { ...task, dispatch: "sent" } : undefined));
  return true;
}

/**
 * Sends the cancel command of a task whose cancel is pending, then marks it sent. Never before the run command: a worker
 * that met them in that order would run what was cancelled.
 */
export async function sendCancel(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<void> {
  const { taskId, path, dispatch } = row.value;
  if (dispatch === "pending" && !(await sendRun(plane, row, log))) return;
  const send = (): Promise<void> => plane.bus.sendCommand(path.service, { version: 1, type: "cancel", taskId });
  if (!(await sent(send, { what: "cancel", taskId }, log))) return;
  await updateTask(plane, row.key, taskId, (task) => (task.cancelDispatch === "pending" ? { ...task, cancelDispatch: "sent" } : undefined));
}

/** A message, as a line of the log names it. */
interface Sending {
  readonly what: string;
  readonly taskId?: string;
  readonly databaseName?: string;
  readonly service?: string;
}

/** Whether it went out. If not, the row says so and the watchdog tries again. */
export async function sent(send: () => Promise<void>, { what, ...about }: Sending, log: Log): Promise<boolean> {
  try {
    await send();
    return true;
  } catch (error) {
    const fields = { event: "message.unsent", ...about, error: messageOf(error) };
    log.warn(fields, `${what} could not be sent, the watchdog tries again`);
    return false;
  }
}

export const runCommand = (task: Pick<TaskRow, "taskId" | "path" | "work" | "traceparent">): RunCommand => ({
  version: 1,
  type: "run",
  taskId: task.taskId,
  resourceId: taskResourceId(task.path),
  work: task.work,
  ...(task.traceparent === undefined ? {} : { traceparent: task.traceparent }),
});
