import type pg from "pg";
import { formatLsn, laterLsn, LSN_ZERO, parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { type PartRange } from "./part-range.ts";
import { type TablePlan } from "./plan.ts";

/** What the target's bookkeeping says of one part (pgdms.table_load). A part is loaded as a whole or not at all. */
export interface LedgerPart extends TableName {
  readonly part: number;
  readonly range: PartRange;
  readonly isDone: boolean;
  /** The snapshot's position; null until the part is done. */
  readonly snapshotLsn: Lsn | null;
  /** Number of the source table's file then (pg_class.relfilenode): whoever rewrites the table gives it another. */
  readonly sourceFile: number | null;
  readonly rows: number;
  readonly bytes: number;
  /** ISO 8601; null until the part is done. */
  readonly startedOn: string | null;
  readonly endedOn: string | null;
}

interface Row {
  readonly schema_name: string;
  readonly table_name: string;
  readonly part: number;
  readonly range_kind: string;
  readonly range_from: string | null;
  readonly range_to: string | null;
  readonly range_column: string | null;
  readonly state: string;
  readonly snapshot_lsn: string | null;
  readonly source_file: number | null;
  readonly rows: string;
  readonly bytes: string;
  readonly started_on: string | null;
  readonly ended_on: string | null;
}

/** The bound of a range as the bookkeeping has it; undefined: open. */
export const bound = (text: string | null): bigint | undefined => (text === null ? undefined : BigInt(text));

function toRange(row: Row): PartRange {
  const [from, to] = [bound(row.range_from), bound(row.range_to)];
  if (row.range_kind === "ctid") return { kind: "ctid", from: from ?? 0n, to };
  if (row.range_kind === "key" && row.range_column !== null) return { kind: "key", column: row.range_column, from, to };
  return { kind: "whole" };
}

const isoTime = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`;

/** Reads the whole ledger, tables by name, parts in order. */
export async function readLedger(target: pg.ClientBase): Promise<LedgerPart[]> {
  const { rows } = await target.query<Row>(
    `SELECT schema_name, table_name, part, range_kind, range_column, range_from, range_to, state,
            snapshot_lsn::text AS snapshot_lsn, source_file, rows, bytes,
            ${isoTime("started_on")}, ${isoTime("ended_on")}
       FROM pgdms.table_load ORDER BY schema_name, table_name, part`,
  );
  return rows.map((row) => ({
    schema: row.schema_name,
    name: row.table_name,
    part: row.part,
    range: toRange(row),
    isDone: row.state === "done",
    snapshotLsn: row.snapshot_lsn === null ? null : parseLsn(row.snapshot_lsn),
    sourceFile: row.source_file,
    rows: Number(row.rows),
    bytes: Number(row.bytes),
    startedOn: row.started_on,
    endedOn: row.ended_on,
  }));
}

/** Replaces what the ledger has of these tables by their planned parts, none of them done. For use in an owned transaction. */
export async function enterParts(target: pg.ClientBase, tables: readonly TablePlan[]): Promise<void> {
  await forgetTables(
    target,
    tables.map(({ table }) => table),
  );
  const rows = tables.flatMap(({ table, parts }) =>
    parts.map(({ part, range }) => ({ ...toRow(table, part, range), parts: parts.length })),
  );
  await target.query(
    `INSERT INTO pgdms.table_load (schema_name, table_name, part, parts, range_kind, range_column, range_from, range_to)
     SELECT r->>'schema', r->>'name', (r->>'part')::int, (r->>'parts')::int, r->>'kind', r->>'column', r->>'from', r->>'to'
       FROM jsonb_array_elements($1::jsonb) AS r`,
    [JSON.stringify(rows)],
  );
}

/** Enters a table that holds what the snapshot holds although nothing was copied. For use in an owned transaction. */
export async function enterKept(
  target: pg.ClientBase,
  { schema, name }: TableName,
  { lsn, rows }: { lsn: Lsn; rows: string },
): Promise<void> {
  await target.query(
    `INSERT INTO pgdms.table_load (schema_name, table_name, part, parts, range_kind, state, snapshot_lsn, rows, started_on, ended_on)
     VALUES ($1, $2, 0, 1, 'whole', 'done', $3, $4, now(), now()) ON CONFLICT DO NOTHING`,
    [schema, name, formatLsn(lsn), rows],
  );
}

/** Takes tables out of the ledger. For use in an owned transaction that also empties them. */
async function forgetTables(target: pg.ClientBase, tables: readonly TableName[]): Promise<void> {
  await target.query(
    `DELETE FROM pgdms.table_load
      WHERE (schema_name, table_name) IN (SELECT r->>'schema', r->>'name' FROM jsonb_array_elements($1::jsonb) AS r)`,
    [JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })))],
  );
}

function toRow({ schema, name }: TableName, part: number, range: PartRange): Record<string, string | number | null> {
  const [from, to] = range.kind === "whole" ? [undefined, undefined] : [range.from, range.to];
  return {
    schema,
    name,
    part,
    kind: range.kind,
    column: range.kind === "key" ? range.column : null,
    from: from === undefined ? null : String(from),
    to: to === undefined ? null : String(to),
  };
}

/** How far a table has come, summed over its parts. */
export interface TableLoad extends TableName {
  readonly isLoaded: boolean;
  readonly rows: number;
  readonly bytes: number;
  readonly partsDone: number;
  readonly parts: number;
  /** Position of the snapshot of all parts, or of the latest; null while the table is not loaded. */
  readonly snapshotLsn: Lsn | null;
  /** Of the first part. */
  readonly startedOn: string | null;
  /** Of the last part that is done. */
  readonly endedOn: string | null;
}

const earlier = (a: string | null | undefined, b: string | null): string | null => (a && b ? (a < b ? a : b) : (a ?? b));
const later = (a: string | null | undefined, b: string | null): string | null => (a && b ? (a > b ? a : b) : (a ?? b));

/** Sums the ledger up by table. Keys are tableKey. */
export function tableLoads(ledger: readonly LedgerPart[]): Map<string, TableLoad> {
  const loads = new Map<string, TableLoad & { readonly latestLsn: Lsn }>();
  for (const entry of ledger) {
    const before = loads.get(tableKey(entry));
    const partsDone = (before?.partsDone ?? 0) + (entry.isDone ? 1 : 0);
    const parts = (before?.parts ?? 0) + 1;
    const latestLsn = laterLsn(before?.latestLsn ?? LSN_ZERO, entry.snapshotLsn ?? LSN_ZERO);
    loads.set(tableKey(entry), {
      schema: entry.schema,
      name: entry.name,
      isLoaded: partsDone === parts,
      rows: (before?.rows ?? 0) + entry.rows,
      bytes: (before?.bytes ?? 0) + entry.bytes,
      partsDone,
      parts,
      snapshotLsn: partsDone === parts ? latestLsn : null,
      latestLsn,
      startedOn: earlier(before?.startedOn, entry.startedOn),
      endedOn: later(before?.endedOn, entry.endedOn),
    });
  }
  return loads;
}
