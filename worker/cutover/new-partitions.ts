import { reported, type ReportedError } from "../../contracts/errors.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { readTables } from "../source/catalog.ts";
import { type Prepared } from "../target/prepare.ts";
import { selectTables } from "../validation/select-tables.ts";

/**
 * Partitions that the source has got since the migration began, of tables that are migrated as a whole: they are in no
 * publication, and their rows would be missing without a word.
 */
export async function partitionErrors({ source, job, settings, signal }: Migration, prepared: Prepared): Promise<ReportedError[]> {
  const roots = new Set(prepared.tables.flatMap(({ definition: { partitionRoot } }) => (partitionRoot ? [tableKey(partitionRoot)] : [])));
  if (roots.size === 0) return [];
  const listed = new Set(prepared.tables.map(tableKey));
  const found = await withRetry(
    () => withConnection(source, { purpose: "cutover" }, (client) => readTables(client, prepared.sourceVersionNum)),
    { signal },
  );
  const { includeTables, excludeTables } = settings;
  const selectedTables = job.selected.selectedTables.map(({ name }) => name);
  return selectTables(found, { selectedTables, includeTables, excludeTables })
    .tables.filter((table) => table.partitionRoot && roots.has(tableKey(table.partitionRoot)) && !listed.has(tableKey(table)))
    .map((table) => reported("PartitionAdded", { table: displayName(table), detail: `${displayName(table)}.` }));
}
