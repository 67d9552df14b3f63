import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";
import { quoteTable } from "../postgres/quote.ts";
import { EXCLUDED_SCHEMAS } from "../source/catalog.ts";

/** The column that a sequence belongs to (serial, identity). */
interface SequenceOwner extends TableName {
  readonly column: string;
}

/** A sequence and where it stands. Numbers stay text: they may pass 2^53. */
export interface SequenceState extends TableName {
  readonly owner: SequenceOwner | undefined;
  /** Tables with a column default that draws from it. */
  readonly usedBy: readonly TableName[];
  readonly lastValue: string;
  /** False before the first draw: the next value is lastValue itself. */
  readonly isCalled: boolean;
}

/**
 * Owners are dependencies of the kinds a (serial, OWNED BY) and i (identity); users are defaults that depend on the sequence.
 * Sequences of extensions belong to CREATE EXTENSION.
 */
const SEQUENCES = `
  SELECT n.nspname::text AS schema, c.relname::text AS name,
         (SELECT row_to_json(o)::text FROM (
            SELECT tn.nspname AS schema, t.relname AS name, a.attname AS column
              FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
              JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
               AND d.deptype IN ('a', 'i') LIMIT 1) o) AS owner,
         (SELECT json_agg(u)::text FROM (
            SELECT DISTINCT tn.nspname AS schema, t.relname AS name
              FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid JOIN pg_class t ON t.oid = f.adrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
             WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) u) AS used_by
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'S' AND ${EXCLUDED_SCHEMAS}
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY n.nspname, c.relname`;

export type ListedSequence = Omit<SequenceState, "lastValue" | "isCalled">;

/** Sequences are read so many to a statement. */
const STATEMENT_SEQUENCES_MAX = 200;

/** Every sequence of the session's database, without its value. */
export async function listSequences(client: pg.ClientBase): Promise<ListedSequence[]> {
  const { rows } = await client.query<{ schema: string; name: string; owner: string | null; used_by: string | null }>(SEQUENCES);
  return rows.map(({ schema, name, owner, used_by }) => ({
    schema,
    name,
    owner: owner === null ? undefined : (JSON.parse(owner) as SequenceOwner),
    usedBy: used_by === null ? [] : (JSON.parse(used_by) as TableName[]),
  }));
}

/**
 * Reads every sequence of the session's database. From each sequence itself, since pg_sequences came with PostgreSQL 10.
 * @throws the server's 42501 when one may not be read.
 */
export async function readSequences(source: pg.ClientBase): Promise<SequenceState[]> {
  const sequences = await listSequences(source);
  const states: SequenceState[] = [];
  for (let at = 0; at < sequences.length; at += STATEMENT_SEQUENCES_MAX) {
    const some = sequences.slice(at, at + STATEMENT_SEQUENCES_MAX);
    const selects = some.map((name, n) => `SELECT ${n} AS n, last_value::text AS last_value, is_called FROM ${quoteTable(name)}`);
    const { rows } = await source.query<{ n: number; last_value: string; is_called: boolean }>(selects.join(" UNION ALL "));
    for (const { n, last_value, is_called } of rows) {
      const sequence = some[n];
      if (sequence) states.push({ ...sequence, lastValue: last_value, isCalled: is_called });
    }
  }
  return states;
}
