import { type ConnectionInput } from "../../contracts/wire.ts";
import { type Client } from "../client.ts";
import { startEnvironment } from "../environment.ts";
import { type Teardown } from "../environment/teardown.ts";
import { type PostgresServer } from "../postgres.ts";
import { type Writer } from "../sample/writer.ts";
import { bar, bytes, count, percent, type Terminal } from "../terminal.ts";
import { ask, DATABASE, startSource, startTarget } from "./servers.ts";

export interface DemoOptions {
  readonly port: number;
  readonly dataDir: string;
  readonly rows: number;
  /** How long the writer goes on after everything is loaded. */
  readonly syncMs: number;
}

/** Something is not as it must be; each line says what. */
export class DemoFailed extends Error {}

/** What all chapters use. */
export interface Stage {
  readonly terminal: Terminal;
  readonly teardown: Teardown;
  readonly options: DemoOptions;
  readonly client: Client;
  readonly source: PostgresServer;
  readonly target: PostgresServer;
  readonly writer: Writer;
}

/** The two servers and pgdms, all at once. */
export async function setTheStage(terminal: Terminal, teardown: Teardown, { rows, port, dataDir }: DemoOptions) {
  const beganMs = performance.now();
  const step = terminal.step("1-6", "Source, target, pgdms");
  step.show("two servers and pgdms are starting");
  const show = (what: string, fraction: number): void => step.show(`${bar(fraction)} ${percent(fraction)}  filling listdb: ${what}`);
  let sampleMs = 0;
  try {
    const [source, target, environment] = await Promise.all([
      startSource(teardown, rows, show).then((started) => {
        sampleMs = performance.now() - beganMs;
        return started;
      }),
      startTarget(teardown),
      teardown.start(
        () => startEnvironment({ port, dataDir, signal: teardown.signal, say: (line) => terminal.print(`  ${line}`) }),
        (started) => started.stop(),
      ),
    ]);
    step.done(await describeSource(source));
    terminal.print(`\n  pgdms is at ${environment.url}   its page at ${environment.url}/portal/`);
    return { source, target, environment, sampleMs };
  } catch (error) {
    step.fail("could not be started");
    throw error;
  }
}

async function describeSource(source: PostgresServer): Promise<string> {
  const [facts] = await ask<{ version: string; tables: number; rows: number; size: number }>(
    source.url(DATABASE),
    `SELECT current_setting('server_version') AS version, pg_database_size(current_database())::float8 AS size,
       count(*)::int AS tables, sum(reltuples)::float8 AS rows
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND nspname IN ('public', 'billing')`,
  );
  return facts ? `listdb on ${facts.version}: ${facts.tables} tables, ${count(facts.rows)} rows, ${bytes(facts.size)}` : "";
}

/** A server as the API is told of it. */
export const connection = ({ port, password = "" }: PostgresServer): ConnectionInput => ({
  serverName: "127.0.0.1",
  port,
  databaseName: DATABASE,
  userName: "postgres",
  password,
  encryptConnection: false, // both servers are on this machine and have no certificate
});
