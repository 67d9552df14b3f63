import { type Change } from "./change.ts";
import { type SyncTable } from "./sync-table.ts";
import { columnOffsets, hasUnchanged, keyOf, kindAt, type Tuple, UNCHANGED_KIND, withUnchangedFrom } from "./tuple.ts";

/**
 * The net effect of many changes on the rows of one table, each row at most once in all of it: apply deletes, then
 * updates, then inserts.
 */
export interface NetChanges {
  readonly table: SyncTable;
  /** Rows (any version of them) whose key is to be deleted. */
  readonly deletes: readonly Tuple[];
  /** New rows; values that were not sent keep what the target has. */
  readonly updates: readonly Tuple[];
  readonly inserts: readonly Tuple[];
}

/** A stretch of the stream that can be applied set-wise, or one change that must be applied alone and in its place. */
export type Segment =
  { readonly kind: "net"; readonly tables: readonly NetChanges[] } | { readonly kind: "single"; readonly change: Change };

/**
 * The net state of one row: what is on the target before (`deleteOld`: a row that must go first) and what must be there
 * after (`row`).
 */
type Net =
  | { readonly kind: "insert"; row: Tuple }
  | { readonly kind: "update"; row: Tuple }
  | { readonly kind: "delete"; readonly old: Tuple }
  | { readonly kind: "replace"; readonly old: Tuple; row: Tuple };

/**
 * Folds changes, in the order of the source, into segments of net changes. A change that cannot be folded (TRUNCATE, a
 * table whose rows have no key, a key that changes together with a value that was not sent) ends a segment and stands alone.
 */
export function fold(changes: readonly Change[]): Segment[] {
  const segments: Segment[] = [];
  const oneKind = tablesOfOneKind(changes);
  let current = new Map<SyncTable, TableRows>();
  const close = (): void => {
    const tables = [...current].flatMap(([table, rows]) => inStages(toNetChanges(table, rows))).filter(isNotEmpty);
    tables.sort((a, b) => stageOf(a) - stageOf(b));
    if (tables.length > 0) segments.push({ kind: "net", tables });
    current = new Map();
  };
  for (const change of changes) {
    if (isToldAnew(current, change)) close();
    if (foldInto(current, change, oneKind)) continue;
    close();
    segments.push({ kind: "single", change });
  }
  close();
  return segments;
}

/**
 * The stream has described the table once more: it is another one here, whose rows would be folded beside those of the first,
 * and where several tables go to one target their order would be lost (see inStages).
 */
function isToldAnew(current: ReadonlyMap<SyncTable, unknown>, change: Change): boolean {
  if (change.kind === "truncate" || change.table.definition.isTargetShared !== true || current.has(change.table)) return false;
  return [...current.keys()].some(({ definition }) => definition === change.table.definition);
}

/** The rows of one table that changed. Where all changes are of one kind no row comes twice: they are listed without their keys. */
interface TableRows {
  readonly byKey: Map<string, Net>;
  readonly inserts: Tuple[];
  readonly deletes: Tuple[];
}

/** Tables that rows are only inserted into, or only deleted from. */
function tablesOfOneKind(changes: readonly Change[]): ReadonlySet<SyncTable> {
  const kinds = new Map<SyncTable, Change["kind"] | "several">();
  for (const change of changes) {
    if (change.kind === "truncate") continue;
    const known = kinds.get(change.table);
    if (known === undefined) kinds.set(change.table, change.kind);
    else if (known !== change.kind) kinds.set(change.table, "several");
  }
  return new Set([...kinds].flatMap(([table, kind]) => (kind === "insert" || kind === "delete" ? table : [])));
}

/** Folds one change into the rows; false, with nothing changed, when it cannot be folded. */
function foldInto(current: Map<SyncTable, TableRows>, change: Change, oneKind: ReadonlySet<SyncTable>): boolean {
  if (change.kind === "truncate" || change.table.keyPositions.length === 0) return false;
  let rows = current.get(change.table);
  if (!rows) {
    rows = { byKey: new Map<string, Net>(), inserts: [], deletes: [] };
    current.set(change.table, rows);
  }
  if (change.kind === "update") return updateRow(rows.byKey, change);
  if (oneKind.has(change.table)) return change.kind === "insert" ? rows.inserts.push(change.row) > 0 : rows.deletes.push(change.old) > 0;
  return change.kind === "insert"
    ? insertRow(rows.byKey, rowKey(change.table, change.row), change.row)
    : deleteRow(rows.byKey, rowKey(change.table, change.old), change.old);
}

