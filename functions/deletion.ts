import { isTaskOver } from "../contracts/lifecycle.ts";
import { serviceId } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { dispatchService, sent } from "./dispatch.ts";
import { type PgdmsEvent } from "./events/event.ts";
import { tellingOf } from "./events/outbox.ts";
import { cutoverFinishedEvent, serviceDeletedEvent, serviceStateEvent, taskDeletedEvent, taskStateEvent } from "./events/task-events.ts";
import { ApiError } from "./http/api-error.ts";
import { type Log } from "./log.ts";
import { commandsOfTask, commandsPartition } from "./store/commands.ts";
import { type Row } from "./store/document-table.ts";
import { projectsOfService, type ProjectRow } from "./store/projects.ts";
import { LostRace, retryingRaces } from "./store/races.ts";
import { type ServicePath, type ServiceRow } from "./store/services.ts";
import { outputsPartition } from "./store/task-outputs.ts";
import { taskIndexKey, taskKey, tasksOfProject, tasksOfService, type TaskIndexRow, type TaskRow } from "./store/tasks.ts";
import { deleteSecrets } from "./task-end.ts";

/** Whether a worker may be at work on the task. */
const isRunning = ({ state, dispatch }: TaskRow): boolean => !isTaskOver(state) && dispatch !== "waiting";

/** The tasks of a service that a worker may be at work on. */
export async function runningTasks({ store }: ControlPlane, path: ServicePath): Promise<Row<TaskRow>[]> {
  const live = await store.tasks.list(`${tasksOfService(path)} and over eq false`);
  return live.filter(({ value }) => isRunning(value));
}

/**
 * Deletes a task. One that runs is cancelled first, and only when the caller says so: its row goes at once, and a
 * tombstone stays until the worker has cleaned up on the source.
 * @throws ApiError (409) when it runs and `force` is not given; LostRace
 */
export async function deleteTask(plane: ControlPlane, row: Row<TaskRow>, force: boolean, log: Log): Promise<void> {
  const running = isRunning(row.value);
  if (running) refuseUnlessForced([row], force);
  const { taskId, path, secretNames } = row.value;
  const told = [...(await untoldOf(plane, row.value)), taskDeletedEvent(row.value, plane.now().toISOString())];
  if (running) {
    const deleted = { taskId, on: plane.now().toISOString(), secretNames, cancelDispatch: "pending" as const };
    await plane.store.taskIndex.upsert(taskIndexKey(taskId), { path, made: true, deleted });
    await tellingOf(plane, taskId, told, () => plane.store.tasks.delete(row), log);
    await buryTask(plane, taskId, log);
  } else {
    await tellingOf(plane, taskId, told, () => plane.store.tasks.delete(row), log);
    await deleteSecrets(plane, secretNames);
    await removeTraces(plane, taskId);
  }
  await dispatchService(plane, path, log);
}

/** What was not told of a task yet; once its rows are gone, nobody else will. */
export async function untoldOf({ store }: ControlPlane, task: TaskRow): Promise<PgdmsEvent[]> {
  const commands = await store.commands.list(`${commandsOfTask(task.taskId)} and untold eq true`);
  return [
    ...commands.map(({ value }) => cutoverFinishedEvent(task, value)),
    ...(task.state === task.announced ? [] : [taskStateEvent(task)]),
  ];
}

/** Everything that is still due for a task that was deleted while it ran. May be run again: the watchdog does. */
export async function buryTask(plane: ControlPlane, taskId: string, log: Log): Promise<void> {
  const index = await plane.store.taskIndex.get(taskIndexKey(taskId));
  if (index?.value.deleted === undefined) return;
  const { path, deleted } = index.value;
  const left = await plane.store.tasks.get(taskKey(path));
  if (left?.value.taskId === taskId) await plane.store.tasks.delete(left);
  await plane.store.taskOutputs.deletePartition(outputsPartition(taskId));
  await plane.store.commands.deletePartition(commandsPartition(taskId));
  if (deleted.cancelDispatch === "sent") return;
  const send = (): Promise<void> => plane.bus.sendCommand(path.service, { version: 1, type: "cancel", taskId });
  if (!(await sent(send, { what: "cancel of a deleted task", taskId }, log))) return;
  await ignoringRaces(() => plane.store.taskIndex.replace(index, { ...index.value, deleted: { ...deleted, cancelDispatch: "sent" } }));
}

/** The worker of a deleted task has ended, or was not heard of for too long: nothing of the task is needed any more. */
export async function forgetTask(plane: ControlPlane, taskId: string, index: TaskIndexRow): Promise<void> {
  await deleteSecrets(plane, index.deleted?.secretNames ?? []);
  await removeTraces(plane, taskId);
}

/** Nothing is known of the task any more; its row, if it has one, stays. */
export async function removeTraces({ store }: ControlPlane, taskId: string): Promise<void> {
  await store.taskOutputs.deletePartition(outputsPartition(taskId));
  await store.commands.deletePartition(commandsPartition(taskId));
  const index = await store.taskIndex.get(taskIndexKey(taskId));
  if (index) await ignoringRaces(() => store.taskIndex.delete(index));
}

async function ignoringRaces(write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(error instanceof LostRace)) throw error;
  }
}

/** Deletes a project with its tasks. @throws ApiError (409) when one runs and `force` is not given; LostRace */
export async function deleteProject(plane: ControlPlane, row: Row<ProjectRow>, force: boolean, log: Log): Promise<void> {
  const filter = tasksOfProject(row.value.path);
  const tasks = await plane.store.tasks.list(filter);
  refuseUnlessForced(tasks, force);
  await deleteTasks(plane, tasks, force, log);
  await plane.store.projects.delete(row);
  await deleteTasks(plane, await plane.store.tasks.list(filter), true, log); // what was made while we deleted
}

/** Deletes a service with its projects. @throws ApiError (409) when a task runs and `force` is not given; LostRace */
export async function deleteService(plane: ControlPlane, row: Row<ServiceRow>, force: boolean, log: Log): Promise<void> {
  const { path } = row.value;
  refuseUnlessForced(await runningTasks(plane, path), force);
  const projects = (): Promise<Row<ProjectRow>[]> => plane.store.projects.list(projectsOfService(path));
  for (const project of await projects()) await deleteProject(plane, project, force, log);
  const { state, announced } = row.value;
  const untold = state === announced ? [] : [serviceStateEvent(row.value)];
  const told = [...untold, serviceDeletedEvent(row.value, plane.now().toISOString())];
  await tellingOf(plane, serviceId(path), told, () => plane.store.services.delete(row), log);
  for (const project of await projects()) await deleteProject(plane, project, true, log);
}

async function deleteTasks(plane: ControlPlane, tasks: readonly Row<TaskRow>[], force: boolean, log: Log): Promise<void> {
  for (const { key } of tasks) {
    await retryingRaces(async () => {
      const row = await plane.store.tasks.get(key);
      if (row) await deleteTask(plane, row, force, log);
    });
  }
}

function refuseUnlessForced(tasks: readonly Row<TaskRow>[], force: boolean): void {
  const names = tasks.filter(({ value }) => isRunning(value)).map(({ value }) => `${value.path.project}/${value.path.task}`);
  if (force || names.length === 0) return;
  throw new ApiError("Conflict", {
    detail: `Tasks are running: ${names.slice(0, 10).join(", ")}${names.length > 10 ? ", …" : ""}.`,
    remedy: "Cancel them and wait for their end, or give deleteRunningTasks=true, which cancels them first.",
  });
}
