import type pg from "pg";
import { parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";

/** Changes of a table that were applied by this worker and the ones before it. */
export interface CountsRow extends TableName {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  /** When the last change was applied, ISO 8601. */
  readonly lastModifiedTime: string | null;
}

/** Counters of all tables that had changes. */
export async function readCounts(client: pg.ClientBase): Promise<CountsRow[]> {
  const { rows } = await client.query<{
    schema: string;
    name: string;
    inserts: string;
    updates: string;
    deletes: string;
    at: string | null;
  }>(
    `SELECT schema_name AS schema, table_name AS name, inserts::text AS inserts, updates::text AS updates, deletes::text AS deletes,
            to_char(last_change_on AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
       FROM pgdms.table_sync WHERE inserts + updates + deletes > 0`,
  );
  return rows.map(({ schema, name, inserts, updates, deletes, at }) => ({
    schema,
    name,
    inserts: Number(inserts),
    updates: Number(updates),
    deletes: Number(deletes),
    lastModifiedTime: at,
  }));
}

/** The position of the snapshot under which each table was loaded, by tableKey; of several parts the latest. */
export async function readSnapshotLsns(client: pg.ClientBase): Promise<Map<string, Lsn>> {
  const { rows } = await client.query<{ schema: string; name: string; lsn: string }>(
    `SELECT schema_name AS schema, table_name AS name, max(snapshot_lsn)::text AS lsn
       FROM pgdms.table_load WHERE snapshot_lsn IS NOT NULL GROUP BY schema_name, table_name`,
  );
  return new Map(rows.map(({ schema, name, lsn }) => [tableKey({ schema, name }), parseLsn(lsn)]));
}