/** The key of a row, from the row itself. */
const rowKey = (table: SyncTable, row: Tuple): string => keyOf(row, table.keyPositions);

/** A part of the key was not sent, since it is stored out of line: only the old row tells which row this is. */
function isKeyUnchanged(table: SyncTable, row: Tuple): boolean {
  const offsets = columnOffsets(row, []);
  return table.keyPositions.some((position) => kindAt(row, offsets[position] ?? row.end) === UNCHANGED_KIND);
}

function insertRow(rows: Map<string, Net>, key: string, row: Tuple): boolean {
  const known = rows.get(key);
  if (known === undefined) rows.set(key, { kind: "insert", row });
  else if (known.kind === "delete") rows.set(key, { kind: "replace", old: known.old, row });
  else return false; // The source cannot have had the row twice: let the target say what is wrong.
  return true;
}

function updateRow(rows: Map<string, Net>, { table, old, row }: Extract<Change, { kind: "update" }>): boolean {
  const key = rowKey(table, row);
  if (hasUnchanged(row) && isKeyUnchanged(table, row)) return false;
  const oldKey = old === undefined ? key : rowKey(table, old);
  if (key === oldKey) return setRow(rows, key, row);
  return moveRow(rows, { key, oldKey, old: old as Tuple, row });
}

/** Nothing is made for a row that is updated again: in many workloads a few rows are updated all the time. */
function setRow(rows: Map<string, Net>, key: string, row: Tuple): boolean {
  const known = rows.get(key);
  if (known === undefined) rows.set(key, { kind: "update", row });
  else if (known.kind === "delete") return false;
  else known.row = withUnchangedFrom(known.row, row);
  return true;
}

/** A row that got another key is a row deleted and a row inserted, if all its values are at hand. */
function moveRow(rows: Map<string, Net>, { key, oldKey, old, row }: { key: string; oldKey: string; old: Tuple; row: Tuple }): boolean {
  const known = rows.get(oldKey);
  if (known?.kind === "delete") return false;
  const whole = known === undefined ? row : withUnchangedFrom(known.row, row);
  const there = rows.get(key);
  if (hasUnchanged(whole) || (there !== undefined && there.kind !== "delete")) return false;
  return deleteRow(rows, oldKey, old) && insertRow(rows, key, whole);
}

function deleteRow(rows: Map<string, Net>, key: string, old: Tuple): boolean {
  const known = rows.get(key);
  if (known === undefined || known.kind === "update") rows.set(key, { kind: "delete", old });
  else if (known.kind === "insert") rows.delete(key);
  else if (known.kind === "replace") rows.set(key, { kind: "delete", old: known.old });
  else return false;
  return true;
}

function toNetChanges(table: SyncTable, { byKey, inserts, deletes }: TableRows): NetChanges {
  const updates: Tuple[] = [];
  for (const net of byKey.values()) {
    if (net.kind === "delete" || net.kind === "replace") deletes.push(net.old);
    if (net.kind === "update") updates.push(net.row);
    if (net.kind === "insert" || net.kind === "replace") inserts.push(net.row);
  }
  return { table, deletes, updates, inserts };
}

/**
 * A row that moves between partitions is deleted from one table of the source and inserted into another, and both may go to
 * one table of the target: there the old row must be gone before the new one comes, whichever table was met first.
 */
function inStages(net: NetChanges): NetChanges[] {
  if (net.table.definition.isTargetShared !== true) return [net];
  const none = { table: net.table, deletes: [], updates: [], inserts: [] };
  return [
    { ...none, deletes: net.deletes },
    { ...none, updates: net.updates },
    { ...none, inserts: net.inserts },
  ];
}

/** Tables that have their targets to themselves may come at any time. */
const stageOf = ({ table, deletes, updates }: NetChanges): number =>
  table.definition.isTargetShared !== true || deletes.length > 0 ? 0 : updates.length > 0 ? 1 : 2;

const isNotEmpty = ({ deletes, updates, inserts }: NetChanges): boolean => deletes.length + updates.length + inserts.length > 0;
