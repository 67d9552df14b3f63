import type pg from "pg";
import { type Settings } from "../../contracts/settings.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { copiedColumns, type TableDefinition } from "../source/catalog.ts";
import { type TableHistory } from "../source/table-history.ts";
import { findTargets, type TargetTables } from "./find-targets.ts";
import { inOwnedTransaction, type Ownership } from "./ownership.ts";

/** A table of the migration: what the source says of it now, and what was pinned when the migration began. */
export interface ListedTable extends TableName {
  readonly definition: TableDefinition;
  /** The table that was listed, or loaded anew, whatever it is called by now. */
  readonly sourceOid: number;
  /** Where its rows go. */
  readonly target: TableName;
  /** The target's table is partitioned in another way than the source's: rows are written to it as a whole. */
  readonly isTargetPartitioned: boolean;
  /** Other tables of the source go to the same one of the target. */
  readonly isTargetShared: boolean;
  /** Columns that are copied and followed, by name; later additions of the source are noticed, not copied by accident. */
  readonly sourceColumns: readonly string[];
  /** What identifies a row; empty: all its values. */
  readonly keyColumns: readonly string[];
  /** Updates and deletes are not followed. */
  readonly isInsertOnly: boolean;
  /** We set REPLICA IDENTITY FULL on the source; it goes back at the end. */
  readonly hadNoIdentity: boolean;
}

/** Writes the list down when the migration begins; does nothing when it is there. */
export async function listTables(client: pg.Client, ownership: Ownership, list: TableList): Promise<void> {
  const { source, target, tablesWithoutKey, joinsLate = false } = list;
  const targets = findTargets(source, target);
  const rows = source.map((table) => {
    const found = targets.get(tableKey(table));
    return {
      schema: table.schema,
      name: table.name,
      oid: table.oid,
      targetSchema: found?.definition.schema ?? table.schema,
      targetName: found?.definition.name ?? table.name,
      partitioned: found?.isPartitioned ?? false,
      columns: copiedColumns(table).map(({ name }) => name),
      key: keyColumns(table),
      history: table.history ?? null,
      ...identityFacts(table, tablesWithoutKey),
    };
  });
  await inOwnedTransaction(client, ownership, () =>
    client.query(
      `INSERT INTO pgdms.table_sync (schema_name, table_name, source_oid, target_schema, target_name, is_target_partitioned, source_columns, key_columns,
                                     is_insert_only, had_no_identity, source_history, is_suspended, is_reload_asked)
       SELECT r->>'schema', r->>'name', (r->>'oid')::oid, r->>'targetSchema', r->>'targetName', (r->>'partitioned')::bool, ARRAY(SELECT jsonb_array_elements_text(r->'columns')), ARRAY(SELECT jsonb_array_elements_text(r->'key')),
              (r->>'insertOnly')::bool, (r->>'noIdentity')::bool, r->'history', $2, $2
         FROM jsonb_array_elements($1::jsonb) AS r
       ON CONFLICT DO NOTHING`,
      [JSON.stringify(rows), joinsLate],
    ),
  );
}

/** Pins tables anew that are about to be loaded again: their columns and keys may be others by now. */
export async function pinAgain(
  client: pg.ClientBase,
  tables: readonly ListedTable[],
  { source: found, tablesWithoutKey }: Pick<TableList, "source" | "tablesWithoutKey">,
): Promise<void> {
  const sources = new Map(found.map((table) => [tableKey(table), table]));
  const rows = tables.flatMap(({ schema, name }) => {
    const source = sources.get(tableKey({ schema, name }));
    if (!source) return [];
    return {
      schema,
      name,
      oid: source.oid,
      columns: copiedColumns(source).map((column) => column.name),
      key: keyColumns(source),
      history: source.history ?? null,
      ...identityFacts(source, tablesWithoutKey),
    };
  });
  await client.query(
    `UPDATE pgdms.table_sync k SET source_oid = (r->>'oid')::oid, source_columns = ARRAY(SELECT jsonb_array_elements_text(r->'columns')),
            key_columns = ARRAY(SELECT jsonb_array_elements_text(r->'key')), is_insert_only = (r->>'insertOnly')::bool,
            had_no_identity = had_no_identity OR (r->>'noIdentity')::bool, source_history = r->'history'
       FROM jsonb_array_elements($1::jsonb) AS r WHERE k.schema_name = r->>'schema' AND k.table_name = r->>'name'`,
    [JSON.stringify(rows)],
  );
}

