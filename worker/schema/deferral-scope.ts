import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";

/** A table of the target that deferral looks at: a selected one, or a partitioned table above. */
export interface ScopeTable extends TableName {
  readonly oid: number;
  readonly isPartitioned: boolean;
  /** It is a partition of another table. */
  readonly isPartition: boolean;
  /** All tables that hold its rows are selected. True for every selected table. */
  readonly isComplete: boolean;
}

const SCOPE = `
  WITH RECURSIVE named(oid, relkind) AS (
    SELECT c.oid, c.relkind FROM unnest($1::text[], $2::text[]) AS s(schema_name, table_name)
      JOIN pg_namespace n ON n.nspname = s.schema_name
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.table_name AND c.relkind IN ('r', 'p')),
  selected(oid, relkind) AS (
    SELECT oid, relkind FROM named
    UNION SELECT c.oid, c.relkind FROM selected s JOIN pg_inherits h ON s.relkind = 'p' AND h.inhparent = s.oid JOIN pg_class c ON c.oid = h.inhrelid),
  up(oid) AS (
    SELECT oid FROM selected
    UNION SELECT h.inhparent FROM up JOIN pg_class c ON c.oid = up.oid AND c.relispartition JOIN pg_inherits h ON h.inhrelid = up.oid),
  down(root, oid) AS (
    SELECT up.oid, up.oid FROM up
    UNION SELECT d.root, h.inhrelid FROM down d JOIN pg_class p ON p.oid = d.oid AND p.relkind = 'p' JOIN pg_inherits h ON h.inhparent = d.oid),
  incomplete AS (
    SELECT DISTINCT d.root FROM down d JOIN pg_class m ON m.oid = d.oid AND m.relkind = 'r' AND m.oid NOT IN (SELECT oid FROM selected))
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS is_partitioned,
         c.relispartition AS is_partition,
         c.oid NOT IN (SELECT root FROM incomplete) AS is_complete
    FROM up JOIN pg_class c ON c.oid = up.oid JOIN pg_namespace n ON n.oid = c.relnamespace
   ORDER BY c.oid`;

/** The selected tables as the target has them, with the partitions of those that are partitioned, and every partitioned table above. */
export async function readScope(client: pg.ClientBase, tables: readonly TableName[]): Promise<ScopeTable[]> {
  const { rows } = await client.query<{
    oid: number;
    schema: string;
    name: string;
    is_partitioned: boolean;
    is_partition: boolean;
    is_complete: boolean;
  }>(SCOPE, [tables.map(({ schema }) => schema), tables.map(({ name }) => name)]);
  return rows.map((row) => ({
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    isPartitioned: row.is_partitioned,
    isPartition: row.is_partition,
    isComplete: row.is_complete,
  }));
}
