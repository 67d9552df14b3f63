import { isIP } from "node:net";
import pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { connectFailure, failureCode } from "./failures.ts";
import { type Server, type Side } from "./server.ts";
import { watchSilence } from "./silence.ts";

/** A connection attempt that gets no answer ends after this. */
const CONNECT_TIMEOUT_MS = 15_000;

/** TCP keep-alives start after this much silence, so that a link that vanished is noticed. */
const KEEP_ALIVE_MS = 10_000;

/**
 * What every session of ours is set to, so that values read and written as text mean the same on both sides.
 * - row_security off: a role that policies bind fails loudly instead of reading fewer rows (manual, 5.9 "Row Security Policies").
 * - extra_float_digits 3: exact floats also before PostgreSQL 12.
 * - search_path pg_catalog: names come out schema-qualified and nobody's functions are called by accident.
 * - array_nulls on: off would read the NULLs of an array as the word (manual, 19.13.1 "Previous PostgreSQL Versions").
 * - standard_conforming_strings on: names with a backslash stay what they are in our statements.
 * - quote_all_identifiers off: names and types are compared as the catalog's functions write them.
 * - default_transaction_isolation: a session that is fenced must see what was committed since its transaction began.
 */
const SESSION: Readonly<Record<string, string>> = {
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  extra_float_digits: "3",
  bytea_output: "hex",
  xmloption: "content",
  lc_monetary: "C",
  search_path: "pg_catalog",
  statement_timeout: "0",
  lock_timeout: "0",
  idle_in_transaction_session_timeout: "0",
  row_security: "off",
  array_nulls: "on",
  standard_conforming_strings: "on",
  quote_all_identifiers: "off",
  default_transaction_isolation: "read committed",
};

/** Settings that younger servers have; set where they exist. */
const SESSION_SINCE: readonly { readonly name: string; readonly value: string; readonly versionNum: number }[] = [
  { name: "idle_session_timeout", value: "0", versionNum: 140_000 },
  { name: "transaction_timeout", value: "0", versionNum: 170_000 },
];

/** Settings that older servers lack. */
const SESSION_BEFORE: Readonly<Record<string, number>> = { row_security: 90_500, idle_in_transaction_session_timeout: 90_600 };

export interface ConnectOptions {
  /** Shown in pg_stat_activity after "pgdms: ". */
  readonly purpose: string;
  /** Further settings of the session; set and read back like the others. */
  readonly session?: Readonly<Record<string, string>>;
  /** UTF8 unless the source is SQL_ASCII, where bytes must pass unconverted. */
  readonly clientEncoding?: string;
}

/** What `pg` is told of a server; also used by the replication connection. */
export async function clientConfig(server: Server, purpose: string): Promise<pg.ClientConfig> {
  const { serverName, port, databaseName, userName, encryptConnection, trustServerCertificate } = server.connection;
  const password = await server.password();
  return {
    host: serverName,
    port,
    database: databaseName,
    user: userName,
    ...(password === undefined ? {} : { password }),
    // SNI must not carry an IP address (RFC 6066).
    ssl: encryptConnection
      ? { rejectUnauthorized: !trustServerCertificate, ...(isIP(serverName) ? {} : { servername: serverName }) }
      : false,
    application_name: `pgdms: ${purpose}`,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: catalogTypes,
  };
}

/** Catalog queries get booleans, small numbers and arrays of names as such; everything else stays PostgreSQL's text. */
const PARSED_OIDS = new Set([
  16 /* bool */, 21 /* int2 */, 23 /* int4 */, 26 /* oid */, 1003 /* name[] */, 1005 /* int2[] */, 1007 /* int4[] */, 1009 /* text[] */,
]);
const catalogTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text") =>
    PARSED_OIDS.has(oid)
      ? (pg.types.getTypeParser(oid, format ?? "text") as unknown)
      : (value: string) => value) as pg.CustomTypesConfig["getTypeParser"],
};

/** A goodbye that the server does not answer is cut off after this. */
const END_TIMEOUT_MS = 3_000;