interface TableList {
  readonly source: readonly TableDefinition[];
  readonly target: TargetTables;
  readonly tablesWithoutKey: Settings["tablesWithoutKey"];
  /** The others are followed already: these are left out until they are loaded. */
  readonly joinsLate?: boolean;
}

const identityFacts = ({ identity }: TableDefinition, tablesWithoutKey: Settings["tablesWithoutKey"]) => ({
  insertOnly: identity.kind === "nothing" && tablesWithoutKey !== "replicaIdentityFull",
  noIdentity: identity.kind === "nothing",
});

/**
 * What tells rows apart: the source's identity, or, with REPLICA IDENTITY FULL, its primary key (the old row has all columns,
 * so the key is among them). Not the target's, and none that is deferrable: the source must never have had two rows with one
 * key, not even for a moment, or the rows that swap their keys would be taken for each other.
 */
function keyColumns({ identity, primaryKey, isKeyDeferrable, ...source }: TableDefinition): readonly string[] {
  if (identity.kind === "key") return identity.columns;
  if (identity.kind === "nothing" || isKeyDeferrable === true) return [];
  const isGenerated = source.columns.some((column) => column.isGenerated && primaryKey.includes(column.name));
  return isGenerated ? [] : primaryKey;
}

interface Row {
  readonly schema_name: string;
  readonly table_name: string;
  readonly source_oid: number;
  readonly target_schema: string;
  readonly target_name: string;
  readonly is_target_partitioned: boolean;
  readonly is_target_shared: boolean;
  readonly source_columns: string[];
  readonly key_columns: string[];
  readonly is_insert_only: boolean;
  readonly had_no_identity: boolean;
}

/** What is written down of a table, whether the source still has it or not. */
export interface ListedName extends TableName, Pick<ListedTable, "target" | "sourceOid"> {
  /** What the source's catalog showed before the table was loaded; null where it was not written down. */
  readonly history: TableHistory | null;
}

/** The tables in the list by name. */
export async function readListedNames(client: pg.ClientBase): Promise<ListedName[]> {
  const { rows } = await client.query<
    TableName & { readonly sourceOid: number; readonly targetSchema: string; readonly targetName: string; readonly history: string | null }
  >(
    `SELECT schema_name AS schema, table_name AS name, source_oid AS "sourceOid", nullif(source_history, 'null')::text AS history,
            coalesce(target_schema, schema_name) AS "targetSchema", coalesce(target_name, table_name) AS "targetName"
       FROM pgdms.table_sync ORDER BY schema_name, table_name`,
  );
  return rows.map(({ targetSchema, targetName, history, ...table }) => ({
    ...table,
    target: { schema: targetSchema, name: targetName },
    history: history === null ? null : (JSON.parse(history) as TableHistory),
  }));
}

/**
 * Reads the list back, with the source's definitions of today: of a table that was renamed those of its other name. A table that
 * the source no longer has is left out.
 */
export async function readListedTables(client: pg.ClientBase, source: readonly TableDefinition[]): Promise<ListedTable[]> {
  const { rows } = await client.query<Row>(
    `SELECT schema_name, table_name, source_oid, coalesce(target_schema, schema_name) AS target_schema, coalesce(target_name, table_name) AS target_name,
            is_target_partitioned, count(*) OVER (PARTITION BY target_schema, target_name) > 1 AS is_target_shared,
            source_columns, key_columns, is_insert_only, had_no_identity
       FROM pgdms.table_sync ORDER BY schema_name, table_name`,
  );
  const definitions = new Map(source.map((table) => [tableKey(table), table]));
  const byOid = new Map(source.map((table) => [table.oid, table]));
  return rows.flatMap((row) => {
    const name = { schema: row.schema_name, name: row.table_name };
    const definition = definitions.get(tableKey(name)) ?? byOid.get(row.source_oid);
    if (!definition) return [];
    return {
      ...name,
      target: { schema: row.target_schema, name: row.target_name },
      isTargetPartitioned: row.is_target_partitioned,
      isTargetShared: row.is_target_shared,
      definition,
      sourceOid: row.source_oid,
      sourceColumns: row.source_columns,
      keyColumns: row.key_columns,
      isInsertOnly: row.is_insert_only,
      hadNoIdentity: row.had_no_identity,
    };
  });
}
