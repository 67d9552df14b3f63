import { createHash } from "node:crypto";
import { type PreparedStep, type Step } from "../postgres/raw-session.ts";
import { copyText } from "./copy-text.ts";
import { type NetChanges } from "./fold.ts";
import { type Statement, statementFor } from "./in-order.ts";
import { type SyncColumn, type SyncTable } from "./sync-table.ts";
import { columnOffsets, hasUnchanged, kindAt, type Tuple, UNCHANGED_KIND } from "./tuple.ts";

/** A step, the table it is about, and how many rows it must touch; undefined: any number. */
export interface CheckedStep {
  readonly step: Step;
  readonly table: SyncTable | undefined;
  readonly rowCount: number | undefined;
}

/** Below this many rows one prepared statement a row is cheaper than a staging table. */
const STAGING_ROWS_MIN = 16;

/** Types whose values are compared by a machine instruction or two. Sorting text by its language costs more than it saves. */
const QUICKLY_SORTED = new Set([
  "smallint",
  "integer",
  "bigint",
  "date",
  "timestamp without time zone",
  "timestamp with time zone",
  "uuid",
]);

/** One change by one prepared statement; one name, one text. */
export function statementStep({ sql, values, rowCount, table }: Statement): CheckedStep {
  return { step: preparedStep(sql, values), table, rowCount };
}

/** A statement by the name that its text has. */
export const preparedStep = (sql: string, values: PreparedStep["values"] = []): PreparedStep => ({
  prepared: `pgdms_${shortHash(sql)}`,
  parse: { sql },
  values,
});

/**
 * The statement as one that fails by itself (with a division by zero) when it does not touch its one row, or touches others as
 * well. Nothing when the step is not one statement for one row.
 */
export function atOnce({ step, rowCount }: CheckedStep): PreparedStep[] {
  if (!("prepared" in step) || step.parse === undefined || rowCount !== 1) return [];
  const sql = `WITH touched AS (${step.parse.sql} RETURNING 1) SELECT 1 / (count(*) = 1)::int FROM touched`;
  return [{ prepared: `${step.prepared}_1`, parse: { sql }, values: step.values }];
}

const shortHash = (text: string): string => createHash("sha1").update(text).digest("base64url").slice(0, 20);

/**
 * The steps that bring net changes to one table: deletes, then updates, then inserts, so that a unique value that one row
 * gives up is free for the row that takes it. Keys and new rows come by COPY into a staging table and are joined.
 */
export function netSteps({ table, deletes, updates, inserts }: NetChanges): CheckedStep[] {
  return [
    ...few(
      deletes,
      (old) => statementFor({ kind: "delete", table, old }),
      () => deleteSteps(table, deletes),
    ),
    ...few(
      updates,
      (row) => statementFor({ kind: "update", table, old: undefined, row }),
      () => [...bySentColumns(table, updates)].flatMap(([shape, rows]) => updateSteps(table, shape, rows)),
    ),
    ...few(
      inserts,
      (row) => statementFor({ kind: "insert", table, row }),
      () => [insertStep(table, inserts)],
    ),
  ];
}

const few = (rows: readonly Tuple[], statement: (row: Tuple) => Statement, many: () => CheckedStep[]): CheckedStep[] =>
  rows.length < STAGING_ROWS_MIN ? rows.map((row) => statementStep(statement(row))) : many();

const keyColumns = (table: SyncTable): SyncColumn[] => table.keyPositions.map((position) => table.columns[position] as SyncColumn);
const names = (columns: readonly SyncColumn[]): string => columns.map(({ quoted }) => quoted).join(", ");
const positions = (columns: readonly SyncColumn[]): number[] => columns.map(({ position }) => position);
const sameKey = (table: SyncTable): string =>
  keyColumns(table)
    .map(({ quoted, enumName }) => {
      const cast = enumName === undefined ? "" : `::${enumName}`;
      return `t.${quoted}${cast} = s.${quoted}${cast}`;
    })
    .join(" AND ");

