import type pg from "pg";
import { type Teardown } from "../environment/teardown.ts";
import { withClient } from "../postgres/with-client.ts";
import { startPostgres, type PostgresServer } from "../postgres.ts";
import { createListdb, type OnProgress } from "../sample/listdb.ts";

export const DATABASE = "listdb";

/** The server on premises: 13.10 as in the tutorial, with a role that may replicate, and listdb in it. */
export async function startSource(teardown: Teardown, rows: number, onProgress: OnProgress): Promise<PostgresServer> {
  const source = await startServer(teardown, "13");
  await createDatabase(source);
  await createListdb(source.url(DATABASE), rows, teardown.signal, onProgress);
  return source;
}

/** The server in the cloud, with an empty database. */
export async function startTarget(teardown: Teardown): Promise<PostgresServer> {
  const target = await startServer(teardown, "17");
  await createDatabase(target);
  return target;
}

const startServer = (teardown: Teardown, version: "13" | "17"): Promise<PostgresServer> =>
  teardown.start(
    () =>
      startPostgres({
        version,
        auth: "scram-sha-256",
        settings: { max_replication_slots: "5", max_wal_senders: "10", shared_buffers: "128MB", max_wal_size: "2GB" },
      }),
    (server) => server.stop(),
  );

const createDatabase = (server: PostgresServer): Promise<unknown> =>
  ask(server.url("postgres"), `CREATE DATABASE ${DATABASE} TEMPLATE template0`);

/** One question on a connection of its own. */
export const ask = <T extends pg.QueryResultRow>(url: string, text: string): Promise<T[]> =>
  withClient(url, "listdb demo", async (client) => (await client.query<T>(text)).rows);
