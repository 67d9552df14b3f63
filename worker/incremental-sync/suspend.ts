import { MigrationError, type ReportedError, reportedFrom } from "../../contracts/errors.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { isTransient } from "../postgres/failures.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";
import { suspendTables } from "../target/table-states.ts";

/** These tables, and all others that go to the same tables of the target: they can only be emptied together. */
export function withNeighbours(all: readonly ListedTable[], tables: readonly TableName[]): ListedTable[] {
  const wanted = new Set(tables.map(tableKey));
  const targets = new Set(all.filter((table) => wanted.has(tableKey(table))).map(({ target }) => tableKey(target)));
  return all.filter(({ target }) => targets.has(tableKey(target)));
}

/** The tables that an error is about, when it is about tables and stays while nothing is mended. */
export function tablesInTrouble({ tables }: Prepared, thrown: unknown): ListedTable[] {
  if (!(thrown instanceof MigrationError) || thrown.kind === "LostOwnership" || isTransient(thrown)) return [];
  const { table } = thrown.detail;
  return table === undefined ? [] : tables.filter((each) => displayName(each) === table);
}

/** Leaves tables out from now on, and says why; what a worker that takes over finds written down. */
export async function suspend(migration: Migration, tables: readonly ListedTable[], error: ReportedError): Promise<void> {
  const { target, ownership, board, log } = migration;
  await withConnection(target, { purpose: "suspend" }, (client) =>
    inOwnedTransaction(client, ownership, () => suspendTables(client, tables, error)),
  );
  for (const table of tables) {
    board.table(table, { state: "ERROR", error, lastModifiedTime: new Date().toISOString() });
    log.warn({ event: "table.suspended", schema: table.schema, table: table.name, code: error.code }, "a table is suspended");
  }
}

/** Why a table is suspended, with what to do about it. */
export function whySuspended(migration: Migration, thrown: unknown, after: string): ReportedError {
  const error = reportedFrom(thrown, { databaseName: migration.job.selected.name });
  return { ...error, severity: "error", remedy: `${error.remedy ?? ""} ${after}`.trim() };
}
