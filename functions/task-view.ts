import { isTaskOver } from "../contracts/lifecycle.ts";
import { RESOURCE_TYPES, type CommandView, type Task, type TaskOutput } from "../contracts/wire.ts";
import { taskResourceId } from "./addresses.ts";
import { errorDetail, reportableException } from "./output-errors.ts";
import { type CommandRow } from "./store/commands.ts";
import { type TaskRow } from "./store/tasks.ts";

/** What a caller asked to see beside the task itself. */
export interface Expansion {
  readonly output?: readonly TaskOutput[];
  readonly commands?: readonly CommandView[];
}

/** A task as answers show it. */
export function taskView(task: TaskRow, { output, commands }: Expansion = {}): Task {
  return {
    id: taskResourceId(task.path),
    name: task.path.task,
    type: RESOURCE_TYPES.task,
    properties: {
      taskId: task.taskId,
      taskType: task.taskType,
      state: task.state,
      createdOn: task.createdOn,
      isCloneable: true,
      ...(Object.keys(task.clientData).length > 0 ? { clientData: task.clientData } : {}),
      input: task.input,
      ...(output === undefined ? {} : { output }),
      errors: task.errors.map(errorDetail),
      ...(commands === undefined ? {} : { commands }),
      waitingFor: waitingFor(task),
      startedOn: task.startedOn,
      endedOn: task.endedOn,
    },
  };
}

/** Why a task does not run yet, in words. */
function waitingFor({ state, dispatch }: TaskRow): string | null {
  if (state !== "Queued" || isTaskOver(state)) return null;
  if (dispatch === "waiting") return "the service: it is stopped, or as many migrations as it has vCores are running";
  if (dispatch === "pending")
    return "the message to the worker, which could not be sent yet: is Service Bus there, and does it have the service's queue of commands?";
  return "a worker";
}

/** A command as answers show it. */
export const commandView = ({
  taskId,
  commandId,
  commandType,
  databaseName,
  commitTimeStamp,
  fence,
  tableNames,
  state,
  errors,
}: CommandRow): CommandView => ({
  commandType,
  commandId,
  state,
  input: {
    databaseName,
    ...(commitTimeStamp === undefined ? {} : { commitTimeStamp }),
    ...(fence === undefined ? {} : { fence }),
    ...(tableNames === undefined ? {} : { tableNames }),
  },
  ...(state === "Accepted" || state === "Running"
    ? {}
    : { output: { id: `${taskId}|${databaseName}`, errors: errors.map(reportableException) } }),
  ...(errors.length > 0 ? { errors: errors.map(errorDetail) } : {}),
});
