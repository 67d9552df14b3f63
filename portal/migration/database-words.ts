import type { DatabaseLevelOutput } from "../../contracts/wire.ts";
import { texts } from "../texts.ts";

/** What is going on, in words: the worker's own where it says so, the portal's of old otherwise. */
export function detailsOf({ migrationState, initializationCompleted, step }: DatabaseLevelOutput): string {
  const words = texts.migration.databaseDetails;
  const own = migrationState === "RUNNING" && initializationCompleted ? words.syncing : words[migrationState];
  return step && migrationState !== "COMPLETE" && migrationState !== "CANCELLED" ? step : own;
}

/** How much of the full load is done, 0 to 1: by bytes where their number is known, else by tables. */
export function loadedShare(output: DatabaseLevelOutput): number {
  if (output.initializationCompleted) return 1;
  const { fullLoadBytes, fullLoadTotalBytesEstimate } = output;
  // The catalog's size is an estimate and may be overtaken; only the end is the end.
  if (fullLoadTotalBytesEstimate > 0) return Math.min(0.99, fullLoadBytes / fullLoadTotalBytesEstimate);
  const tables = tableCount(output);
  return tables > 0 ? Math.min(0.99, output.fullLoadCompletedTables / tables) : 0;
}

const tableCount = (output: DatabaseLevelOutput): number =>
  output.fullLoadCompletedTables + output.fullLoadLoadingTables + output.fullLoadQueuedTables + output.fullLoadErroredTables;
