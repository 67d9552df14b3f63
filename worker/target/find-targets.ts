import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { readPartitionedTables, readTables, type TableDefinition } from "../source/catalog.ts";

/** What the target has to put rows into. */
export interface TargetTables {
  readonly plain: readonly TableDefinition[];
  readonly partitioned: readonly TableDefinition[];
}

/** Where the rows of a source table go. */
export interface FoundTarget {
  readonly definition: TableDefinition;
  /** Rows are written to the partitioned table, which sorts them into its own partitions. */
  readonly isPartitioned: boolean;
}

export const readTargetTables = async (client: pg.ClientBase, versionNum: number): Promise<TargetTables> => ({
  plain: await readTables(client, versionNum),
  partitioned: await readPartitionedTables(client, versionNum),
});

/**
 * Finds for each table of the source the one of the target that takes its rows, by tableKey of the source's; tables that
 * have none are left out. Pure.
 *
 * A partition goes to its namesake when the whole table is cut alike on both sides. If not, all of its partitions go to the
 * target's table of the root's name, partitioned otherwise or not at all: some of them straight to a namesake and some by
 * the root could not be told apart any more.
 */
export function findTargets(source: readonly TableDefinition[], target: TargetTables): Map<string, FoundTarget> {
  const plain = byName(target.plain);
  const partitioned = byName(target.partitioned);
  const named = (name: TableName): FoundTarget | undefined => {
    const leaf = plain.get(tableKey(name));
    if (leaf) return { definition: leaf, isPartitioned: false };
    const whole = partitioned.get(tableKey(name));
    return whole && { definition: whole, isPartitioned: true };
  };
  const found = new Map<string, FoundTarget>();
  for (const tables of byRoot(source)) {
    const root = tables[0]?.partitionRoot;
    const isDirect = root === undefined || isCutAlike(tables, target.plain);
    for (const table of tables) {
      const goesTo = (isDirect ? undefined : named(root)) ?? named(table);
      if (goesTo) found.set(tableKey(table), goesTo);
    }
  }
  return found;
}

/** Every table has a namesake that takes exactly its rows: a partition of the same bounds, or a table by itself. */
function isCutAlike(tables: readonly TableDefinition[], target: readonly TableDefinition[]): boolean {
  const namesakes = byName(target);
  const isAlike = tables.every((table) => {
    const namesake = namesakes.get(tableKey(table));
    return namesake !== undefined && (namesake.partitionPath ?? table.partitionPath) === table.partitionPath;
  });
  if (!isAlike || !tables.some(({ partitionPath }) => partitionPath?.includes("DEFAULT") === true)) return isAlike;
  // A default partition takes what no other does, so the others must be the same.
  const ours = new Set(tables.map(tableKey));
  const roots = new Set(tables.flatMap((table) => rootKey(namesakes.get(tableKey(table)))));
  return target.every((table) => ours.has(tableKey(table)) || !rootKey(table).some((key) => roots.has(key)));
}

const rootKey = (table: TableDefinition | undefined): string[] => (table?.partitionRoot ? [tableKey(table.partitionRoot)] : []);

const byName = (tables: readonly TableDefinition[]): ReadonlyMap<string, TableDefinition> =>
  new Map(tables.map((table) => [tableKey(table), table]));

/** Partitions of one table together; every other table by itself. */
function byRoot(tables: readonly TableDefinition[]): TableDefinition[][] {
  const groups = new Map<string, TableDefinition[]>();
  for (const table of tables) {
    const key = JSON.stringify(table.partitionRoot ? ["root", tableKey(table.partitionRoot)] : ["table", tableKey(table)]);
    groups.set(key, [...(groups.get(key) ?? []), table]);
  }
  return [...groups.values()];
}
