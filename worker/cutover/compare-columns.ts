import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";

/** A table as it is on one side, as far as a comparison needs it. */
export interface TableShape {
  readonly isPartitioned: boolean;
  /** Types are those that domains stand for. */
  readonly columns: ReadonlyMap<string, { readonly typeOid: number; readonly isGenerated: boolean }>;
}

/** Reads tables by name, partitioned ones too: one query, however many tables. Keys are tableKey; what does not exist is missing. */
export async function readShapes(
  client: pg.ClientBase,
  versionNum: number,
  tables: readonly TableName[],
): Promise<Map<string, TableShape>> {
  const { rows } = await client.query<{
    schema: string;
    name: string;
    partitioned: boolean;
    column: string | null;
    type_oid: number | null;
    generated: boolean | null;
  }>(
    `WITH RECURSIVE base(oid, base_oid) AS (
            SELECT oid, oid FROM pg_type WHERE typtype <> 'd'
             UNION ALL
            SELECT t.oid, base.base_oid FROM pg_type t JOIN base ON base.oid = t.typbasetype WHERE t.typtype = 'd')
     SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind = 'p' AS partitioned, a.attname::text AS column,
            base.base_oid AS type_oid, ${versionNum >= 120_000 ? "a.attgenerated <> ''" : "false"} AS generated
       FROM jsonb_array_elements($1::jsonb) AS r
       JOIN pg_namespace n ON n.nspname = r->>'schema'
       JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = r->>'name' AND c.relkind IN ('r', 'p')
       LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN base ON base.oid = a.atttypid`,
    [JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })))],
  );
  const shapes = new Map<string, { isPartitioned: boolean; columns: Map<string, { typeOid: number; isGenerated: boolean }> }>();
  for (const row of rows) {
    const shape = shapes.get(tableKey(row)) ?? { isPartitioned: row.partitioned, columns: new Map() };
    if (row.column !== null) shape.columns.set(row.column, { typeOid: row.type_oid ?? 0, isGenerated: row.generated === true });
    shapes.set(tableKey(row), shape);
  }
  return shapes;
}
