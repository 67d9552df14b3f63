import { reported, type ReportedError } from "../../contracts/errors.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { type Column, copiedColumns, readTables } from "../source/catalog.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { type Prepared } from "../target/prepare.ts";
import { compareTables } from "./compare.ts";
import { type CutoverLog } from "./cutover-log.ts";

/** Tables that are compared at once; each takes one session on either side. */
const CONNECTIONS = 4;

/** Names of different tables in the error; the report has them all. */
const NAMES_MAX = 20;

/**
 * Compares the rows of both sides, table by table, as the setting asks.
 * @returns an error that names the tables that differ; empty when none does.
 */
export async function compareBothSides(migration: Migration, prepared: Prepared, log: CutoverLog): Promise<ReportedError[]> {
  const { tables, clientEncoding } = prepared;
  const { source, target, settings, board, signal, job } = migration;
  if (settings.compareAtCutover === "none") return [];
  const different: string[] = [];
  const columnsOf = await readComparedColumns(migration, prepared);
  let compared = 0;
  await compareTables({
    source,
    target,
    tables: tables.map((table) => ({ ...table, columns: columnsOf(table) })),
    mode: settings.compareAtCutover,
    connections: CONNECTIONS,
    clientEncoding,
    signal,
    onTable: (table, comparison) => {
      compared++;
      if (!comparison.equal) different.push(displayName(table));
      board.compared(table, comparison);
      board.change({ step: `comparing both sides (${compared} of ${tables.length})` });
    },
  });
  log.compared(compared, different.length);
  if (different.length === 0) return [];
  const named = different.slice(0, NAMES_MAX).join(", ");
  const rest = different.length > NAMES_MAX ? ` and ${different.length - NAMES_MAX} more` : "";
  return [reported("CutoverDifference", { detail: `${named}${rest}.`, databaseName: job.selected.name })];
}

/**
 * The columns that the source has now: one that was added on the way may hold other values in old rows than the target's,
 * and one that was dropped is of no interest any more.
 */
async function readComparedColumns(
  { source, signal }: Migration,
  { sourceVersionNum }: Prepared,
): Promise<(table: ListedTable) => readonly Column[]> {
  const found = await withRetry(() => withConnection(source, { purpose: "compare" }, (client) => readTables(client, sourceVersionNum)), {
    signal,
  });
  const definitions = new Map(found.map((table) => [tableKey(table), table]));
  return (table) => copiedColumns(definitions.get(tableKey(table)) ?? table.definition);
}
