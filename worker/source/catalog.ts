import { createHash } from "node:crypto";
import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";
import { type TableHistory } from "./table-history.ts";

/** A column as the catalog has it. */
export interface Column {
  readonly name: string;
  /** format_type's text under search_path pg_catalog: schema-qualified unless built in, with its modifier. */
  readonly typeName: string;
  readonly typeOid: number;
  /** Whether the type itself (for arrays: the element's) comes with PostgreSQL, so that both sides have it under one oid. */
  readonly isBuiltInType: boolean;
  /** The enum that the type is a domain over: operators of enums do not take the domain (parse_coerce.c flattens only others). */
  readonly enumName?: string;
  readonly isNotNull: boolean;
  /** Computed by the server: never copied, never applied. */
  readonly isGenerated: boolean;
  /** Computed when it is read, and so never logged (18 and later). */
  readonly isVirtual?: boolean;
  readonly identity: "none" | "always" | "byDefault";
}

/** What UPDATE and DELETE carry to name the old row (manual, ALTER TABLE … REPLICA IDENTITY). */
type ReplicaIdentity =
  { readonly kind: "key"; readonly columns: readonly string[] } | { readonly kind: "full" } | { readonly kind: "nothing" };

/** A table that holds rows: an ordinary table or a leaf partition. Partitioned parents hold none and are not listed. */
export interface TableDefinition extends TableName {
  readonly oid: number;
  readonly columns: readonly Column[];
  readonly identity: ReplicaIdentity;
  /** Columns of the primary key in key order; empty without one. */
  readonly primaryKey: readonly string[];
  /** Two rows may have one key until the transaction or the statement ends. */
  readonly isKeyDeferrable?: boolean;
  /** There is a unique index or an exclusion constraint besides the primary key. */
  readonly hasOtherUniqueKeys?: boolean;
  /** The topmost partitioned table above, when this is a partition. */
  readonly partitionRoot: TableName | undefined;
  /** The partitioned tables between the root and a partition of a partition. */
  readonly partitionAncestors?: readonly TableName[];
  /** Keys and bounds from the root down to this partition, as SQL has them: equal paths hold equal rows. */
  readonly partitionPath: string | undefined;
  readonly isUnlogged: boolean;
  /** Row level security is on for this table. */
  readonly hasRowSecurity: boolean;
  /** Heap with TOAST, without indexes, in bytes. */
  readonly sizeBytes: number;
  /** Pages of the heap; the measure for cutting by ctid ranges. */
  readonly pages: number;
  /** The planner's estimate; 0 when the table was never analyzed. */
  readonly rowsEstimate: number;
  readonly history?: TableHistory;
}

interface TableRow {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly relreplident: string;
  readonly unlogged: boolean;
  readonly rowsecurity: boolean;
  readonly size: string;
  readonly pages: string;
  readonly rows: string;
  readonly pkey: string[] | null;
  readonly pkey_immediate: boolean;
  readonly other_keys: boolean;
  readonly ikey: string[] | null;
  readonly root_schema: string | null;
  readonly root_name: string | null;
  readonly partition_path: string | null;
  readonly name_version: string;
  readonly toast: string;
  readonly file: string;
  readonly ancestors: string[] | null;
}

interface ColumnRow {
  readonly oid: number;
  readonly name: string;
  readonly type_name: string;
  readonly type_oid: number;
  readonly builtin: boolean;
  readonly enum_name: string | null;
  readonly notnull: boolean;
  readonly generated: boolean;
  readonly virtual: boolean;
  readonly identity: string;
  readonly number: number;
  readonly version: string;
}

/** Schemas that are never migrated: the system's own and ours. */
export const EXCLUDED_SCHEMAS = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND n.nspname <> 'pgdms'";

/** Tables that belong to an extension are made by CREATE EXTENSION on the target, not copied. */
const NOT_OF_AN_EXTENSION =
  "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/** Names of the columns of an index in key order, without INCLUDE columns (those come after indnkeyatts, PostgreSQL 11 and later). */
const indexColumns = (versionNum: number): string => `
  (SELECT array_agg(a.attname::text ORDER BY k.n)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
     JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.n <= ${versionNum >= 110_000 ? "i.indnkeyatts" : "i.indnatts"})`;

const PARTITION_STEP = "pg_get_partkeydef(h.inhparent) || ' ' || pg_get_expr(l.relpartbound, l.oid)";

