import { MigrationError } from "../../contracts/errors.ts";
import { laterLsn, type Lsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { displayName } from "../../contracts/tables.ts";
import { type Change } from "./change.ts";
import { type SyncTable } from "./sync-table.ts";
import { type Tuple, valuesOf, withUnchangedFrom } from "./tuple.ts";

/** Rows of a table whose key lies between `from` (included) and `to` (not included), as of the snapshot at `lsn`. */
export interface LoadedPart {
  /** First column of the primary key, a whole number. */
  readonly column: string;
  readonly from: bigint | undefined;
  readonly to: bigint | undefined;
  readonly lsn: Lsn;
}

/** The parts of a table that was loaded under several snapshots. */
export interface LoadedParts {
  readonly parts: readonly LoadedPart[];
  /** Changes that commit from here on are in none of the parts. */
  readonly alikeFrom: Lsn;
}

export const loadedParts = (parts: readonly LoadedPart[]): LoadedParts => ({
  parts,
  alikeFrom: parts.reduce((latest, { lsn }) => laterLsn(latest, lsn), LSN_ZERO),
});

/** A change of one row. */
export type RowChange = Exclude<Change, { kind: "truncate" }>;

/**
 * What is left to be done of a row's change, where the parts that its key lies in before and after it are of different
 * snapshots: some have it in their loaded rows already. A row that moves into a part which lacks it is inserted there; one
 * that moves out of such a part is deleted. Pure.
 * @param isNew whether the change committed at or after a snapshot's position.
 * @returns undefined when the loaded rows have all of it.
 * @throws MigrationError ApplyFailed, with the table, for a row that moves from a part which has it to one that lacks it and
 * comes without a value that it keeps: nobody has the value of that moment.
 */
export function changeOfParts(change: RowChange, { parts }: LoadedParts, isNew: (lsn: Lsn) => boolean): RowChange | undefined {
  const { table } = change;
  const lacks = (row: Tuple): boolean => isNew(partOf(table, parts, row).lsn);
  if (change.kind === "insert") return lacks(change.row) ? change : undefined;
  if (change.kind === "delete") return lacks(change.old) ? change : undefined;
  const old = change.old ?? change.row;
  const [lacksOld, lacksNew] = [lacks(old), lacks(change.row)];
  if (lacksOld === lacksNew) return lacksOld ? change : undefined;
  return lacksOld ? { kind: "delete", table, old } : { kind: "insert", table, row: complete(table, old, change.row) };
}

function partOf(table: SyncTable, parts: readonly LoadedPart[], row: Tuple): LoadedPart {
  const [first] = parts;
  const column = table.columns.find(({ name }) => name === first?.column);
  const text = (column && valuesOf(row)[column.position])?.toString("latin1");
  const key = text === undefined ? undefined : BigInt(text);
  const part = parts.find(({ from, to }) => key !== undefined && (from === undefined || key >= from) && (to === undefined || key < to));
  if (!part) throw new RangeError(`no part of ${displayName(table.definition)} holds the key ${String(text)}`);
  return part;
}

/**
 * Where the source logs whole rows the old one has what the new one keeps. One that has only a key says NULL for all else, which
 * an unchanged value never is: it lies in the TOAST table.
 */
function complete(table: SyncTable, old: Tuple, row: Tuple): Tuple {
  const whole = withUnchangedFrom(old, row);
  const values = valuesOf(whole);
  if (valuesOf(row).every((value, n) => value !== undefined || values[n])) return whole;
  throw new MigrationError("ApplyFailed", {
    table: displayName(table.definition),
    detail: "The key of a row changed while the table was loaded under two snapshots, and a long value that it kept is in neither.",
    remedy: "Reload the table.",
  });
}
