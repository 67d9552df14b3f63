import { LSN_ZERO } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { readTables, type TableDefinition } from "../source/catalog.ts";
import { readPartitionConditions } from "../source/partition-conditions.ts";
import { showCounts } from "../target/known-progress.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { type Prepared } from "../target/prepare.ts";
import { readAppliedFrom } from "../target/table-rows.ts";
import { readSpread } from "../target/spread.ts";
import { readSuspended } from "../target/table-states.ts";
import { readTargetColumns, type TargetColumns } from "../target/target-columns.ts";
import { type SyncTarget } from "./sync-table.ts";

/** Fits the listed tables to what both sides have now. Columns that the target does not have any more are no longer expected. */
export async function readSyncTargets(migration: Migration, prepared: Prepared): Promise<Map<string, SyncTarget>> {
  const hasLanes = migration.settings.applyLanes > 1;
  const [{ columnsOf, appliedFrom, spreadOf }, { definitions, conditions }] = await Promise.all([
    withConnection(migration.target, { purpose: "tables" }, async (client) => ({
      columnsOf: await readTargetColumns(client, prepared.targetVersionNum),
      appliedFrom: await readAppliedFrom(client),
      spreadOf: hasLanes ? await readSpread(client) : undefined,
    })),
    readSource(migration, prepared),
  ]);
  return new Map(
    prepared.tables.map((table) => {
      const key = tableKey(table);
      const definition = definitions.get(key) ?? table.definition;
      return [
        key,
        {
          ...fitTarget(table, definition, columnsOf),
          ...(spreadOf ? { spread: spreadOf(table.target, table.keyColumns) } : {}),
          partitionCondition: conditions.get(definition.oid),
          ...(appliedFrom.get(key) ?? { snapshotLsn: LSN_ZERO }),
        },
      ];
    }),
  );
}

async function readSource(
  { source }: Migration,
  { tables, sourceVersionNum }: Prepared,
): Promise<{ definitions: Map<string, TableDefinition>; conditions: Map<number, string> }> {
  const shared = tables.filter(({ isTargetShared }) => isTargetShared).map(({ definition }) => definition.oid);
  return withConnection(source, { purpose: "tables" }, async (client) => ({
    definitions: new Map((await readTables(client, sourceVersionNum)).map((table) => [tableKey(table), table])),
    conditions: shared.length === 0 ? new Map() : await readPartitionConditions(client, sourceVersionNum, shared),
  }));
}

function fitTarget(table: ListedTable, definition: TableDefinition, columnsOf: TargetColumns): Omit<SyncTarget, "snapshotLsn"> {
  const { schema, name, sourceOid, target, isTargetPartitioned, isTargetShared, sourceColumns, keyColumns, isInsertOnly } = table;
  const targetColumns = columnsOf(target);
  return {
    schema,
    name,
    sourceOid,
    target,
    isTargetPartitioned,
    isTargetShared,
    targetColumns,
    sourceColumns: sourceColumns.filter((column) => targetColumns.has(column)),
    ignoredColumns: new Set(definition.columns.filter(({ isGenerated }) => isGenerated).map((column) => column.name)),
    sourceTypeNames: definition.columns.map(({ typeName }) => typeName),
    keyColumns,
    isInsertOnly,
  };
}

/** What earlier workers know of the tables goes on the board: their counters, and why some of them are suspended. */
export async function showTables({ target, board }: Migration): Promise<void> {
  const suspended = await withConnection(target, { purpose: "tables" }, async (client) => {
    await showCounts(board, client);
    return readSuspended(client);
  });
  for (const { schema, name, error, isReloadAsked } of suspended.values())
    if (error && !isReloadAsked) board.table({ schema, name }, { state: "ERROR", error });
}