/** The topmost ancestor of each partition, found from above in one pass: looking up from each table reads pg_class once for each. */
const partitionRoot = (versionNum: number): string =>
  versionNum >= 100_000
    ? `LEFT JOIN (
         WITH RECURSIVE tree(oid, root, path, between) AS (
           SELECT h.inhrelid, h.inhparent, ${PARTITION_STEP}, '{}'::oid[]
             FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent JOIN pg_class l ON l.oid = h.inhrelid
            WHERE p.relkind = 'p' AND NOT p.relispartition
           UNION ALL SELECT h.inhrelid, t.root, t.path || '; ' || ${PARTITION_STEP}, t.between || h.inhparent
             FROM tree t JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class l ON l.oid = h.inhrelid)
         SELECT t.oid, rn.nspname::text AS root_schema, r.relname::text AS root_name, t.path AS partition_path,
                CASE WHEN t.between <> '{}' THEN ARRAY(SELECT x FROM unnest(t.between) WITH ORDINALITY AS b(oid, n)
                  JOIN pg_class m ON m.oid = b.oid JOIN pg_namespace mn ON mn.oid = m.relnamespace
                  CROSS JOIN LATERAL (VALUES (1, mn.nspname::text), (2, m.relname::text)) AS v(k, x) ORDER BY b.n, v.k) END AS ancestors
           FROM tree t JOIN pg_class r ON r.oid = t.root JOIN pg_namespace rn ON rn.oid = r.relnamespace) root ON root.oid = c.oid`
    : "CROSS JOIN (SELECT NULL::text AS root_schema, NULL::text AS root_name, NULL::text AS partition_path, NULL::text[] AS ancestors) root";

/** pg_class.relkind: ordinary tables and leaf partitions, or partitioned tables, which hold no rows themselves. */
type Kind = "r" | "p";

const tablesSql = (versionNum: number, kind: Kind): string => `
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relreplident::text AS relreplident,
         c.relpersistence = 'u' AS unlogged,
         ${versionNum >= 90_500 ? "c.relrowsecurity" : "false"} AS rowsecurity,
         pg_table_size(c.oid)::text AS size,
         (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::text AS pages,
         greatest(c.reltuples, 0)::bigint::text AS rows,
         pk.cols AS pkey, coalesce(pk.immediate, false) AS pkey_immediate, ik.cols AS ikey,
         EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND NOT i.indisprimary) AS other_keys,
         root.root_schema, root.root_name, root.partition_path, root.ancestors,
         ty.xmin::text AS name_version, c.reltoastrelid::text AS toast, coalesce(pg_relation_filenode(c.oid), 0)::text AS file
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type ty ON ty.oid = c.reltype
    LEFT JOIN LATERAL (SELECT ${indexColumns(versionNum)} AS cols, i.indimmediate AS immediate FROM pg_index i
                        WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid) pk ON true
    LEFT JOIN LATERAL (SELECT ${indexColumns(versionNum)} AS cols FROM pg_index i
                        WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid) ik ON true
    ${partitionRoot(versionNum)}
   WHERE c.relkind = '${kind}' AND c.relpersistence IN ('p', 'u') AND ${EXCLUDED_SCHEMAS} AND ${NOT_OF_AN_EXTENSION}
   ORDER BY n.nspname, c.relname`;

const DOMAIN_OVER_ENUM = `
  WITH RECURSIVE under AS (
    SELECT b.oid, b.typtype, b.typbasetype FROM pg_type b WHERE b.oid = t.typbasetype
    UNION ALL SELECT b.oid, b.typtype, b.typbasetype FROM under u JOIN pg_type b ON b.oid = u.typbasetype)
  SELECT format_type(oid, NULL) FROM under WHERE typtype = 'e'`;

const columnsSql = (versionNum: number, kind: Kind): string => `
  SELECT a.attrelid AS oid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type_name, a.atttypid AS type_oid,
         coalesce(e.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace AND coalesce(e.typtype, t.typtype) = 'b' AS builtin,
         CASE WHEN t.typtype = 'd' THEN (${DOMAIN_OVER_ENUM}) END AS enum_name,
         a.attnotnull AS notnull,
         ${versionNum >= 120_000 ? "a.attgenerated <> ''" : "false"} AS generated,
         ${versionNum >= 180_000 ? "a.attgenerated = 'v'" : "false"} AS virtual,
         ${versionNum >= 100_000 ? "a.attidentity::text" : "''"} AS identity, a.attnum AS number, a.xmin::text AS version
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typlen = -1 AND t.typcategory = 'A'
   WHERE c.relkind = '${kind}' AND c.relpersistence IN ('p', 'u') AND a.attnum > 0 AND NOT a.attisdropped AND ${EXCLUDED_SCHEMAS}
   ORDER BY a.attrelid, a.attnum`;

