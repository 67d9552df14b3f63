import type pg from "pg";

/** A transaction that has written, so that creating a slot waits for its end. */
export interface OpenTransaction {
  readonly pid: number;
  /** Null when our role may not see it. */
  readonly userName: string | null;
  readonly databaseName: string | null;
  readonly state: string | null;
  readonly ageSeconds: number | null;
}

const TRANSACTIONS_MAX = 100;

/**
 * The open transactions of the server, oldest first: those that hold a transaction id. pg_locks shows them to every role;
 * pg_stat_activity hides the age of other roles' sessions from those that are not members of pg_read_all_stats.
 * The text of their queries is never read: it may hold row values.
 */
export async function readOpenTransactions(client: pg.ClientBase): Promise<OpenTransaction[]> {
  const { rows } = await client.query<{
    pid: number;
    user_name: string | null;
    database_name: string | null;
    state: string | null;
    age_seconds: number | null;
  }>(
    `SELECT l.pid, a.usename::text AS user_name, a.datname::text AS database_name, a.state,
            extract(epoch FROM clock_timestamp() - a.xact_start)::int AS age_seconds
       FROM (SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted) l
       LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE l.pid IS NOT NULL AND l.pid <> pg_backend_pid()
      ORDER BY a.xact_start NULLS LAST LIMIT ${TRANSACTIONS_MAX}`,
  );
  return rows.map((row) => ({
    pid: row.pid,
    userName: row.user_name,
    databaseName: row.database_name,
    state: row.state,
    ageSeconds: row.age_seconds,
  }));
}

/** One transaction in words, with what ends it. */
export function sayTransaction({ pid, userName, databaseName, state, ageSeconds }: OpenTransaction): string {
  const age = ageSeconds === null ? "of unknown age" : `open for ${ageSeconds} s`;
  return `process ${pid} (user ${userName ?? "unknown"}, database ${databaseName ?? "unknown"}, ${state ?? "state hidden"}, ${age}; SELECT pg_terminate_backend(${pid}))`;
}
