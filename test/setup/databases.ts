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

interface Admin {
  readonly client: pg.Client;
  readonly versionNumber: number;
}

/** One session for each server, as long as it lasts: a test makes and drops two databases, and each session costs what making one does. */
const admins = new Map<number, Promise<Admin>>();

function adminOf(port: number): Promise<Admin> {
  const known = admins.get(port);
  if (known) return known;
  const client = clientFor(port, "postgres");
  const connecting = client
    .connect()
    .then(() => client.query<{ number: string }>("SELECT current_setting('server_version_num') AS number"))
    .then(({ rows: [row] }) => ({ client, versionNumber: Number(row?.number) }));
  const forget = (): void => void (admins.get(port) === connecting && admins.delete(port));
  client.on("error", forget); // a server that a test stops
  client.on("end", forget);
  connecting.catch(forget);
  admins.set(port, connecting);
  return connecting;
}

/** Makes an empty database on the server at the port; of another encoding than the server's own if one is given. */
export async function createDatabase(side: Side, port: number, encoding?: string): Promise<TestDatabase> {
  const name = `t_${randomBytes(6).toString("hex")}`;
  const admin = await adminOf(port);
  const locale = encoding === undefined ? "" : ` ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`;
  // Copied as files, as before 15: writing all of them to the WAL takes more than twice as long.
  const strategy = admin.versionNumber >= 150_000 ? " STRATEGY file_copy" : "";
  await admin.client.query(`CREATE DATABASE ${name} TEMPLATE template0${strategy}${locale}`);
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
      const { client: session } = await adminOf(port);
      // Slots keep a database from being dropped; a test that failed may have left one.
      await session.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", [name]);
      await session.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [name]);
      for (let attempt = 0; attempt < 50; attempt++) {
        try {
          await session.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", [name]);
          await session.query(`DROP DATABASE IF EXISTS ${name}`);
          break;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 50)); // the walsender is still going
        }
      }
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
