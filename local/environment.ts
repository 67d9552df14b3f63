import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureBuilt } from "./environment/built.ts";
import { openDataFolder, type DataFolder } from "./environment/data-folder.ts";
import { startPart, type Part } from "./environment/part.ts";
import { Restartable, type Restart } from "./environment/restartable.ts";
import { watchServices } from "./environment/service-watch.ts";
import { Teardown } from "./environment/teardown.ts";
import { WorkerPool, type WorkerPart } from "./environment/workers.ts";
import { RestartableStorage } from "./environment/restartable-storage.ts";

export interface EnvironmentOptions {
  /** Of the REST API and the portal; 0 takes a free one. */
  readonly port: number;
  /** Kept between runs. Default: a temporary folder, removed by stop(). */
  readonly dataDir?: string | undefined;
  /** The service that has workers from the start; others get theirs within seconds after they are made. */
  readonly service?: string | undefined;
  /** Processes for each service. */
  readonly workers?: number | undefined;
  /** Whether a worker that died is replaced. */
  readonly replaceWorkers?: boolean | undefined;
  /** How long the broker's locks last instead of a minute: how soon another worker has the task of one that hangs. */
  readonly lockSeconds?: number | undefined;
  /** Further settings of every worker, as in worker/config.ts. */
  readonly workerSettings?: Readonly<Record<string, string>> | undefined;
  /** Further settings of the control plane. */
  readonly functionsSettings?: Readonly<Record<string, string>> | undefined;
  /** Stands between the parts, for whoever counts what passes. */
  readonly between?: Between | undefined;
  /** Ends a start that is under way. */
  readonly signal?: AbortSignal | undefined;
  /** What a person at the terminal should know: a worker that died, for example. */
  readonly say?: ((line: string) => void) | undefined;
}

/** Each method takes a connection string and answers the one that the part gets instead. */
interface Between {
  /** From the control plane to its tables. */
  tables(connectionString: string): Promise<string>;
  /** From a part to the broker; workers share theirs. */
  serviceBus(connectionString: string, part: "functions" | "worker"): Promise<string>;
}

/** All of pgdms on this machine. */
export interface Environment {
  /** Of the REST API: http://127.0.0.1:PORT */
  readonly url: string;
  readonly dataDir: string;
  readonly logsDir: string;
  readonly tablesConnection: string;
  readonly serviceBusConnection: string;
  /** The workers that run now. */
  readonly workers: readonly WorkerPart[];
  /** Processes of the parts, for tests that look what is left. */
  readonly pids: readonly number[];
  /** Resolves when a part that nothing replaces has died; what is left should be stopped then. */
  readonly failed: Promise<Error>;
  startWorker(serviceName?: string): Promise<WorkerPart>;
  killWorker(workerId: string, signal: NodeJS.Signals): Promise<void>;
  /** Ends all parts, those that hang by SIGKILL. May be called twice. */
  stop(): Promise<void>;
}

/** One whose parts are processes of ours. */
export interface LocalEnvironment extends Environment {
  /** Ends a part and starts it again after a while, on the same port and data, as a platform does it at any time. */
  restart(part: "storage" | "broker" | "functions", how: Restart): Promise<void>;
}

export const DEFAULT_SERVICE = "dms-local";

const root = dirname(import.meta.dirname);
const brokerStopTimeoutMs = 4_000;
const functionsStopTimeoutMs = 6_000;

/**
 * Starts pgdms on this machine, with the parts of Azure that it needs: table storage, a Service Bus broker, a Functions host
 * with the built control plane, and workers; each a process of its own. What ran in the same data folder goes on.
 * @throws Error when a part does not start (all that had started is stopped again), or the signal's reason
 */
export async function startEnvironment(options: EnvironmentOptions): Promise<LocalEnvironment> {
  const teardown = new Teardown();
  const stopOnAbort = (): void => void teardown.stop().catch(() => undefined);
  options.signal?.addEventListener("abort", stopOnAbort, { once: true });
  try {
    options.signal?.throwIfAborted();
    return await startParts(options, teardown);
  } catch (error) {
    await teardown.stop().catch(() => undefined);
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    options.signal?.removeEventListener("abort", stopOnAbort);
  }
}

