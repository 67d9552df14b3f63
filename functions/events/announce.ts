import { type ControlPlane } from "../control-plane.ts";
import { sent } from "../dispatch.ts";
import { type Log } from "../log.ts";
import { commandsOfTask, isCommandOpen } from "../store/commands.ts";
import { type Row } from "../store/document-table.ts";
import { LostRace } from "../store/races.ts";
import { type ServiceRow } from "../store/services.ts";
import { type TaskRow } from "../store/tasks.ts";
import { updateTask } from "../task-updates.ts";
import { cutoverFinishedEvent, serviceStateEvent, taskStateEvent, type EventTask } from "./task-events.ts";

/**
 * Events of rows that stay: each row remembers what was told of it last, so that a change and what is to be told of it are
 * one write. What could not be told is found by the watchdog.
 */

/** Tells the state of a task, unless that was told. */
export async function announceTask(plane: ControlPlane, { key, value }: Row<TaskRow>, log: Log): Promise<void> {
  if (value.state === value.announced) return;
  if (!(await sent(() => plane.bus.publish([taskStateEvent(value)]), { what: "the event of a task", taskId: value.taskId }, log))) return;
  await updateTask(plane, key, value.taskId, (task) =>
    task.announced === value.announced ? { ...task, announced: value.state } : undefined,
  );
}

/** Tells the state of a service, unless that was told. */
export async function announceService(plane: ControlPlane, row: Row<ServiceRow>, log: Log): Promise<void> {
  const { value } = row;
  if (value.state === value.announced) return;
  if (
    !(await sent(() => plane.bus.publish([serviceStateEvent(value)]), { what: "the event of a service", service: value.path.service }, log))
  )
    return;
  await unlessChanged(() => plane.store.services.replace(row, { ...value, announced: value.state }));
}

/** Tells the outcome of a task's cutovers, those that were not told. */
export async function announceCutovers(plane: ControlPlane, task: EventTask, log: Log): Promise<void> {
  for (const row of await plane.store.commands.list(`${commandsOfTask(task.taskId)} and untold eq true`)) {
    const { value } = row;
    if (isCommandOpen(value) || value.announced) continue;
    const publish = (): Promise<void> => plane.bus.publish([cutoverFinishedEvent(task, value)]);
    if (!(await sent(publish, { what: "the event of a cutover", taskId: value.taskId, databaseName: value.databaseName }, log))) return;
    await unlessChanged(() => plane.store.commands.replace(row, { ...value, announced: true }));
  }
}

/** A row that was changed meanwhile is told again later: better twice than never. */
async function unlessChanged(write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof LostRace)) throw error;
  }
}