function insertStep(table: SyncTable, rows: readonly Tuple[]): CheckedStep {
  const into = table.targetSql.replace(/^ONLY /, "");
  const sql = `COPY ${into} (${names(table.columns)}) FROM STDIN`;
  return { step: { sql, copyData: copyText(rows, positions(table.columns)) }, table, rowCount: rows.length };
}

function deleteSteps(table: SyncTable, rows: readonly Tuple[]): CheckedStep[] {
  const key = keyColumns(table);
  const staging = `pgdms_s${table.number}_k`;
  return [
    ...stagingSteps({ table, staging, columns: key, rows }),
    {
      step: { sql: `DELETE FROM ${table.targetSql} AS t USING ${inKeyOrder(table, staging)} AS s WHERE ${sameKey(table)}` },
      table,
      rowCount: rows.length,
    },
    emptied(staging),
  ];
}

function updateSteps(table: SyncTable, shape: string, rows: readonly Tuple[]): CheckedStep[] {
  const sent = table.columns.filter((_, n) => shape[n] === "1");
  const isKey = new Set(table.keyPositions);
  const set = sent.filter(({ position }) => !isKey.has(position));
  // A row that is all key cannot have changed; setting the key to itself still counts the row.
  const assigned = set.length > 0 ? set : keyColumns(table);
  const staging = `pgdms_s${table.number}_${shape.includes("0") ? createHash("sha1").update(shape).digest("hex").slice(0, 16) : "u"}`;
  const assignments = assigned.map(({ quoted }) => `${quoted} = s.${quoted}`).join(", ");
  const sql = `UPDATE ${table.targetSql} AS t SET ${assignments} FROM ${inKeyOrder(table, staging)} AS s WHERE ${sameKey(table)}`;
  return [...stagingSteps({ table, staging, columns: sent, rows }), { step: { sql }, table, rowCount: rows.length }, emptied(staging)];
}

interface Staging {
  readonly table: SyncTable;
  readonly staging: string;
  readonly columns: readonly SyncColumn[];
  readonly rows: readonly Tuple[];
}

/**
 * The staged rows in the order of the key's index: neighbours find the pages of the index at hand, and often those of the table. The
 * join keeps the order, since it may only be a nested loop (see APPLY_SESSION in sync.ts).
 */
function inKeyOrder(table: SyncTable, staging: string): string {
  const key = keyColumns(table);
  const isQuick = key.every(({ typeName }) => QUICKLY_SORTED.has(typeName));
  return isQuick ? `(SELECT * FROM pg_temp.${staging} ORDER BY ${names(key)})` : `pg_temp.${staging}`;
}

/** A staging table has the target's column types and nothing else of it; it lasts as long as the session. */
function stagingSteps({ table, staging, columns, rows }: Staging): CheckedStep[] {
  const create = `CREATE TEMP TABLE IF NOT EXISTS ${staging} ON COMMIT DELETE ROWS AS SELECT ${names(columns)} FROM ${table.targetSql} WITH NO DATA`;
  const copy = `COPY pg_temp.${staging} (${names(columns)}) FROM STDIN`;
  return [
    { step: { sql: create }, table, rowCount: undefined },
    { step: { sql: copy, copyData: copyText(rows, positions(columns)) }, table, rowCount: rows.length },
  ];
}

/** The same staging table may serve again in this transaction. */
const emptied = (staging: string): CheckedStep => ({ step: { sql: `TRUNCATE pg_temp.${staging}` }, table: undefined, rowCount: undefined });

/** Rows grouped by which of their columns were sent: "1" sent, "0" unchanged, a character a column. */
function bySentColumns(table: SyncTable, rows: readonly Tuple[]): Map<string, Tuple[]> {
  const groups = new Map<string, Tuple[]>();
  const all = "1".repeat(table.columns.length);
  for (const row of rows) {
    const shape = hasUnchanged(row)
      ? columnOffsets(row, [])
          .map((offset) => (kindAt(row, offset) === UNCHANGED_KIND ? "0" : "1"))
          .join("")
      : all;
    const group = groups.get(shape);
    if (group) group.push(row);
    else groups.set(shape, [row]);
  }
  return groups;
}
