import type pg from "pg";
import { quoteName } from "../postgres/quote.ts";

/**
 * Makes the database read-only for everybody who connects from now on, and ends the sessions that are there (they keep
 * what they were told at their start). Our own sessions and other walsenders stay. A session that insists may still SET
 * transaction_read_only off: the marker's proof notices what it writes.
 * @throws the server's 42501 when the user does not own the database.
 */
export async function fenceSource(source: pg.ClientBase, databaseName: string): Promise<void> {
  await source.query(`ALTER DATABASE ${quoteName(databaseName)} SET default_transaction_read_only = on`);
  await source.query(
    `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a
      WHERE a.datname = $1 AND a.pid <> pg_backend_pid() AND a.application_name NOT LIKE 'pgdms:%'
        AND NOT EXISTS (SELECT FROM pg_stat_replication r WHERE r.pid = a.pid)`,
    [databaseName],
  );
}

/** Takes the fence away, where there is one: after a cutover that was refused, or a migration that ended without one. */
export async function unfenceSource(source: pg.ClientBase, databaseName: string): Promise<void> {
  const { rowCount } = await source.query(
    `SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
      WHERE d.datname = $1 AND s.setrole = 0 AND 'default_transaction_read_only=on' = ANY (s.setconfig)`,
    [databaseName],
  );
  if (rowCount === 1) await source.query(unfenceStatement(databaseName));
}

/** What takes the fence away. */
export const unfenceStatement = (databaseName: string): string =>
  `ALTER DATABASE ${quoteName(databaseName)} RESET default_transaction_read_only`;
