import type pg from "pg";

/** A session whose process on the server is known. */
export interface Session {
  readonly client: pg.Client;
  readonly pid: number;
}

export async function openSession(connectTarget: () => Promise<pg.Client>): Promise<Session> {
  const client = await connectTarget();
  try {
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    return { client, pid: rows[0]?.pid ?? 0 };
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw thrown;
  }
}

export const closeSession = ({ client }: Session): Promise<void> => client.end().catch(() => undefined);

/**
 * Runs work on a session. When the signal aborts, what the session does on the server is ended there as well: closing the
 * socket alone would let an index build go on for hours, locks and all.
 * @throws the signal's reason when it aborted (the session is of no more use then), else what the work throws.
 */
export async function abortable<T>(
  session: Session,
  connectTarget: () => Promise<pg.Client>,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  let ending: Promise<void> | undefined;
  const onAbort = (): void => {
    ending = endOnServer(connectTarget, session.pid);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await work(session.client);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown;
  } finally {
    signal.removeEventListener("abort", onAbort);
    await ending;
  }
}

/**
 * A user may end sessions of its own; process ids are used again, so only one of ours is ended. When even that fails, the session
 * ends with its work.
 */
async function endOnServer(connectTarget: () => Promise<pg.Client>, pid: number): Promise<void> {
  try {
    const client = await connectTarget();
    const ours = "pid = $1 AND usename = session_user AND application_name LIKE 'pgdms: %'";
    await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`, [pid]).finally(() => client.end());
  } catch {
    // The server cannot be reached: nothing more can be done about it from here.
  }
}

/** The same on a session of its own. */
export async function inSession<T>(
  connectTarget: () => Promise<pg.Client>,
  signal: AbortSignal,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const session = await openSession(connectTarget);
  try {
    return await abortable(session, connectTarget, signal, work);
  } finally {
    await closeSession(session);
  }
}
