import { isTaskOver, nextTaskState } from "../contracts/lifecycle.ts";
import { type ControlPlane } from "./control-plane.ts";
import { sendCancel } from "./dispatch.ts";
import { announceTask } from "./events/announce.ts";
import { ApiError } from "./http/api-error.ts";
import { newRevision } from "./http/etag.ts";
import { type Log } from "./log.ts";
import { type Row } from "./store/document-table.ts";
import { type TaskRow } from "./store/tasks.ts";
import { settleTask } from "./task-end.ts";

/**
 * Cancels a task: one that no worker knows of is cancelled at once, any other when the worker has cleaned up and says so.
 * Cancelling twice is the same as once.
 * @throws ApiError (409) when it ended otherwise; LostRace
 */
export async function cancelTask(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<Row<TaskRow>> {
  const task = row.value;
  if (task.state === "Canceled" || task.state === "Canceling") return row;
  const state = nextTaskState(task.state, task.dispatch === "waiting" ? "cancelled" : "cancelAsked");
  if (state === undefined) throw ended(task);
  const on = plane.now().toISOString();
  const changed: TaskRow = { ...task, state, stateSince: on, revision: newRevision() };
  if (isTaskOver(state)) {
    const cancelled = await plane.store.tasks.replace(row, { ...changed, endedOn: on });
    await settleTask(plane, cancelled, log);
    await announceTask(plane, cancelled, log);
    return cancelled;
  }
  const cancelling = await plane.store.tasks.replace(row, { ...changed, cancelDispatch: "pending" });
  await sendCancel(plane, cancelling, log);
  await announceTask(plane, cancelling, log);
  return cancelling;
}

const ended = (task: TaskRow): ApiError =>
  new ApiError("Conflict", {
    detail: `The task has ended already: it is ${task.state}.`,
    remedy: "There is nothing to cancel; DELETE removes it.",
  });
