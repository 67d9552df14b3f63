import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { type Fence, readSetting } from "../contracts/settings.ts";
import { Client, RequestRefused } from "./client.ts";
import { DEFAULT_PORT, integerOf, portForPeople, readArguments, runCommand, UsageError } from "./command-line.ts";
import { DEFAULT_SERVICE, startEnvironment } from "./environment.ts";
import { Teardown } from "./environment/teardown.ts";
import { connectionOf } from "./migrate/connection-url.ts";
import { cancelMigration, MigrationStopped, refusalLines, runMigration, type Run } from "./migrate/run.ts";
import { settingMaps, tableNames } from "./migrate/settings.ts";
import { Terminal } from "./terminal.ts";

// `npm run migrate`: moves one database between two servers of the user's own.

const usage = `npm run migrate -- --source postgres://user@host/database --target postgres://user@host/database [options]

  --source URL, --target URL   the databases. ?sslmode= as in libpq; without it TLS is on and the certificate is checked.
                               Passwords may be in PGDMS_SOURCE_PASSWORD and PGDMS_TARGET_PASSWORD instead.
  --tables a.b,c.d             only these tables
  --schema-only-existing       do not copy the schema: the tables exist on the target
  --cutover when-ready         cut over as soon as it is possible (the writes have stopped); default: when "cutover" is typed
  --fence readOnly|none        whether the cutover makes the source read-only first; default: the setting fence, which is none
  --set key=value              any setting of docs/settings.md; may be given several times
  --cancel                     cancel what an earlier run left, and clean up the source
  --data DIR                   what is remembered between runs (default .pgdms/migrate)
  --port N                     of the REST API and the portal (default ${DEFAULT_PORT} if it is free, else any free one)

Ctrl-C pauses: the same command goes on, --cancel gives up. Until then the source keeps its WAL for the migration.
Exit code 0 only after both sides were compared and found equal.`;

const options = {
  source: { type: "string" },
  target: { type: "string" },
  tables: { type: "string" },
  "schema-only-existing": { type: "boolean", default: false },
  cutover: { type: "string", default: "typed" },
  fence: { type: "string" },
  set: { type: "string", multiple: true, default: [] as string[] },
  cancel: { type: "boolean", default: false },
  data: { type: "string", default: ".pgdms/migrate" },
  port: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

async function migrate(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const { cutover, cancel } = values;
  if (cutover !== "typed" && cutover !== "when-ready")
    throw new UsageError(`--cutover must be "when-ready" or left out, but is "${cutover}".`);
  const fence = values.fence === undefined ? undefined : fenceOf(values.fence);
  const input = inputOf(values);
  const port = values.port === undefined ? await portForPeople() : integerOf("--port", values.port, 0, 65_535);
  const dataDir = resolve(values.data);
  const terminal = new Terminal(process.stdout, process.env);
  const teardown = new Teardown();
  const stop = (): void => void teardown.stop().catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const client = await startPgdms(teardown, terminal, { port, dataDir });
    const [{ name: databaseName }] = input.selectedDatabases;
    const run: Run = { client, terminal, signal: teardown.signal, input, taskName: taskNameOf(input), databaseName, cutover, fence };
    await (cancel ? cancelMigration(run) : runMigration(run));
    return 0;
  } catch (error) {
    terminal.close();
    if (signal.aborted) terminal.print(`  ${paused}`);
    if (signal.aborted || !(error instanceof MigrationStopped || error instanceof RequestRefused)) throw error;
    const text = error instanceof RequestRefused ? refusalLines(error) : error.message;
    terminal.print(`\n${terminal.style("red", text)}\n\nLogs: ${join(dataDir, "logs")}`);
    return 1;
  } finally {
    await teardown.stop();
  }
}

const paused = "Paused. The same command goes on; with --cancel it gives up. Until then the source keeps its WAL for the migration.";

type Values = ReturnType<typeof readArguments<typeof options>>;

/** The input of the task, as the arguments ask for it. @throws UsageError */
function inputOf(values: Values) {
  const source = connectionOf("--source", values.source, process.env["PGDMS_SOURCE_PASSWORD"]);
  const target = connectionOf("--target", values.target, process.env["PGDMS_TARGET_PASSWORD"]);
  const maps = settingMaps(values.set, values["schema-only-existing"] ? {} : { migrateSchema: "true" });
  const tables = tableNames(values.tables);
  const selectedTables = tables.length > 0 ? { selectedTables: tables.map((name) => ({ name })) } : {};
  const selected = { name: source.databaseName, targetDatabaseName: target.databaseName, ...maps, ...selectedTables };
  return { sourceConnectionInfo: source, targetConnectionInfo: target, selectedDatabases: [selected] } as const;
}

/** @throws UsageError */
function fenceOf(text: string): Fence {
  const read = readSetting("fence", text);
  if (!read.ok) throw new UsageError(`--fence: ${read.message}`);
  return read.value;
}

async function startPgdms(teardown: Teardown, terminal: Terminal, { port, dataDir }: { port: number; dataDir: string }): Promise<Client> {
  const step = terminal.step("", "pgdms");
  const environment = await teardown.start(
    () => startEnvironment({ port, dataDir, signal: teardown.signal, say: (line) => terminal.print(`  ${line}`) }),
    (started) => started.stop(),
  );
  step.done(`${environment.url}   its page: ${environment.url}/portal/`);
  const scope = { subscription: "local", resourceGroup: "local", service: DEFAULT_SERVICE, project: "migrate" };
  return new Client(environment.url, scope, teardown.signal);
}

/** The same two databases always meet in the same task, so that a second run goes on with the first one's. */
function taskNameOf({ sourceConnectionInfo, targetConnectionInfo }: ReturnType<typeof inputOf>): string {
  const ends = [sourceConnectionInfo, targetConnectionInfo].map(
    ({ serverName, port, databaseName }) => `${serverName}:${String(port)}/${databaseName}`,
  );
  const name = sourceConnectionInfo.databaseName.replace(/[^A-Za-z0-9]/g, "-").slice(0, 30);
  return `m-${name}-${createHash("sha256").update(ends.join(" ")).digest("hex").slice(0, 8)}`;
}

runCommand(migrate);
