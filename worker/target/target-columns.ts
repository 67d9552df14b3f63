import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { type Column, copiedColumns } from "../source/catalog.ts";
import { readTargetTables } from "./find-targets.ts";

/** The columns that a table of the target takes values for, by name; empty when there is no such table. */
export type TargetColumns = (table: TableName) => ReadonlyMap<string, Column>;

const NONE: ReadonlyMap<string, Column> = new Map();

export async function readTargetColumns(client: pg.ClientBase, versionNum: number): Promise<TargetColumns> {
  const { plain, partitioned } = await readTargetTables(client, versionNum);
  const tables = new Map(
    [...plain, ...partitioned].map((table) => [tableKey(table), new Map(copiedColumns(table).map((column) => [column.name, column]))]),
  );
  return (table) => tables.get(tableKey(table)) ?? NONE;
}
