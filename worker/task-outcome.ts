import { type ReportedError } from "../contracts/errors.ts";
import { type TaskEvent } from "../contracts/lifecycle.ts";
import { type DatabaseEnd } from "./database-job.ts";

/** How one database of a task ended. */
export interface EndedDatabase {
  readonly end: DatabaseEnd;
  /** The checks refused it before anything was touched. */
  readonly wasRefused: boolean;
  readonly errors: readonly ReportedError[];
}

/** What a task has come to once all its databases have ended. A single failure makes the whole task red. */
export function taskOutcome(databases: readonly EndedDatabase[]): { event: TaskEvent; errors: ReportedError[] } {
  const errors = databases.flatMap((database) => database.errors);
  const failed = databases.filter(({ end }) => end === "FAILED");
  if (failed.length > 0) return { event: failed.every(({ wasRefused }) => wasRefused) ? "inputRefused" : "faulted", errors };
  if (databases.some(({ end }) => end === "CANCELLED")) return { event: "cancelled", errors };
  return { event: "succeeded", errors };
}
