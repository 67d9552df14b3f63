import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { type Spread } from "../incremental-sync/lanes.ts";
import { EXCLUDED_SCHEMAS } from "../source/catalog.ts";

/**
 * Built-in types of which equal values also look the same: bool, bytea, "char", name, int8, int2, int4, oid, text, varchar, date,
 * time, timestamp, timestamptz, uuid. Of others a unique index may take two texts for one value (1.0 and 1.00 of numeric).
 */
const LOOKS_THE_SAME = "16, 17, 18, 19, 20, 21, 23, 25, 26, 1043, 1082, 1083, 1114, 1184, 2950";

/** How the changes of a table of the target may be spread whose rows are told apart by these columns. */
export type TargetSpread = (table: TableName, keyColumns: readonly string[]) => Spread;

interface Row {
  readonly schema: string;
  readonly name: string;
  readonly fires: boolean;
  /** Columns of the one index that makes something unique, in the order of their names; null where rows cannot be told apart by it alone. */
  readonly key: string[] | null;
}

/**
 * Reads what is unique in the target's tables, and what fires there while changes are applied. What is unique besides the key, or
 * by an expression, in a part of the rows, or as an exclusion constraint, may pass from one row to another.
 */
export async function readSpread(client: pg.ClientBase): Promise<TargetSpread> {
  const { rows } = await client.query<Row>(`
    WITH RECURSIVE firing AS (
      SELECT tgrelid AS oid FROM pg_trigger WHERE tgenabled IN ('R', 'A')
      UNION SELECT ev_class FROM pg_rewrite WHERE ev_enabled IN ('R', 'A')
      UNION SELECT inhparent FROM firing JOIN pg_inherits ON inhrelid = oid)
    SELECT n.nspname AS schema, c.relname AS name, c.oid IN (SELECT oid FROM firing) AS fires,
           (SELECT array_agg(a.attname::text ORDER BY a.attname)
              FROM pg_index i LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
              LEFT JOIN pg_collation l ON l.oid = a.attcollation
             WHERE i.indrelid = c.oid AND i.indisunique
            HAVING count(DISTINCT i.indexrelid) = 1
               AND bool_and(i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate)
               AND bool_and(a.atttypid IN (${LOOKS_THE_SAME}) AND to_jsonb(l) ->> 'collisdeterministic' IS DISTINCT FROM 'false')
               AND c.relkind = 'r' -- partitions may have unique indexes of their own
               AND NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisexclusion)
           ) AS key
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND ${EXCLUDED_SCHEMAS}`);
  const known = new Map(rows.map((row) => [tableKey(row), { ...row, key: JSON.stringify(row.key) }]));
  return (table, keyColumns) => {
    const found = known.get(tableKey(table));
    if (!found || found.fires) return "none";
    return found.key === JSON.stringify([...keyColumns].sort()) ? "rows" : "table";
  };
}
