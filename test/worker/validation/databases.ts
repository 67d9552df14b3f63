import { randomBytes } from "node:crypto";
import pg from "pg";
import { type PostgresServer } from "../../../local/postgres.ts";
import { type Server, type Side } from "../../../worker/postgres/server.ts";
import { quoteName } from "../../../worker/postgres/quote.ts";

/** One database of a test server, as the worker sees it and as a test writes to it. */
export interface TestDatabase {
  readonly name: string;
  readonly server: Server;
  /** As superuser; the rows of the last statement. */
  query<R extends pg.QueryResultRow = Record<string, unknown>>(...statements: string[]): Promise<R[]>;
  /** The same database, as another user. */
  as(userName: string): Server;
  /** A session of the test's own, to be ended by it. */
  session(): Promise<pg.Client>;
}

/** A server as the worker is told of it. */
export function serverFor(postgres: PostgresServer, side: Side, databaseName: string, userName = "postgres"): Server {
  return {
    side,
    connection: {
      serverName: postgres.host,
      port: postgres.port,
      databaseName,
      userName,
      credential: { kind: "none" },
      encryptConnection: false,
      trustServerCertificate: false,
    },
    password: () => Promise.resolve(userName === "postgres" ? postgres.password : undefined),
  };
}

export function database(postgres: PostgresServer, side: Side, name: string): TestDatabase {
  const session = async (): Promise<pg.Client> => {
    const client = new pg.Client(postgres.url(name));
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  return {
    name,
    server: serverFor(postgres, side, name),
    as: (userName) => serverFor(postgres, side, name, userName),
    session,
    async query<R extends pg.QueryResultRow>(...statements: string[]) {
      const client = await session();
      try {
        let rows: R[] = [];
        for (const statement of statements) rows = (await client.query<R>(statement)).rows;
        return rows;
      } finally {
        await client.end();
      }
    },
  };
}

/** A new, empty database. */
export async function freshDatabase(
  postgres: PostgresServer,
  side: Side,
  name = `t_${randomBytes(5).toString("hex")}`,
): Promise<TestDatabase> {
  await database(postgres, side, "postgres").query(`CREATE DATABASE ${quoteName(name)} TEMPLATE template0`);
  return database(postgres, side, name);
}
