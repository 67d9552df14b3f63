import type pg from "pg";
import { formatLsn, LSN_NEVER, parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { bound } from "../full-load/ledger.ts";
import { type LoadedPart, loadedParts, type LoadedParts } from "../incremental-sync/loaded-parts.ts";

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

/** From which commit on changes are applied; of a table whose parts are of several snapshots, from which on any is. */
export interface AppliedFrom {
  readonly snapshotLsn: Lsn;
  readonly parts?: LoadedParts;
}

/**
 * From which commit on changes of each table are applied, by tableKey: the position of the snapshot under which it was
 * loaded, or what it had been applied to when the position went back for another table; for a table that is suspended the
 * end of time.
 */
export async function readAppliedFrom(client: pg.ClientBase): Promise<Map<string, AppliedFrom>> {
  const parts = await readLoadedParts(client);
  const { rows } = await client.query<{ schema: string; name: string; lsn: string }>(
    `SELECT k.schema_name AS schema, k.table_name AS name,
            CASE WHEN k.is_suspended THEN $1 ELSE greatest(min(l.snapshot_lsn), k.applied_to, '0/0')::text END AS lsn
       FROM pgdms.table_sync k LEFT JOIN pgdms.table_load l USING (schema_name, table_name)
      GROUP BY k.schema_name, k.table_name`,
    [formatLsn(LSN_NEVER)],
  );
  return new Map(
    rows.map(({ schema, name, lsn }) => {
      const key = tableKey({ schema, name });
      const ofTable = parts.get(key);
      return [key, { snapshotLsn: parseLsn(lsn), ...(ofTable === undefined ? {} : { parts: loadedParts(ofTable) }) }];
    }),
  );
}

/** The parts of tables that were loaded under several snapshots, by tableKey. */
async function readLoadedParts(client: pg.ClientBase): Promise<Map<string, LoadedPart[]>> {
  const { rows } = await client.query<{
    schema: string;
    name: string;
    column: string;
    from: string | null;
    to: string | null;
    lsn: string;
  }>(
    `SELECT l.schema_name AS schema, l.table_name AS name, l.range_column AS column, l.range_from AS from, l.range_to AS to,
            greatest(l.snapshot_lsn, k.applied_to)::text AS lsn
       FROM pgdms.table_load l JOIN pgdms.table_sync k USING (schema_name, table_name)
      WHERE NOT k.is_suspended AND l.range_kind = 'key' AND (l.schema_name, l.table_name) IN
            (SELECT schema_name, table_name FROM pgdms.table_load GROUP BY 1, 2 HAVING count(DISTINCT snapshot_lsn) > 1)
      ORDER BY 1, 2, l.part`,
  );
  const parts = new Map<string, LoadedPart[]>();
  for (const { schema, name, column, from, to, lsn } of rows) {
    const part = { column, from: bound(from), to: bound(to), lsn: parseLsn(lsn) };
    const list = parts.get(tableKey({ schema, name }));
    if (list) list.push(part);
    else parts.set(tableKey({ schema, name }), [part]);
  }
  return parts;
}
