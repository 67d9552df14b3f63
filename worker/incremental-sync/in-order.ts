import { MigrationError } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { type Change } from "./change.ts";
import { type SyncColumn, type SyncTable } from "./sync-table.ts";
import { type Tuple, valuesOf } from "./tuple.ts";
import { quoteLiteral, quoteTable } from "../postgres/quote.ts";
import { withoutModifier } from "../schema/compare.ts";

/** One statement for one change, with its parameters as bytes in text form, and how many rows it must touch. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly (Buffer | null)[];
  /** Undefined where any number is right. */
  readonly rowCount: number | undefined;
  readonly table: SyncTable | undefined;
}

/**
 * Built-in types whose equal values also look the same. Others either have no equality (json, xml, point: pitfalls 16 and
 * 68) or one that is too wide to tell rows apart (1.0 and 1.00 of numeric, citext): those are compared by their text.
 */
const PLAIN_EQUALITY = new Set([
  16 /* bool */, 17 /* bytea */, 18 /* "char" */, 19 /* name */, 20 /* int8 */, 21 /* int2 */, 23 /* int4 */, 26 /* oid */, 1082 /* date */,
  1083 /* time */, 1114 /* timestamp */, 1184 /* timestamptz */, 2950 /* uuid */,
]);

/** Equal under the collation C only when they are the same; other collations may be blind to case or accents. */
const COLLATED = new Set([25 /* text */, 1043 /* varchar */]);

/** Types of a user's own begin at this oid (access/transam.h). */
const FIRST_USER_OID = 16_384;

/** regproc, regprocedure, regoper, regoperator, regclass, regtype, regconfig, regdictionary, regnamespace, regrole, regcollation. */
const REGISTERED = new Set([24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191]);

/**
 * Types whose equality is that of another type (of record, of oid), which a parameter without a type would be read as. No
 * built-in type with a modifier is among them: its bare name would cut the value.
 */
const isNamed = (typeOid: number): boolean => typeOid >= FIRST_USER_OID || REGISTERED.has(typeOid);

/** The statement that does to the target what the change did to the source, for use in the order of the source. */
export function statementFor(change: Change): Statement {
  switch (change.kind) {
    case "insert":
      return insertStatement(change.table, change.row);
    case "update":
      return updateStatement(change.table, change.old, change.row);
    case "delete":
      return deleteStatement(change.table, change.old);
    case "truncate":
      return truncateStatement(change);
  }
}

function insertStatement(table: SyncTable, row: Tuple): Statement {
  const values = valuesOf(row).map((value) => value ?? null);
  const columns = table.columns.map(({ quoted }) => quoted).join(", ");
  const marks = table.columns.map((_, n) => `$${n + 1}`).join(", ");
  // ONLY has no meaning in INSERT.
  const into = table.targetSql.replace(/^ONLY /, "");
  const sql = table.columns.length === 0 ? `INSERT INTO ${into} DEFAULT VALUES` : `INSERT INTO ${into} (${columns}) VALUES (${marks})`;
  return { sql, values, rowCount: 1, table };
}

function updateStatement(table: SyncTable, old: Tuple | undefined, row: Tuple): Statement {
  const values = valuesOf(row);
  const set = table.columns.filter(({ position }) => values[position] !== undefined);
  const parameters: (Buffer | null)[] = set.map(({ position }) => values[position] ?? null);
  const where = whereRow(table, old ?? row, parameters);
  const assignments = set.map(({ quoted }, n) => `${quoted} = $${n + 1}`).join(", ") || nothingSent(table);
  const sql = `UPDATE ${table.targetSql} SET ${assignments} WHERE ${where.sql}`;
  return { sql, values: where.parameters, rowCount: 1, table };
}

/** All values are TOASTed and none was touched. The row is looked for even so: that it is there was the source's word. */
const nothingSent = ({ columns: [column] }: SyncTable): string => `${column?.quoted} = ${column?.quoted}`;

function deleteStatement(table: SyncTable, old: Tuple): Statement {
  const where = whereRow(table, old, []);
  const sql = `DELETE FROM ${table.targetSql} WHERE ${where.sql}`;
  return { sql, values: where.parameters, rowCount: 1, table };
}

/**
 * Finds one row: by its key, or, without one, by all its values and then a single one of the equals by its ctid
 * (rows that are the same are interchangeable).
 */
