import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Task } from "../../contracts/wire.ts";
import { Client } from "../../local/client.ts";
import { DEFAULT_SERVICE, type LocalEnvironment, startEnvironment } from "../../local/environment.ts";
import { type PostgresServer } from "../../local/postgres.ts";
import { NameService } from "../faults/name-service.ts";
import { TcpProxy } from "../faults/tcp-proxy.ts";
import { judge } from "./equality.ts";
import { type End, NOT_AT_CUTOVER, type Stage } from "./faults.ts";
import { FaultStorm } from "./fault-storm.ts";
import { Random } from "./random.ts";
import { persistently, Watcher } from "./watcher.ts";
import { withClient, Workload, type WorkloadSize } from "./workload.ts";

const TASK = "chaos";
/** A name that pg_dump, which asks the system, resolves too. */
const SOURCE_NAME = "localhost";
const TARGET_NAME = "target.pgdms.test";
/** Made when the migration is ready to complete; most of them change four rows. */
const LAST_TRANSACTIONS = 100;
/** Tables that every workload has. */
const TABLES = ["accounts", "tellers", "branches", "orders", "bulk", "moves"];

export interface RoundOptions {
  readonly seed: number;
  readonly source: PostgresServer;
  readonly target: PostgresServer;
  /** How long the source is written to, from the beginning of the load on. */
  readonly followMs: number;
  readonly size: WorkloadSize;
  /** Between two faults, on average. */
  readonly everyMs: number;
  /** No fault lasts longer than this. */
  readonly longestMs: number;
  /** How long the broker's locks last instead of a minute. */
  readonly lockSeconds?: number;
  /** What has not happened by then will not happen. */
  readonly limitMs: number;
  /** Where the environment keeps its data and its logs. */
  readonly dataDir: string;
  readonly say: (line: string) => void;
}

export interface RoundResult {
  readonly what: string;
  readonly faults: ReadonlyMap<string, number>;
  readonly takeOvers: number;
  readonly tables: number;
  readonly rows: number;
  readonly changes: number;
  readonly transactions: number;
  readonly cutoversRefused: readonly string[];
  readonly looks: number;
  readonly durationMs: number;
}

/** One migration from start to end, under fire. @throws Error that says what was lost, left, or did not happen */
export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const { seed, source, target, size, dataDir, say } = options;
  const startedMs = Date.now();
  const random = new Random(seed);
  const databases = { source: `chaos_s_${seed}_${randomUUID().slice(0, 4)}`, target: `chaos_t_${seed}_${randomUUID().slice(0, 4)}` };
  const lines: TcpProxy[] = [];
  const names = await NameService.open(dataDir);
  const end = async (server: PostgresServer, database: string, hostName: string): Promise<End> => {
    await withClient(server.url("postgres"), (client) => client.query(`CREATE DATABASE ${database} TEMPLATE template0`));
    const proxy = await TcpProxy.open(server.port);
    lines.push(proxy);
    names.resolve(hostName);
    return { server, database, proxy, hostName };
  };
  const ends = { source: await end(source, databases.source, SOURCE_NAME), target: await end(target, databases.target, TARGET_NAME) };
  const workload = new Workload(source.url(databases.source), size, seed);
  let environment: LocalEnvironment | undefined;
  try {
    await workload.create();
    const settings = await chooseSettings(random, ends, workload);
    const what = `${source.version} to ${target.version}, ${JSON.stringify(settings)}`;
    say(what);
    environment = await startEnvironment({
      port: 0,
      dataDir,
      workers: 2,
      replaceWorkers: false,
      lockSeconds: options.lockSeconds,
      workerSettings: { LOG_LEVEL: "debug", ...names.settings },
    });
    const stage = { environment, names, ...ends, tables: TABLES, random, longestMs: options.longestMs };
    const migrated = await migrate(stage, { ...options, settings, workload });
    await environment.stop();
    const verdict = await judge(source.url(databases.source), target.url(databases.target));
    if (verdict.differences.length > 0) throw new Error(`not equal:\n${verdict.differences.join("\n")}`);
    return { what, ...migrated, ...verdict, takeOvers: await countTakeOvers(dataDir), durationMs: Date.now() - startedMs };
  } finally {
    await workload.stop();
    await environment?.stop();
    await Promise.all(lines.map((proxy) => proxy.close()));
    await drop(source, databases.source);
    await drop(target, databases.target);
  }
}

/** Settings that decide which way the data goes. Half of the targets have their schema already. */
async function chooseSettings(
  random: Random,
  { target }: { target: End },
  workload: Workload,
): Promise<Record<string, Record<string, string>>> {
  const migrateSchema = random.next() < 0.5;
  if (!migrateSchema) await withClient(target.server.url(target.database), (client) => client.query(workload.schemaSql));
  return {
    migrationSetting: {
      migrateSchema: String(migrateSchema),
      tablesWithoutKey: "replicaIdentityFull",
      deferIndexes: random.one(["true", "true", "false"]),
      fullLoadStreams: random.one(["1", "2", "4"]),
      largeTablePartMB: random.one(["2", "8", "1024"]),
      applyGroupMaxChanges: random.one(["200", "2000", "20000"]),
    },
    sourceSetting: { plugin: random.one(["pgoutput", "pgoutput", "test_decoding"]), sqlBacklogMB: random.one(["1", "1", "64"]) },
  };
}

type Migrated = Pick<RoundResult, "faults" | "changes" | "transactions" | "cutoversRefused" | "looks">;

interface MigrateOptions extends RoundOptions {
  readonly settings: Record<string, Record<string, string>>;
  readonly workload: Workload;
}