/** A client whose end comes, also when its line is dead and neither side hears of it. */
class EndingClient extends pg.Client {
  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    if (callback) return super.end(callback);
    const timer = setTimeout(() => this.connection.stream.destroy(), END_TIMEOUT_MS);
    return super.end().finally(() => clearTimeout(timer));
  }
}

/**
 * Opens one session on a server with everything of it set and read back.
 * @throws MigrationError of the kinds Source…/Target… Unreachable, LoginFailed, TlsFailed, DatabaseMissing.
 */
export async function connect(server: Server, options: ConnectOptions): Promise<pg.Client> {
  const client = new EndingClient(await clientConfig(server, options.purpose));
  // An idle session that dies emits an error; the next query on it reports it, so this one must only not end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    watchSilence(client, { config: () => clientConfig(server, "look") });
    await prepareSession(client, server.side, options);
    return client;
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw connectError(server, thrown);
  }
}

/** Runs work on a session of its own and closes it whatever happens. */
export async function withConnection<T>(server: Server, options: ConnectOptions, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(server, options);
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** A failed login as an error of the list; names the server, never the password. */
export function connectError(server: Server, thrown: unknown): unknown {
  const kind = connectFailure(server.side, thrown);
  if (kind === undefined || thrown instanceof MigrationError) return thrown;
  const { serverName, port, databaseName, userName } = server.connection;
  const reason = thrown instanceof Error ? thrown.message || (failureCode(thrown) ?? "no reason given") : String(thrown);
  const sqlState = failureCode(thrown);
  return new MigrationError(kind, {
    detail: `${serverName}:${port}, database ${databaseName}, user ${userName}: ${reason}.`,
    ...(sqlState === undefined ? {} : { sqlState }),
    cause: thrown,
  });
}

/** The server's version as a number: 130010 for 13.10. */
export async function versionNum(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ v: string }>("SELECT current_setting('server_version_num') AS v");
  return Number(rows[0]?.v);
}

/**
 * What a target says is committed must be on its disk, since the source forgets it then. A role, database or server may have
 * synchronous_commit off (manual, 29.4 "Asynchronous Commit"): a crash would take the last commits along. What waits for
 * more than the own disk stays.
 */
const durableCommits = (side: Side, synchronousCommit: string): Record<string, string> =>
  side === "target" && synchronousCommit === "off" ? { synchronous_commit: "on" } : {};

async function prepareSession(client: pg.Client, side: Side, { session = {}, clientEncoding = "UTF8" }: ConnectOptions): Promise<void> {
  const { rows: now } = await client.query<{ version: string; synchronousCommit: string }>(
    `SELECT current_setting('server_version_num') AS version, current_setting('synchronous_commit') AS "synchronousCommit"`,
  );
  const version = Number(now[0]?.version);
  const durable = durableCommits(side, now[0]?.synchronousCommit ?? "");
  const wanted: Record<string, string> = { ...SESSION, ...durable, client_encoding: clientEncoding, ...session };
  for (const { name, value, versionNum: since } of SESSION_SINCE) if (version >= since) wanted[name] ??= value;
  for (const [name, since] of Object.entries(SESSION_BEFORE)) if (version < since) delete wanted[name];
  const names = Object.keys(wanted);
  const values = Object.values(wanted);
  // set_config returns what the setting became: set and read back in one go.
  const { rows } = await client.query<{ name: string; value: string }>(
    "SELECT n AS name, set_config(n, v, false) AS value FROM unnest($1::text[], $2::text[]) AS s(n, v)",
    [names, values],
  );
  for (const { name, value } of rows) {
    if (!sameSetting(value, wanted[name] ?? "")) throw new Error(`the server set ${name} to ${value} instead of ${wanted[name] ?? ""}`);
  }
}

const sameSetting = (a: string, b: string): boolean =>
  a.replaceAll(/["\s]/g, "").toLowerCase() === b.replaceAll(/["\s]/g, "").toLowerCase();
