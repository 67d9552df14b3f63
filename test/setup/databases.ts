import { randomBytes } from "node:crypto";
import pg from "pg";
import { inject } from "vitest";
import { type ConnectionReference } from "../../contracts/connection.ts";
import { type Server, type Side } from "../../worker/postgres/server.ts";

/** A database of the test's own, as an ordinary client and as the worker sees it. */
export interface TestDatabase {
  readonly name: string;
  readonly port: number;
  readonly server: Server;
  readonly reference: ConnectionReference;
  query(sql: string, values?: unknown[]): Promise<pg.QueryResult<Record<string, unknown>>>;
  /** A further session; the caller ends it. */
  connect(): Promise<pg.Client>;
  /** A new session for `query`, after something ended the old one. */
  reconnect(): Promise<void>;
  drop(): Promise<void>;
}

const clientFor = (port: number, database: string): pg.Client => new pg.Client({ host: "127.0.0.1", port, user: "postgres", database });

/** Makes an empty database on the server at the port; of another encoding than the server's own if one is given. */
export async function createDatabase(side: Side, port: number, encoding?: string): Promise<TestDatabase> {
  const name = `t_${randomBytes(6).toString("hex")}`;
  const admin = clientFor(port, "postgres");
  admin.on("error", () => undefined); // a server that a test stops
  await admin.connect();
  const locale = encoding === undefined ? "" : ` ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template0${locale}`);
  const connect = async (): Promise<pg.Client> => {
    const client = clientFor(port, name);
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  let client = await connect();
  const reference: ConnectionReference = {
    serverName: "127.0.0.1",
    port,
    databaseName: name,
    userName: "postgres",
    credential: { kind: "none" },
    encryptConnection: false,
    trustServerCertificate: false,
  };
  return {
    name,
    port,
    reference,
    server: { side, connection: reference, password: () => Promise.resolve(undefined) },
    query: (sql, values) => client.query(sql, values),
    connect,
    reconnect: async () => {
      client = await connect();
    },
    drop: async () => {
      await client.end();
      // Slots keep a database from being dropped; a test that failed may have left one.
      await admin.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", [name]);
      await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name]);
      for (let attempt = 0; attempt < 50; attempt++) {
        try {
          await admin.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", [name]);
          await admin.query(`DROP DATABASE IF EXISTS ${name}`);
          break;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 50)); // the walsender is still going
        }
      }
      await admin.end();
    },
  };
}

interface DatabasePair {
  readonly source: TestDatabase;
  readonly target: TestDatabase;
  drop(): Promise<void>;
}

/** A pair of empty databases: 13 as source, 17 as target. */
export const createPair = (): Promise<DatabasePair> => createPairFrom("13");

/** A pair of empty databases: a source of the version, 17 as target. */
export async function createPairFrom(version: "13" | "17"): Promise<DatabasePair> {
  const [source, target] = await Promise.all([
    createDatabase("source", inject(`postgres${version}Port`)),
    createDatabase("target", inject("postgres17Port")),
  ]);
  return {
    source,
    target,
    drop: async () => {
      await Promise.all([source.drop(), target.drop()]);
    },
  };
}