async function migrate(
  stage: Omit<Stage, "signal">,
  { settings, workload, followMs, everyMs, limitMs, say }: MigrateOptions,
): Promise<Migrated> {
  const { environment, source, target, random } = stage;
  const ending = new AbortController();
  const scope = { subscription: randomUUID(), resourceGroup: "rg", service: DEFAULT_SERVICE, project: "moves" };
  const client = new Client(environment.url, scope, ending.signal);
  await client.putService();
  await client.putProject();
  await client.putMigration(TASK, {
    sourceConnectionInfo: connectionTo(source),
    targetConnectionInfo: connectionTo(target),
    selectedDatabases: [{ name: source.database, targetDatabaseName: target.database, ...settings }],
  });
  const watcher = new Watcher(client, TASK);
  workload.start();
  // Slow enough that faults meet the load; the first fault of the line ends it.
  source.proxy.limit(random.between(500, 8_000) * 1024);
  let storm: FaultStorm | undefined;
  try {
    // The checks before a migration say at once what is wrong; from here on it must bear everything.
    await watcher.until(isIn("RUNNING", "READY_TO_COMPLETE"), "the load's beginning", limitMs);
    storm = new FaultStorm({ stage: { ...stage, signal: ending.signal }, everyMs, say });
    // Writers outpace a sync that is interrupted all the time: it is not its speed that is tried here.
    await watcher.following(followMs);
    const { transactions } = await workload.stop();
    say(`the writers have stopped after ${transactions} transactions`);
    source.proxy.heal();
    await watcher.until(isIn("READY_TO_COMPLETE"), "READY_TO_COMPLETE", limitMs);
    say("ready to complete");
    // A load that was interrupted to the end has all of the writers' rows already: the sync must have something to do.
    await workload.more(LAST_TRANSACTIONS);
    for (const name of NOT_AT_CUTOVER) await storm.spare(name);
    const cutoversRefused = await cutOver(client, watcher, { databaseName: source.database, limitMs, say });
    const done = await watcher.until(({ properties }) => properties.state === "Succeeded", "the task's end", limitMs);
    await storm.calm();
    await watcher.stop();
    requireNone("went back", watcher.setbacks);
    requireNone("errors of a task that succeeded", done.properties.errors.map(String));
    const changes = watcher.database?.appliedChanges ?? 0;
    if (changes < LAST_TRANSACTIONS) throw new Error(`${changes} changes were told, of ${LAST_TRANSACTIONS} transactions at the end alone`);
    return { faults: storm.tally, changes, transactions, cutoversRefused, looks: watcher.looks };
  } finally {
    await storm?.calm();
    await watcher.stop();
    ending.abort();
  }
}

/** Asks for the cutover until it is done: one that was refused because of a fault is asked for again, as a user would. */
async function cutOver(
  client: Client,
  watcher: Watcher,
  { databaseName, limitMs, say }: { databaseName: string; limitMs: number; say: (line: string) => void },
): Promise<string[]> {
  const refused: string[] = [];
  for (const deadline = Date.now() + limitMs; ;) {
    const command = await persistently(() => client.cutOver(TASK, databaseName)).catch((thrown: unknown) => thrown as Error);
    if (command instanceof Error) {
      if (watcher.latest?.properties.state === "Succeeded") return refused;
      if (Date.now() > deadline) throw command;
      await watcher.following(1_000); // a take-over is going on, or the outcome of the one before is on its way
      continue;
    }
    const isOver = (task: Task): boolean =>
      task.properties.state === "Succeeded" ||
      task.properties.commands?.some(
        ({ commandId, state }) => commandId === command.commandId && ["Succeeded", "Failed"].includes(state),
      ) === true;
    const task = await watcher.until(isOver, "the cutover", limitMs);
    const outcome = task.properties.commands?.find(({ commandId }) => commandId === command.commandId);
    if (outcome?.state !== "Failed") return refused;
    const why = JSON.stringify(outcome.output?.errors.map(({ code, message }) => `${code} ${message}`) ?? outcome.errors);
    say(`the cutover was refused: ${why}`);
    refused.push(why);
    if (Date.now() > deadline) throw new Error(`every cutover was refused: ${refused.join("; ")}`);
  }
}

const isIn =
  (...states: readonly string[]) =>
  ({ properties }: Task): boolean =>
    properties.output?.some((item) => "migrationState" in item && states.includes(item.migrationState)) === true;

const connectionTo = ({ proxy, database, hostName }: End) => ({
  type: "PostgreSqlConnectionInfo" as const,
  serverName: hostName,
  port: proxy.port,
  databaseName: database,
  userName: "postgres",
  encryptConnection: false,
});

function requireNone(what: string, found: readonly string[]): void {
  if (found.length > 0)
    throw new Error(`${what}: ${found.slice(0, 10).join("; ")}${found.length > 10 ? ` and ${found.length - 10} more` : ""}`);
}

/** How often a worker took the task up after the first. */
async function countTakeOvers(dataDir: string): Promise<number> {
  const logs = (await readdir(join(dataDir, "logs"))).filter((name) => name.startsWith("worker-"));
  const texts = await Promise.all(logs.map((name) => readFile(join(dataDir, "logs", name), "utf8")));
  return texts.reduce((sum, text) => sum + text.split('"event":"task.taken"').length - 1, 0) - 1;
}

async function drop(server: PostgresServer, database: string): Promise<void> {
  await withClient(server.url("postgres"), async (client) => {
    await client.query("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active", [database]);
    await client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [database]);
    for (let attempt = 0; attempt < 50; attempt++) {
      try {
        await client.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1", [database]);
        await client.query(`DROP DATABASE IF EXISTS ${database}`);
        return;
      } catch {
        await sleep(100);
      }
    }
  });
}
