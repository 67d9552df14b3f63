import type pg from "pg";

/**
 * What tells the rows of partitions from those of their siblings, as an SQL condition on the columns, by oid. Left out:
 * partitions by hash, whose condition names the parent's oid, and default partitions, whose condition changes with every
 * new sibling.
 */
export async function readPartitionConditions(
  client: pg.ClientBase,
  versionNum: number,
  oids: readonly number[],
): Promise<Map<number, string>> {
  if (versionNum < 100_000) return new Map();
  const { rows } = await client.query<{ oid: number; condition: string }>(
    `WITH RECURSIVE up(leaf, oid, bound) AS (
       SELECT c.oid, c.oid, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relispartition
       UNION ALL
       SELECT u.leaf, p.oid, pg_get_expr(p.relpartbound, p.oid) FROM up u JOIN pg_inherits h ON h.inhrelid = u.oid
         JOIN pg_class p ON p.oid = h.inhparent AND p.relispartition)
     SELECT leaf AS oid, pg_get_partition_constraintdef(leaf) AS condition FROM up
      GROUP BY leaf HAVING bool_and(bound LIKE 'FOR VALUES FROM%' OR bound LIKE 'FOR VALUES IN%')`,
    [oids],
  );
  return new Map(rows.map(({ oid, condition }) => [oid, condition]));
}