function whereRow(table: SyncTable, row: Tuple, before: readonly (Buffer | null)[]): { sql: string; parameters: (Buffer | null)[] } {
  const values = valuesOf(row);
  const parameters = [...before];
  const isKeyed = table.keyPositions.length > 0;
  const columns = isKeyed ? table.keyPositions.map((position) => table.columns[position] as SyncColumn) : table.columns;
  const conditions = columns.flatMap((column) => {
    const value = values[column.position];
    if (value === undefined && isKeyed) throw keyNotSent(table, column);
    if (value === undefined) return []; // it cannot help to find the row
    if (value === null) return [`${column.quoted} IS NULL`];
    parameters.push(value);
    return [equals(column, parameters.length, isKeyed)];
  });
  const sql = conditions.length === 0 ? "true" : conditions.join(" AND ");
  if (isKeyed) return { sql, parameters };
  return { sql: `(tableoid, ctid) = (SELECT tableoid, ctid FROM ${table.targetSql} WHERE ${sql} LIMIT 1)`, parameters };
}

/**
 * A server before May 2022 (14.3, 13.7, 12.11, 11.16, 10.21) does not tell a key that is stored out of line and was not changed: the other
 * columns would find other rows as well.
 */
const keyNotSent = (table: SyncTable, { name }: SyncColumn): MigrationError =>
  new MigrationError("ApplyFailed", {
    table: displayName(table.definition),
    detail: `The source has sent a change of a row without its key, column ${name}, whose value is stored out of line (TOAST).`,
    remedy: "On the source: ALTER TABLE … REPLICA IDENTITY FULL, or the latest minor version of its PostgreSQL; then reload the table.",
  });

/** Keys are compared as their index does; without a key, equal must mean the same, which a collation may see otherwise. */
function equals({ quoted, typeOid, typeName, enumName }: SyncColumn, parameter: number, isKeyed: boolean): string {
  if (isKeyed && enumName !== undefined) return `${quoted}::${enumName} = $${parameter}::${enumName}`;
  if (isKeyed) return `${quoted} = $${parameter}${isNamed(typeOid) ? `::${withoutModifier(typeName)}` : ""}`;
  if (COLLATED.has(typeOid)) return `${quoted} COLLATE "C" = $${parameter}`;
  if (PLAIN_EQUALITY.has(typeOid)) return `${quoted} = $${parameter}`;
  return `${quoted}::text COLLATE "C" = ($${parameter}::${typeName})::text COLLATE "C"`;
}

/** Tables that refer to these and were loaded later forbid TRUNCATE, or would be emptied by its CASCADE: then rows are deleted. */
function truncateStatement(truncation: Extract<Change, { kind: "truncate" }>): Statement {
  const { tables, partial, cascade, restartIdentity, sparesOthers } = truncation;
  if (sparesOthers || partial.length > 0) {
    const whole = tables.map(({ targetSql }) => `DELETE FROM ${targetSql}`);
    const parts = partial.map(({ targetSql, definition }) => `DELETE FROM ${targetSql} WHERE ${definition.partitionCondition ?? "false"}`);
    const [last = "", ...others] = [...whole, ...parts];
    const before = others.map((statement, n) => `d${n} AS (${statement})`).join(", ");
    return { sql: before === "" ? last : `WITH ${before} ${last}`, values: [], rowCount: undefined, table: undefined };
  }
  const list = tables.map(({ targetSql }) => targetSql).join(", ");
  const truncate = `TRUNCATE ${list}${restartIdentity ? " RESTART IDENTITY" : ""}`;
  const sql = cascade ? `DO ${quoteLiteral(cascadeInside(tables, truncate))}` : truncate;
  return { sql, values: [], rowCount: undefined, table: undefined };
}

/**
 * The source tells each table that its CASCADE reached. On the target tables may refer to these that are none of the
 * migration's and must keep their rows: then rows are deleted here as well. Foreign keys come and go while changes are
 * followed, so the target is asked each time.
 */
function cascadeInside(tables: readonly SyncTable[], truncate: string): string {
  const oids = tables.map(({ definition }) => `${quoteLiteral(quoteTable(definition.target))}::regclass`).join(", ");
  const deletes = tables.map(({ targetSql }) => `DELETE FROM ${targetSql};`).join(" ");
  return `BEGIN
    IF EXISTS (SELECT FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
                WHERE k.contype = 'f' AND k.confrelid IN (${oids}) AND NOT EXISTS (
                  SELECT FROM pgdms.table_sync s
                   WHERE to_regclass(format('%I.%I', coalesce(s.target_schema, s.schema_name), coalesce(s.target_name, s.table_name))) = c.oid))
    THEN ${deletes} ELSE ${truncate} CASCADE; END IF;
  END`;
}
