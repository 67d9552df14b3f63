import type pg from "pg";
import { tableKey } from "../../contracts/tables.ts";
import { quoteName, quoteTable } from "../postgres/quote.ts";
import { integerKey, type LoadTable } from "./plan.ts";

/**
 * Reads where the keys of large tables lie: the bounds of the planner's histogram, else minimum and maximum (two looks
 * into the key's index). Tables without rows are left out.
 */
export async function readKeyValues(source: pg.ClientBase, tables: readonly LoadTable[]): Promise<Map<string, readonly bigint[]>> {
  const found = new Map<string, readonly bigint[]>();
  for (const table of tables) {
    const column = integerKey(table.definition);
    if (column === undefined) continue;
    const values = (await histogram(source, table, column)) ?? (await span(source, table, column));
    if (values) found.set(tableKey(table), values);
  }
  return found;
}

async function histogram(source: pg.ClientBase, { schema, name }: LoadTable, column: string): Promise<bigint[] | undefined> {
  const { rows } = await source.query<{ bounds: string[] | null }>(
    `SELECT histogram_bounds::text::text[] AS bounds FROM pg_stats
      WHERE schemaname = $1 AND tablename = $2 AND attname = $3 AND NOT inherited`,
    [schema, name, column],
  );
  const bounds = rows[0]?.bounds;
  return bounds && bounds.length > 2 ? bounds.map((bound) => BigInt(bound)) : undefined;
}

async function span(source: pg.ClientBase, table: LoadTable, column: string): Promise<bigint[] | undefined> {
  const { rows } = await source.query<{ least: string | null; most: string | null }>(
    `SELECT min(${quoteName(column)})::text AS least, max(${quoteName(column)})::text AS most FROM ONLY ${quoteTable(table)}`,
  );
  const { least, most } = rows[0] ?? {};
  return least && most ? [BigInt(least), BigInt(most)] : undefined;
}