/**
 * Reads every table of the session's database that holds rows of the user's: two queries, however many tables.
 * Works on source and target alike, from PostgreSQL 9.4 on.
 */
export const readTables = (client: pg.ClientBase, versionNum: number): Promise<TableDefinition[]> => readKind(client, versionNum, "r");

/** Reads the partitioned tables, at any height of their trees. They hold no rows themselves, but take rows in. */
export const readPartitionedTables = (client: pg.ClientBase, versionNum: number): Promise<TableDefinition[]> =>
  versionNum >= 100_000 ? readKind(client, versionNum, "p") : Promise.resolve([]);

async function readKind(client: pg.ClientBase, versionNum: number, kind: Kind): Promise<TableDefinition[]> {
  const tables = await client.query<TableRow>(tablesSql(versionNum, kind));
  // regnamespace exists since 9.5; the oid of pg_catalog is fixed (pg_namespace.dat).
  const columnRows = await client.query<ColumnRow>(columnsSql(versionNum, kind).replace("'pg_catalog'::regnamespace", "11"));
  const columns = new Map<number, ColumnRow[]>();
  for (const row of columnRows.rows) {
    const list = columns.get(row.oid);
    if (list) list.push(row);
    else columns.set(row.oid, [row]);
  }
  return tables.rows.map((row) => {
    const ofTable = columns.get(row.oid) ?? [];
    return { ...toTable(row, ofTable.map(toColumn)), history: toHistory(row, ofTable) };
  });
}

const toHistory = ({ name_version: name, toast, file }: TableRow, columns: readonly ColumnRow[]): TableHistory => ({
  name,
  toast,
  file,
  types: digest(columns.map((column) => JSON.stringify([column.name, column.type_name])).sort()),
  numbers: digest(columns.map((column) => JSON.stringify([column.name, column.number])).sort()),
  columns: digest(columns.map(({ version }) => version)),
});

const digest = (value: unknown): string => createHash("sha1").update(JSON.stringify(value)).digest("base64url");

/** Schemas and names in turn. */
const namesIn = (words: readonly string[]): TableName[] =>
  words.flatMap((schema, at) => (at % 2 === 0 ? [{ schema, name: words[at + 1] ?? "" }] : []));

const IDENTITIES: Readonly<Record<string, Column["identity"]>> = { a: "always", d: "byDefault" };

function toColumn(row: ColumnRow): Column {
  return {
    name: row.name,
    typeName: row.type_name,
    typeOid: row.type_oid,
    isBuiltInType: row.builtin,
    ...(row.enum_name === null ? {} : { enumName: row.enum_name }),
    isNotNull: row.notnull,
    isGenerated: row.generated,
    ...(row.virtual ? { isVirtual: true } : {}),
    identity: IDENTITIES[row.identity] ?? "none",
  };
}

function toTable(row: TableRow, columns: readonly Column[]): TableDefinition {
  return {
    oid: row.oid,
    schema: row.schema,
    name: row.name,
    columns,
    identity: toIdentity(row, columns),
    primaryKey: row.pkey ?? [],
    ...(row.pkey !== null && !row.pkey_immediate ? { isKeyDeferrable: true } : {}),
    ...(row.other_keys ? { hasOtherUniqueKeys: true } : {}),
    partitionRoot: row.root_schema !== null && row.root_name !== null ? { schema: row.root_schema, name: row.root_name } : undefined,
    ...(row.ancestors === null ? {} : { partitionAncestors: namesIn(row.ancestors) }),
    partitionPath: row.partition_path ?? undefined,
    isUnlogged: row.unlogged,
    hasRowSecurity: row.rowsecurity,
    sizeBytes: Number(row.size),
    pages: Number(row.pages),
    rowsEstimate: Number(row.rows),
  };
}

/**
 * A deferrable primary key is no replica identity: PostgreSQL logs nothing of the old row then (relcache.c, RelationGetIndexList).
 * One with a generated column is none for us: pgoutput leaves the column out, and since 18 the source refuses to update a table
 * that is published so.
 */
function toIdentity({ relreplident, pkey, pkey_immediate, ikey }: TableRow, columns: readonly Column[]): ReplicaIdentity {
  if (relreplident === "f") return { kind: "full" };
  const key = (relreplident === "d" && pkey_immediate ? pkey : relreplident === "i" ? ikey : null) ?? [];
  const isComputed = columns.some(({ name, isGenerated }) => isGenerated && key.includes(name));
  return key.length > 0 && !isComputed ? { kind: "key", columns: key } : { kind: "nothing" };
}

/** Columns that are copied and applied: all but generated ones. */
export const copiedColumns = (table: TableDefinition): readonly Column[] => table.columns.filter((column) => !column.isGenerated);
