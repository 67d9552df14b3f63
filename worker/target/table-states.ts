import type pg from "pg";
import { ReportedError } from "../../contracts/errors.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";

/** What the bookkeeping has of a table that is not simply followed. */
export interface SuspendedTable extends TableName {
  /** Why its changes are left out; undefined while it is only waiting for its (re)load. */
  readonly error: ReportedError | undefined;
  /** It is to be loaded again. Stays until that is done, whatever happens to the worker. */
  readonly isReloadAsked: boolean;
}

const NAMES = "(SELECT r->>'schema', r->>'name' FROM jsonb_array_elements($1::jsonb) AS r)";
const namesOf = (tables: readonly TableName[]): string => JSON.stringify(tables.map(({ schema, name }) => ({ schema, name })));

/** The tables whose changes are left out, by tableKey. */
export async function readSuspended(client: pg.ClientBase): Promise<Map<string, SuspendedTable>> {
  const { rows } = await client.query<{ schema: string; name: string; error: string | null; reload: boolean }>(
    `SELECT schema_name AS schema, table_name AS name, error::text AS error, is_reload_asked AS reload
       FROM pgdms.table_sync WHERE is_suspended ORDER BY schema_name, table_name`,
  );
  return new Map(
    rows.map(({ schema, name, error, reload }) => [
      tableKey({ schema, name }),
      { schema, name, error: error === null ? undefined : ReportedError.parse(JSON.parse(error)), isReloadAsked: reload },
    ]),
  );
}

/** From now on the tables' changes are left out. For use in an owned transaction. */
export async function suspendTables(client: pg.ClientBase, tables: readonly TableName[], error: ReportedError): Promise<void> {
  await client.query(
    `UPDATE pgdms.table_sync SET is_suspended = true, is_reload_asked = false, error = $2 WHERE (schema_name, table_name) IN ${NAMES}`,
    [namesOf(tables), JSON.stringify(error)],
  );
}

/** The tables are to be loaded again. From now on their changes are left out; what the ledger has of them is void. */
export async function askReload(client: pg.ClientBase, tables: readonly TableName[]): Promise<void> {
  await client.query(
    `UPDATE pgdms.table_sync SET is_suspended = true, is_reload_asked = true WHERE (schema_name, table_name) IN ${NAMES}`,
    [namesOf(tables)],
  );
}

/** Takes the tables out of the load's ledger. For use in an owned transaction. */
export async function forgetLoads(client: pg.ClientBase, tables: readonly TableName[]): Promise<void> {
  await client.query(`DELETE FROM pgdms.table_load WHERE (schema_name, table_name) IN ${NAMES}`, [namesOf(tables)]);
}

/**
 * Ends what an earlier connection of the sync may still do: a group whose connection was given up can be on its way on the
 * target, and would write after this into tables that are emptied meanwhile. For use in an owned transaction, while nothing
 * is applied.
 */
export async function endEarlierApply(client: pg.ClientBase): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a, pgdms.migration m
      WHERE a.usename = session_user AND a.datname = current_database() AND a.application_name = 'pgdms: ' || left(m.task_id::text, 8) || ' apply'`,
  );
  // One that is at its COMMIT has moved the position by now, or ends here.
  await client.query("SELECT FROM pgdms.migration FOR NO KEY UPDATE");
}

/**
 * The tables are as of the snapshots that the ledger has for them, and are followed from there on: the position goes back
 * to the earliest of them where it is past it, and all other tables remember that they are as of the position. For use in
 * an owned transaction, while nothing is applied.
 */
export async function followFrom(client: pg.ClientBase, tables: readonly TableName[]): Promise<void> {
  const names = namesOf(tables);
  await endEarlierApply(client);
  await client.query(
    `UPDATE pgdms.table_sync SET applied_to = greatest(applied_to, (SELECT coalesce(position, slot_lsn) FROM pgdms.migration))
      WHERE (schema_name, table_name) NOT IN ${NAMES}`,
    [names],
  );
  await client.query(
    `UPDATE pgdms.table_sync SET is_suspended = false, is_reload_asked = false, error = NULL, applied_to = NULL
      WHERE (schema_name, table_name) IN ${NAMES}`,
    [names],
  );
  await client.query(
    `UPDATE pgdms.migration SET lanes_to = NULL, position = least(coalesce(position, slot_lsn),
       (SELECT min(snapshot_lsn) FROM pgdms.table_load WHERE (schema_name, table_name) IN ${NAMES}))`,
    [names],
  );
}
