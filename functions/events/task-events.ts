import { serviceId, taskResourceId } from "../addresses.ts";
import { type CommandRow } from "../store/commands.ts";
import { type ServiceRow } from "../store/services.ts";
import { type TaskRow } from "../store/tasks.ts";
import { eventOf, type PgdmsEvent } from "./event.ts";

/** The task that an event is about, as far as events tell of it. */
export type EventTask = Pick<TaskRow, "path" | "taskId" | "traceparent">;

/** Source and subject of what happens to a task, or to one of its databases. */
export function aboutTask(task: EventTask, databaseName?: string): { source: string; subject: string; traceparent: string | undefined } {
  const id = taskResourceId(task.path);
  const subject = databaseName === undefined ? id : `${id}/databases/${encodeURIComponent(databaseName)}`;
  return { source: serviceId(task.path), subject, traceparent: task.traceparent };
}

const failures: readonly TaskRow["state"][] = ["Failed", "Faulted", "FailedInputValidation"];

/** A message has little room: the task itself shows all of its errors. */
const ERRORS_MAX = 20;

export const taskStateEvent = (task: TaskRow): PgdmsEvent =>
  eventOf(
    "pgdms.task.stateChanged",
    {
      ...aboutTask(task),
      id: `${task.taskId}/${task.state}`, // a task passes through no state twice
      time: task.stateSince,
      severity: failures.includes(task.state) ? "error" : "information",
    },
    {
      resourceId: taskResourceId(task.path),
      taskId: task.taskId,
      taskType: task.taskType,
      state: task.state,
      previousState: task.announced,
      errors: task.errors.slice(0, ERRORS_MAX),
    },
  );

export const taskDeletedEvent = (task: TaskRow, time: string): PgdmsEvent =>
  eventOf(
    "pgdms.task.deleted",
    { ...aboutTask(task), id: `${task.taskId}/deleted`, time },
    { resourceId: taskResourceId(task.path), taskId: task.taskId, taskType: task.taskType },
  );

export const cutoverFinishedEvent = (task: EventTask, command: CommandRow): PgdmsEvent => {
  const succeeded = command.state === "Succeeded";
  return eventOf(
    "pgdms.database.cutoverFinished",
    {
      ...aboutTask(task, command.databaseName),
      id: `${command.commandId}/${command.state}`,
      time: command.endedOn ?? command.createdOn,
      severity: succeeded ? "information" : "error",
    },
    {
      resourceId: taskResourceId(task.path),
      taskId: task.taskId,
      databaseName: command.databaseName,
      commandId: command.commandId,
      succeeded,
      errors: command.errors.slice(0, ERRORS_MAX),
    },
  );
};

export const serviceStateEvent = (service: ServiceRow): PgdmsEvent => {
  const id = serviceId(service.path);
  return eventOf(
    "pgdms.service.stateChanged",
    { id: `${id}/${service.state}/${service.stateSince}`, source: id, subject: id, time: service.stateSince },
    { resourceId: id, state: service.state, previousState: service.announced },
  );
};

export const serviceDeletedEvent = (service: ServiceRow, time: string): PgdmsEvent => {
  const id = serviceId(service.path);
  return eventOf("pgdms.service.deleted", { id: `${id}/deleted/${service.revision}`, source: id, subject: id, time }, { resourceId: id });
};
