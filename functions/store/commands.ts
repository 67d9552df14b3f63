import { z } from "zod";
import { FenceChoice } from "../../contracts/commands.ts";
import { ReportedError } from "../../contracts/errors.ts";
import { COMMAND_STATES } from "../../contracts/lifecycle.ts";
import { COMMAND_TYPES, CUTOVER_COMMAND } from "../../contracts/wire.ts";
import { encodeKey, encodeNames, type RowKey } from "./keys.ts";

/** One command about one database, as asked for. */
export const CommandRow = z.object({
  taskId: z.uuid(),
  commandId: z.uuid(),
  commandType: z.enum(COMMAND_TYPES).default(CUTOVER_COMMAND),
  /** Counts the commands of this database from 1: one that was refused may be asked for again. */
  attempt: z.number(),
  databaseName: z.string(),
  commitTimeStamp: z.string().optional(),
  fence: FenceChoice,
  tableNames: z.array(z.string()).optional(),
  state: z.enum(COMMAND_STATES),
  createdOn: z.string(),
  endedOn: z.string().nullable().default(null),
  errors: z.array(ReportedError),
  dispatch: z.enum(["pending", "sent"]),
  stamp: z.object({ epoch: z.number(), sequence: z.number() }).nullable(),
  /** Whether its outcome was told on the topic of events. */
  announced: z.boolean().default(false),
});
export type CommandRow = z.infer<typeof CommandRow>;

export const isCommandOpen = (command: CommandRow): boolean => command.state === "Accepted" || command.state === "Running";

export const commandColumns = (command: CommandRow): { open: boolean; untold: boolean } => {
  const open = isCommandOpen(command);
  return { open, untold: !open && !command.announced };
};

export const commandsPartition = (taskId: string): string => encodeNames(taskId);

/** Two requests that ask for the same attempt at once meet on one key. */
export const commandKey = ({ taskId, databaseName, attempt }: Pick<CommandRow, "taskId" | "databaseName" | "attempt">): RowKey => ({
  partitionKey: commandsPartition(taskId),
  rowKey: `${encodeKey(databaseName)}|${String(attempt).padStart(6, "0")}`,
});

export const commandsOfTask = (taskId: string): string => `PartitionKey eq '${commandsPartition(taskId)}'`;
