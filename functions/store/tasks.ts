import { z } from "zod";
import { SUPPORTED_TASK_TYPES, TASK_TYPES, TaskWork, type TaskType } from "../../contracts/commands.ts";
import { ReportedError } from "../../contracts/errors.ts";
import { isTaskOver, TASK_STATES } from "../../contracts/lifecycle.ts";
import { afterPrefix, encodeNames, type RowKey } from "./keys.ts";
import { ProjectPath } from "./projects.ts";
import { type ServicePath } from "./services.ts";

export const TaskPath = ProjectPath.extend({ task: z.string() });
export type TaskPath = z.infer<typeof TaskPath>;

/** Where a message to the worker stands: not to be sent yet, to be sent, sent. */
const Dispatch = z.enum(["waiting", "pending", "sent"]);

/** Where a report stands among all reports of the task. */
const Stamp = z.object({ epoch: z.number(), sequence: z.number() });

export const TaskRow = z.object({
  path: TaskPath,
  taskId: z.uuid(),
  revision: z.string(),
  taskType: z.enum(SUPPORTED_TASK_TYPES),
  state: z.enum(TASK_STATES),
  /** Since when it is in this state. */
  stateSince: z.string(),
  /** The last state that was told on the topic of events. */
  announced: z.enum(TASK_STATES).nullable(),
  createdOn: z.string(),
  startedOn: z.string().nullable(),
  endedOn: z.string().nullable(),
  clientData: z.record(z.string(), z.string()),
  /** The input as answers show it; no passwords. */
  input: z.record(z.string(), z.unknown()),
  /** The input as the worker gets it; references to passwords. */
  work: TaskWork,
  /** Names of the secrets that live as long as the task runs. */
  secretNames: z.array(z.string()),
  dispatch: Dispatch,
  cancelDispatch: Dispatch,
  errors: z.array(ReportedError),
  /** Set after the task's end while something is left on a source: how often a clean-up was asked for, and when last. */
  cleanUp: z.object({ attempt: z.number(), askedOn: z.string() }).optional(),
  /** The newest report seen; every output row is as old or older. */
  stamp: Stamp.nullable(),
  /** W3C trace context of the request that made the task. */
  traceparent: z.string().optional(),
});
export type TaskRow = z.infer<typeof TaskRow>;

/** A migration holds a seat of its service for as long as it runs; the small tasks are over in seconds and need none. */
export const needsSeat = ({ taskType }: Pick<TaskRow, "taskType">): boolean =>
  taskType === TASK_TYPES.migrate || taskType === TASK_TYPES.migrateV2;

/**
 * What a filter may ask of a task. `owed`: a message, an event or a clean-up is still due, so the watchdog looks at it.
 * `seating`: it holds a seat or waits to be sent.
 */
export const taskColumns = (task: TaskRow): { taskType: TaskType; over: boolean; owed: boolean; seating: boolean } => {
  const over = isTaskOver(task.state);
  const undone = over
    ? task.secretNames.length > 0 || task.cleanUp !== undefined
    : task.dispatch !== "sent" || task.cancelDispatch === "pending";
  const owed = undone || task.state !== task.announced;
  const seating = !over && (task.dispatch === "waiting" || needsSeat(task));
  return { taskType: task.taskType, over, owed, seating };
};

const partitionOf = ({ subscriptionId, resourceGroup, service }: ServicePath): string =>
  encodeNames(subscriptionId, resourceGroup, service);

export const taskKey = (path: TaskPath): RowKey => ({ partitionKey: partitionOf(path), rowKey: encodeNames(path.project, path.task) });

export const tasksOfService = (path: ServicePath): string => `PartitionKey eq '${partitionOf(path)}'`;

export function tasksOfProject(path: ProjectPath): string {
  const prefix = encodeNames(path.project);
  return `${tasksOfService(path)} and RowKey ge '${prefix}|' and RowKey lt '${afterPrefix(prefix)}'`;
}

/** The way from a task's id, which is all that a report has, to its row. */
export const TaskIndexRow = z.object({
  path: TaskPath,
  /** False while the task is being made: if that is cut short, its secrets are left over. */
  made: z.boolean(),
  /** Set when the task was deleted while it ran: what is left to do once the worker says that it ended. */
  deleted: z.object({ taskId: z.uuid(), on: z.string(), secretNames: z.array(z.string()), cancelDispatch: Dispatch }).optional(),
});
export type TaskIndexRow = z.infer<typeof TaskIndexRow>;

export const taskIndexColumns = (index: TaskIndexRow): { deleted: boolean; made: boolean } => ({
  deleted: index.deleted !== undefined,
  made: index.made,
});

export const taskIndexKey = (taskId: string): RowKey => ({ partitionKey: encodeNames(taskId), rowKey: "task" });
