import { z } from "zod";
import { ConnectionReference } from "./connection.ts";
import { settingDefinitions } from "./settings.ts";

/** The messages from the control plane to a worker, on the queue `commands-<service>`; the session is the task's id. */

export const TASK_TYPES = {
  connectToSource: "ConnectToSource.PostgreSql.Sync",
  connectToTarget: "ConnectToTarget.AzureDbForPostgreSql.Sync",
  getUserTables: "GetUserTablesPostgreSql",
  migrate: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
  migrateV2: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
} as const;
export type TaskType = (typeof TASK_TYPES)[keyof typeof TASK_TYPES];

/** Every task type that the service runs. */
export const SUPPORTED_TASK_TYPES: readonly TaskType[] = Object.values(TASK_TYPES);

const SettingMap = z.record(z.string(), z.string());

/** One database of a migration, as the REST API has it. */
export const SelectedDatabase = z.object({
  name: z.string().min(1).max(63),
  targetDatabaseName: z.string().min(1).max(63),
  selectedTables: z.array(z.object({ name: z.string().min(1) })).default([]),
  migrationSetting: SettingMap.default({}),
  sourceSetting: SettingMap.default({}),
  targetSetting: SettingMap.default({}),
});
export type SelectedDatabase = z.infer<typeof SelectedDatabase>;

const MigrationTaskWork = z.object({
  taskType: z.enum([TASK_TYPES.migrate, TASK_TYPES.migrateV2]),
  source: ConnectionReference,
  target: ConnectionReference,
  selectedDatabases: z.array(SelectedDatabase).min(1),
  /** Of a task that was restarted: the ids under which it ran before. What they may have left is taken over or cleaned up. */
  earlierTaskIds: z.array(z.uuid()).optional(),
});

/** What a task has to do; connections carry secret references, never passwords. */
export const TaskWork = z.discriminatedUnion("taskType", [
  z.object({ taskType: z.literal(TASK_TYPES.connectToSource), source: ConnectionReference }),
  z.object({ taskType: z.literal(TASK_TYPES.connectToTarget), source: ConnectionReference, target: ConnectionReference }),
  z.object({ taskType: z.literal(TASK_TYPES.getUserTables), source: ConnectionReference, selectedDatabases: z.array(z.string()).min(1) }),
  MigrationTaskWork,
]);
export type TaskWork = z.infer<typeof TaskWork>;

/** Trace context of the HTTP request or message that caused this one (W3C traceparent). */
const traceparent = z.string().optional();

export const RunCommand = z.object({
  version: z.literal(1),
  type: z.literal("run"),
  taskId: z.uuid(),
  /** For logs and events: the Resource Manager id of the task. */
  resourceId: z.string(),
  work: TaskWork,
  traceparent,
});
export type RunCommand = z.infer<typeof RunCommand>;

/** What a cutover may be asked to do with the source; left out, the migration's setting counts. */
export const FenceChoice = z.enum(settingDefinitions.fence.type.values).optional();

export const CutoverCommand = z.object({
  version: z.literal(1),
  type: z.literal("cutover"),
  taskId: z.uuid(),
  commandId: z.uuid(),
  databaseName: z.string(),
  fence: FenceChoice,
  traceparent,
});
export type CutoverCommand = z.infer<typeof CutoverCommand>;

/** Tables that are to be loaded anew while the others are followed. */
export const ReloadCommand = z.object({
  version: z.literal(1),
  type: z.literal("reload"),
  taskId: z.uuid(),
  commandId: z.uuid(),
  databaseName: z.string(),
  /** Schema-qualified, as the REST API has them. */
  tableNames: z.array(z.string()).min(1),
  traceparent,
});
export type ReloadCommand = z.infer<typeof ReloadCommand>;

const CancelCommand = z.object({ version: z.literal(1), type: z.literal("cancel"), taskId: z.uuid(), traceparent });
type CancelCommand = z.infer<typeof CancelCommand>;

/** Asks for the cleaning up of sources that could not be reached when their task ended. */
export const CleanUpCommand = z.object({
  version: z.literal(1),
  type: z.literal("cleanUp"),
  taskId: z.uuid(),
  /** Counts how often it was asked. */
  attempt: z.number().int().positive(),
  /** What is reported of the clean-up is newer than all that workers up to this epoch reported of the task. */
  afterEpoch: z.number().int().nonnegative(),
  work: MigrationTaskWork,
  databases: z.array(z.object({ name: z.string(), end: z.enum(["COMPLETE", "CANCELLED", "FAILED"]) })).min(1),
  traceparent,
});
export type CleanUpCommand = z.infer<typeof CleanUpCommand>;

/**
 * Asks a worker to hand a task on because another one has more room. It is for the worker that had the task when it was sent;
 * any other lets it go.
 */
export const HandOnCommand = z.object({
  version: z.literal(1),
  type: z.literal("handOn"),
  taskId: z.uuid(),
  workerId: z.string(),
  /** So many tasks are the worker's share at the moment. */
  share: z.number().int().nonnegative(),
  /** When the worker said that it had the task: the same finding leads to the same message. */
  seenOn: z.string(),
  traceparent,
});
export type HandOnCommand = z.infer<typeof HandOnCommand>;

/** All commands. Messages may gain optional fields; they never change the meaning of one. */
export const Command = z.discriminatedUnion("type", [
  RunCommand,
  CutoverCommand,
  ReloadCommand,
  CancelCommand,
  CleanUpCommand,
  HandOnCommand,
]);
export type Command = z.infer<typeof Command>;

/** What even a worker that does not understand a command can say about it. */
export const UnknownCommand = z.object({ type: z.string(), taskId: z.uuid(), commandId: z.uuid().optional() });

/** Name of the queue that carries the commands of one service. Service Bus names know no case. */
export const commandsQueue = (serviceName: string): string => `commands-${serviceName.toLowerCase()}`;

/** The same command always has the same message id, so that sending it twice delivers it once. */
export function messageIdOf(command: Command): string {
  switch (command.type) {
    case "run":
      return `run-${command.taskId}`;
    case "cutover":
      return `cutover-${command.commandId}`;
    case "reload":
      return `reload-${command.commandId}`;
    case "cancel":
      return `cancel-${command.taskId}`;
    case "cleanUp":
      return `cleanUp-${command.taskId}-${command.attempt}`;
    case "handOn":
      return `handOn-${command.taskId}-${command.seenOn}`;
  }
}
