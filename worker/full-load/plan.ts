import { tableKey, type TableName } from "../../contracts/tables.ts";
import { type Settings } from "../../contracts/settings.ts";
import { type Column, type TableDefinition } from "../source/catalog.ts";
import { copyFormat, type CopyFormat } from "./copy-format.ts";
import { cutPages, cutValues, WHOLE, type PartRange } from "./part-range.ts";

/** A table to load: the source's definition, and where its rows go. */
export interface LoadTable extends TableName {
  readonly definition: TableDefinition;
  readonly target: TableName;
  /** Rows of several source tables may go to one partitioned table of the target. */
  readonly isTargetPartitioned: boolean;
  /** Columns that are copied, pinned when the migration began. */
  readonly sourceColumns: readonly string[];
  readonly targetColumns: ReadonlyMap<string, Column>;
}

export interface PlannedPart {
  /** From 0. */
  readonly part: number;
  readonly range: PartRange;
}

export interface TablePlan {
  readonly table: LoadTable;
  readonly format: CopyFormat;
  /** Columns that are copied, with the types that the format was chosen for. None at all is possible: CREATE TABLE t (). */
  readonly columns: readonly Pick<Column, "name" | "typeOid">[];
  readonly parts: readonly PlannedPart[];
}

/** Largest table first, so that the last streams do not end up waiting for it. */
export type LoadPlan = readonly TablePlan[];

export interface PlanFacts {
  readonly sourceVersionNum: number;
  /** Values of the first key column by tableKey, ascending: two or more, of tables that cutsByKey names. */
  readonly keyValues?: ReadonlyMap<string, readonly bigint[]>;
}

type PlanSettings = Pick<Settings, "largeTablePartMB" | "onExistingRows">;

/** TID range scans came with 14; before it, a ctid range reads the whole table. */
const CTID_RANGES_SINCE = 140_000;

/** A table of many terabytes would otherwise get more parts than anybody can follow. */
const PARTS_MAX = 10_000;

const MEGABYTE = 1024 * 1024;

const INTEGER_TYPES = new Set([20 /* int8 */, 21 /* int2 */, 23 /* int4 */]);

/**
 * Decides how each table is copied: in which format, and in which parts. Pure.
 *
 * With onExistingRows `append` tables are never cut: the rows that were there before forbid to empty a table that was half
 * loaded when the worker died, and one part is loaded as a whole or not at all.
 */
export function planLoad(tables: readonly LoadTable[], settings: PlanSettings, facts: PlanFacts): LoadPlan {
  const bySize = [...tables].sort((a, b) => b.definition.sizeBytes - a.definition.sizeBytes);
  return bySize.map((table) => {
    const pinned = new Set(table.sourceColumns);
    const columns = table.definition.columns.filter(({ name, isGenerated }) => pinned.has(name) && !isGenerated);
    return {
      table,
      format: copyFormat(columns, table.targetColumns, facts.sourceVersionNum),
      columns,
      parts: rangesOf(table, settings, facts).map((range, part) => ({ part, range })),
    };
  });
}

function rangesOf(table: LoadTable, settings: PlanSettings, facts: PlanFacts): readonly PartRange[] {
  const count = partCount(table.definition, settings);
  if (count < 2) return [WHOLE];
  if (facts.sourceVersionNum >= CTID_RANGES_SINCE) return cutPages(table.definition.pages, count);
  const column = integerKey(table.definition);
  const values = facts.keyValues?.get(tableKey(table));
  return column !== undefined && values ? cutValues(column, values, count) : [WHOLE];
}

function partCount({ sizeBytes }: TableDefinition, { largeTablePartMB, onExistingRows }: PlanSettings): number {
  if (onExistingRows === "append") return 1;
  return Math.min(PARTS_MAX, Math.ceil(sizeBytes / (largeTablePartMB * MEGABYTE)));
}

/** The first column of the primary key, if it is a whole number: it is never NULL, and an index finds its ranges. */
export function integerKey({ primaryKey, columns }: TableDefinition): string | undefined {
  const first = columns.find(({ name }) => name === primaryKey[0]);
  return first && INTEGER_TYPES.has(first.typeOid) ? first.name : undefined;
}

/** The tables that are to be cut by key, so that values of their keys must be read before planning. */
export function cutsByKey(tables: readonly LoadTable[], settings: PlanSettings, sourceVersionNum: number): LoadTable[] {
  if (sourceVersionNum >= CTID_RANGES_SINCE) return [];
  return tables.filter(({ definition }) => partCount(definition, settings) > 1 && integerKey(definition) !== undefined);
}