async function startParts(options: EnvironmentOptions, teardown: Teardown): Promise<LocalEnvironment> {
  const { say = () => undefined } = options;
  const service = (options.service ?? DEFAULT_SERVICE).toLowerCase(); // names of services know no case
  const { signal } = teardown;
  const folder = await teardown.start(
    () => openDataFolder(options.dataDir),
    (opened) => opened.release(),
  );
  await ensureBuilt(root, signal);
  const [storage, broker] = await Promise.all([
    teardown.start(
      () => RestartableStorage.start(folder.tables, signal),
      (started) => started.stop(),
    ),
    teardown.start(async () => {
      const start = (port: number): Promise<Part> => startBroker(folder, { port, lockSeconds: options.lockSeconds }, signal);
      return new Restartable(await start(0), ({ ready }) => start(Number(ready[1])), signal);
    }, stopPart),
  ]);
  const serviceBusConnection = `Endpoint=sb://127.0.0.1:${broker.first.ready[1]};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true;`;
  const shared = { SECRETS_FILE_DIR: folder.secrets, REPORTS_QUEUE: "reports" };
  const { between = nothingBetween } = options;
  const settings = {
    ...functionsSettings,
    ...shared,
    ServiceBusConnection: await between.serviceBus(serviceBusConnection, "functions"),
    TablesConnection: await between.tables(storage.connectionString),
    ...options.functionsSettings,
  };
  await writeFile(folder.settingsFile, JSON.stringify({ IsEncrypted: false, Values: settings }, undefined, 2), { mode: 0o600 });
  const pool = new WorkerPool({
    root,
    logs: folder.logs,
    env: {
      ...inherited(),
      LOG_LEVEL: "info",
      ...shared,
      ServiceBusConnection: await between.serviceBus(serviceBusConnection, "worker"),
      ...options.workerSettings,
    },
    perService: options.workers ?? 1,
    replace: options.replaceWorkers ?? true,
    signal,
    say,
  });
  const [functions] = await Promise.all([
    teardown.start(async () => {
      const start = (port: number): Promise<Part> => startFunctions(folder, port, signal);
      return new Restartable(await start(options.port), ({ ready }) => start(Number(new URL(ready[1] ?? "").port)), signal);
    }, stopPart),
    teardown.start(
      () => pool.serve(service),
      () => pool.stop(),
    ),
  ]);
  const watching = watchServices({ tablesConnection: storage.connectionString, pool, always: service, signal, say });
  await teardown.start(
    () => Promise.resolve(),
    () => watching,
  );
  return {
    url: functions.first.ready[1] ?? "",
    dataDir: folder.path,
    logsDir: folder.logs,
    tablesConnection: storage.connectionString,
    serviceBusConnection,
    get workers() {
      return pool.workers;
    },
    get pids() {
      return [broker.pid, functions.pid, storage.pid, ...pool.workers.map(({ pid }) => pid)];
    },
    failed: Promise.race([broker.failed, functions.failed]),
    startWorker: (serviceName = service) => pool.start(serviceName),
    killWorker: (workerId, ending) => pool.kill(workerId, ending),
    restart: (part, how) => ({ storage, broker, functions })[part].restart(how),
    stop: () => teardown.stop(),
  };
}

const nothingBetween: Between = {
  tables: (connectionString) => Promise.resolve(connectionString),
  serviceBus: (connectionString) => Promise.resolve(connectionString),
};

const stopPart = (part: Restartable): Promise<void> => part.stop();

/** What the control plane needs beside the connections; open, because it listens on this machine only. */
const functionsSettings = {
  FUNCTIONS_WORKER_RUNTIME: "node",
  AUTH_MODE: "none",
  REQUESTS_QUEUE: "requests",
  EVENTS_TOPIC: "events",
  WATCHDOG_CRON: "*/10 * * * * *",
};

interface BrokerStart {
  readonly port: number;
  readonly lockSeconds: number | undefined;
}

const startBroker = (folder: DataFolder, { port, lockSeconds }: BrokerStart, signal: AbortSignal): Promise<Part> =>
  startPart({
    name: "the broker",
    args: [
      "dist/local/broker.js",
      ...["--port", String(port), "--data", folder.bus],
      ...(lockSeconds ? ["--lock-seconds", String(lockSeconds)] : []),
    ],
    env: inherited(),
    cwd: root,
    logFile: join(folder.logs, "broker.log"),
    ready: /broker ready on 127\.0\.0\.1:(\d+)/,
    stopTimeoutMs: brokerStopTimeoutMs,
    signal,
  });

const startFunctions = (folder: DataFolder, port: number, signal: AbortSignal): Promise<Part> =>
  startPart({
    name: "the Functions host",
    args: ["dist/local/functions-host.js", "--root", root, "--settings", folder.settingsFile, "--port", String(port)],
    env: inherited(),
    cwd: root, // as in a function app; the portal's files are found from here
    logFile: join(folder.logs, "functions.log"),
    ready: /functions host ready at (http:\/\/\S+)/,
    stopTimeoutMs: functionsStopTimeoutMs,
    signal,
  });

/** Our environment without what is settled by us, and without loaders and inspectors that are meant for us. */
function inherited(): NodeJS.ProcessEnv {
  const ours = [...Object.keys(functionsSettings), "NODE_OPTIONS", "TablesConnection", "ServiceBusConnection", "SECRETS_FILE_DIR"];
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.includes(name)));
}
