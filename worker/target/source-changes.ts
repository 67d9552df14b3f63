import type pg from "pg";
import { type DatabaseEnd } from "../database-job.ts";
import { type MigrationRow, readMigration } from "./bookkeeping.ts";

/** What the migration changed on its source for as long as it runs, by the target's bookkeeping: its only record. */
export interface SourceChanges extends Pick<MigrationRow, "epoch" | "plugin" | "isFenced"> {
  /** Tables that had no replica identity, and have all their columns for it now. */
  readonly changedIdentities: readonly { readonly schema: string; readonly name: string }[];
}

/** @returns undefined when the target holds nothing of this task, so that nothing was changed, or all of it was given back. */
export async function readSourceChanges(client: pg.ClientBase, taskId: string): Promise<SourceChanges | undefined> {
  const row = await readMigration(client);
  if (row?.taskId !== taskId) return undefined;
  const { rows } = await client.query<{ schema: string; name: string }>(
    "SELECT schema_name AS schema, table_name AS name FROM pgdms.table_sync WHERE had_no_identity AND NOT is_insert_only",
  );
  return { ...row, changedIdentities: rows };
}

/** Whether something is still to be given back. A cutover that is done leaves its fence. */
export const owesSource = ({ isFenced, changedIdentities }: SourceChanges, end: DatabaseEnd): boolean =>
  changedIdentities.length > 0 || (isFenced && end !== "COMPLETE");

/** All of it was given back. */
export async function forgetSourceChanges(client: pg.ClientBase, taskId: string): Promise<void> {
  await client.query(
    "UPDATE pgdms.table_sync SET had_no_identity = false WHERE had_no_identity AND EXISTS (SELECT FROM pgdms.migration WHERE task_id = $1)",
    [taskId],
  );
  await client.query("UPDATE pgdms.migration SET is_fenced = false WHERE is_fenced AND task_id = $1", [taskId]);
}
