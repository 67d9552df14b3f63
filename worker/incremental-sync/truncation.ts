import { MigrationError } from "../../contracts/errors.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { type Change } from "./change.ts";
import { type SyncTable, type SyncTarget } from "./sync-table.ts";

type Truncation = Extract<Change, { kind: "truncate" }>;

/**
 * The truncation of tables of the source as one of the target's. A partition whose rows lie among others there is emptied
 * by its condition, unless all that lies there was truncated with it. Pure.
 * @throws MigrationError ApplyFailed, with the table, when no condition tells its rows from the others'.
 */
export function truncationOf(
  tables: readonly SyncTable[],
  options: Pick<Truncation, "cascade" | "restartIdentity" | "sparesOthers">,
  targets: ReadonlyMap<string, SyncTarget>,
): Truncation {
  const partial = tables.filter(({ definition }) => definition.isTargetShared === true && !isWhole(definition, tables, targets));
  for (const { definition } of partial) if (definition.partitionCondition === undefined) throw notToBeTold(definition);
  const emptied = new Map(tables.filter((table) => !partial.includes(table)).map((table) => [table.targetSql, table]));
  return { kind: "truncate", tables: [...emptied.values()], partial, ...options };
}

/** All that lies in the table's target is truncated. */
function isWhole(table: SyncTarget, truncated: readonly SyncTable[], targets: ReadonlyMap<string, SyncTarget>): boolean {
  const emptied = new Set(truncated.map(({ definition }) => tableKey(definition)));
  const goesTo = tableKey(table.target);
  return [...targets.values()].every((other) => tableKey(other.target) !== goesTo || emptied.has(tableKey(other)));
}

const notToBeTold = (table: SyncTarget): MigrationError =>
  new MigrationError("ApplyFailed", {
    table: displayName(table),
    detail: "A partition was truncated on the source, and the target's table, which is cut otherwise, cannot tell its rows.",
    remedy: "Reload the table, or give the target the same partitions and start a new migration.",
  });
