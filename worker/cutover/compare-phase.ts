import { reported, type ReportedError } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { pinnedColumns } from "../target/listed-tables.ts";
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
export async function compareBothSides(
  migration: Migration,
  { tables, clientEncoding }: Prepared,
  log: CutoverLog,
): Promise<ReportedError[]> {
  const { source, target, settings, board, signal, job } = migration;
  if (settings.compareAtCutover === "none") return [];
  const different: string[] = [];
  let compared = 0;
  await compareTables({
    source,
    target,
    tables: tables.map((table) => ({ ...table, columns: pinnedColumns(table) })),
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
