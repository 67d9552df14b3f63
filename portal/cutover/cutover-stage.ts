import type { CommandView, DatabaseLevelOutput } from "../../contracts/wire.ts";

/** Where the cutover of a database stands, for the panel that leads through it. */
export type CutoverStage = "notReady" | "ask" | "running" | "refused" | "done" | "failed";

/**
 * @param command the newest cutover command of the database
 * @param dismissed the refused command that the user has read and wants to try again after
 */
export function cutoverStage(
  { migrationState }: DatabaseLevelOutput,
  command: CommandView | undefined,
  dismissed: string | undefined,
): CutoverStage {
  switch (migrationState) {
    case "COMPLETE":
      return "done";
    case "FAILED":
    case "CANCELLED":
    case "CANCELLING":
      return "failed";
    case "COMPLETING":
      return "running";
    case "READY_TO_COMPLETE":
      return stageOfCommand(command, dismissed);
    default:
      return "notReady";
  }
}

function stageOfCommand(command: CommandView | undefined, dismissed: string | undefined): CutoverStage {
  if (command === undefined || command.commandId === dismissed) return "ask";
  if (command.state === "Accepted" || command.state === "Running") return "running";
  return command.state === "Failed" ? "refused" : "ask";
}

/** The newest cutover command of one database; they are listed in the order in which they were given. */
export const lastCommand = (commands: readonly CommandView[], databaseName: string): CommandView | undefined =>
  commands.findLast(({ commandType, input }) => commandType === "Migrate.Sync.Complete.Database" && input.databaseName === databaseName);
