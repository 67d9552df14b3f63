import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";

/** An index of the target with all that pg_dump would say of it. */
export interface IndexFacts {
  readonly oid: number;
  /** The topmost index of its tree; itself unless it is a partition's. */
  readonly topOid: number;
  /** Schema-qualified name of the index that it is attached to. */
  readonly parent: TableName | undefined;
  readonly depth: number;
  readonly table: TableName;
  readonly isPartitioned: boolean;
  readonly name: string;
  /** pg_get_indexdef */
  readonly definition: string;
  /** Storage parameters as SQL: `fillfactor='70'`. */
  readonly options: string | null;
  /** Of its own; null for the database's default. */
  readonly tablespace: string | null;
  readonly comment: string | null;
  readonly isClustered: boolean;
  readonly isReplicaIdentity: boolean;
  readonly extensions: readonly string[];
  /** Statistics targets of expression columns, as the end of an ALTER INDEX. */
  readonly statistics: readonly string[];
  readonly constraint: ConstraintFacts | undefined;
  /** A primary key made from an index would make NOT NULL constraints that the table inherits its own as well (18 and later). */
  readonly inheritsNotNull: boolean;
  /** A view or a function depends on it or on its constraint: it cannot be dropped. */
  readonly isNeeded: boolean;
}

export interface ConstraintFacts {
  readonly name: string;
  readonly type: "primary" | "unique" | "exclusion" | "period";
  /** pg_get_constraintdef */
  readonly definition: string;
  readonly isDeferrable: boolean;
  readonly isDeferred: boolean;
  readonly comment: string | null;
}

/**
 * Every index of the tables that is no partition's, with the whole tree below. Invalid indexes are left alone: a failed
 * CREATE INDEX CONCURRENTLY left them, and pg_dump does not know them. Only rewrite rules (views) and functions can stand
 * in the way of dropping: foreign keys are dropped before, and what is internal goes along.
 */
const indexesSql = (versionNum: number): string => `
  WITH RECURSIVE tree(oid, top_oid, parent_oid, depth) AS (
    SELECT i.indexrelid, i.indexrelid, NULL::oid, 0 FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
     WHERE i.indrelid = ANY ($1::oid[]) AND (i.indisvalid OR t.relkind = 'p')
       AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)
    UNION ALL
    SELECT h.inhrelid, t.top_oid, h.inhparent, t.depth + 1 FROM tree t JOIN pg_inherits h ON h.inhparent = t.oid)
  SELECT x.oid, x.top_oid, x.depth, pn.nspname::text AS parent_schema, pc.relname::text AS parent_name,
         tn.nspname::text AS schema, t.relname::text AS table_name, t.relkind = 'p' AS is_partitioned, c.relname::text AS name,
         pg_get_indexdef(x.oid) AS definition, ts.spcname::text AS tablespace, obj_description(x.oid, 'pg_class') AS comment,
         i.indisclustered AS is_clustered, i.indisreplident AS is_replica_identity,
         (SELECT string_agg(format('%I=%L', o.option_name, o.option_value), ', ') FROM pg_options_to_table(c.reloptions) o) AS options,
         ARRAY(SELECT format('%I', e.extname) FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'
                ORDER BY e.extname) AS extensions,
         ARRAY(SELECT format('ALTER COLUMN ${versionNum >= 110_000 ? "%s" : "%2$I"} SET STATISTICS %s', ${
           versionNum >= 110_000 ? "a.attnum, a.attstattarget" : "a.attnum, a.attname, a.attstattarget"
         })
                 FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attstattarget >= 0 ORDER BY a.attnum) AS statistics,
         k.conname::text AS constraint_name, k.contype::text AS constraint_type, pg_get_constraintdef(k.oid) AS constraint_definition,
         k.condeferrable AS is_deferrable, k.condeferred AS is_deferred, obj_description(k.oid, 'pg_constraint') AS constraint_comment,
         ${versionNum >= 180_000 ? "coalesce(k.conperiod, false)" : "false"} AS is_period,
         ${versionNum >= 180_000 ? "NOT t.relispartition AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = t.oid)" : "false"} AS inherits_not_null,
         EXISTS (SELECT FROM pg_depend d WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
                    AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = x.oid
                      OR d.refclassid = 'pg_constraint'::regclass AND d.refobjid = k.oid)) AS is_needed
    FROM tree x
    JOIN pg_index i ON i.indexrelid = x.oid
    JOIN pg_class c ON c.oid = x.oid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    LEFT JOIN pg_class pc ON pc.oid = x.parent_oid
    LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
    LEFT JOIN pg_tablespace ts ON ts.oid = c.reltablespace
    LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.contype IN ('p', 'u', 'x') AND k.conrelid = i.indrelid
   ORDER BY x.top_oid, x.depth DESC, x.oid`;

interface Row {
  readonly oid: number;
  readonly top_oid: number;
  readonly depth: number;
  readonly parent_schema: string | null;
  readonly parent_name: string | null;
  readonly schema: string;
  readonly table_name: string;
  readonly is_partitioned: boolean;
  readonly name: string;
  readonly definition: string;
  readonly options: string | null;
  readonly tablespace: string | null;
  readonly comment: string | null;
  readonly is_clustered: boolean;
  readonly is_replica_identity: boolean;
  readonly extensions: string[];
  readonly statistics: string[];
  readonly constraint_name: string | null;
  readonly constraint_type: "p" | "u" | "x" | null;
  readonly constraint_definition: string | null;
  readonly is_deferrable: boolean | null;
  readonly is_deferred: boolean | null;
  readonly constraint_comment: string | null;
  readonly is_period: boolean;
  readonly inherits_not_null: boolean;
  readonly is_needed: boolean;
}

/** Reads the indexes of tables, by tree, the lowest of each tree first. */
export async function readIndexes(client: pg.ClientBase, versionNum: number, tableOids: readonly number[]): Promise<IndexFacts[]> {
  const { rows } = await client.query<Row>(indexesSql(versionNum), [tableOids]);
  return rows.map((row) => ({
    oid: row.oid,
    topOid: row.top_oid,
    parent: row.parent_schema === null || row.parent_name === null ? undefined : { schema: row.parent_schema, name: row.parent_name },
    depth: row.depth,
    table: { schema: row.schema, name: row.table_name },
    isPartitioned: row.is_partitioned,
    name: row.name,
    definition: row.definition,
    options: row.options,
    tablespace: row.tablespace,
    comment: row.comment,
    isClustered: row.is_clustered,
    isReplicaIdentity: row.is_replica_identity,
    extensions: row.extensions,
    statistics: row.statistics,
    constraint: toConstraint(row),
    inheritsNotNull: row.inherits_not_null,
    isNeeded: row.is_needed,
  }));
}

const CONSTRAINT_TYPES = { p: "primary", u: "unique", x: "exclusion" } as const;

function toConstraint(row: Row): ConstraintFacts | undefined {
  if (row.constraint_name === null || row.constraint_type === null) return undefined;
  return {
    name: row.constraint_name,
    type: row.is_period ? "period" : CONSTRAINT_TYPES[row.constraint_type],
    definition: row.constraint_definition ?? "",
    isDeferrable: row.is_deferrable ?? false,
    isDeferred: row.is_deferred ?? false,
    comment: row.constraint_comment,
  };
}
