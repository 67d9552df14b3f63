import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { unzipSync } from "fflate";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { startBroker } from "../../local/broker/server.ts";
import { ensureBuilt } from "../../local/environment/built.ts";
import { type Part, startPart } from "../../local/environment/part.ts";
import { type WorkerPart } from "../../local/environment/workers.ts";
import { type Environment } from "../../local/environment.ts";
import { freePort } from "../../local/free-port.ts";
import { startTableStorage } from "../../local/storage.ts";
import { collectFunctionsPackage, zipFunctionsPackage } from "../../scripts/functions-package.ts";
import { workerNodeFlags } from "../../worker/node-flags.ts";

/** pgdms as it is deployed: the package of the Functions app in an empty folder, and workers in a folder like that of their image. */

const root = join(import.meta.dirname, "../..");
const SERVICE = "dms-local";
const READY_MS_MAX = 30_000;

/** nobody; only root can give a process another user, and everybody else is without its rights already. */
const NOBODY = 65_534;
const asNobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

/** As worker.bicep has it: a worker that needs it would not end within seconds. */
const STOP_GRACE_SECONDS = "300";

export interface Deployed extends Environment {
  /** The folder with the worker's image. */
  readonly imageFolder: string;
  readonly functionsFolder: string;
  readonly functionsLog: string;
  /** Port on which a worker answers its health check. */
  healthPort(workerId: string): number;
}

export async function deploy(): Promise<Deployed> {
  await ensureBuilt(root, new AbortController().signal);
  const folder = await mkdtemp(join(tmpdir(), "pgdms-deployed-"));
  await chmod(folder, 0o755);
  const [logsDir, secretsDir, functionsFolder, imageFolder] = ["logs", "secrets", "wwwroot", "app"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  await mkdir(logsDir);
  await unpackFunctions(functionsFolder);
  await layOutImage(imageFolder);
  const [storage, broker] = await Promise.all([startTableStorage(), startBroker({ port: 0, config: pgdmsEntities([SERVICE]) })]);
  const shared = { ServiceBusConnection: broker.connectionString, SECRETS_FILE_DIR: secretsDir, REPORTS_QUEUE: "reports" };
  const functions = await startFunctions({ folder, functionsFolder, logsDir }, { ...shared, TablesConnection: storage.connectionString });
  const workers = new Map<string, RunningWorker>();

  const startWorker = async (): Promise<WorkerPart> => {
    const worker = await spawnWorker(imageFolder, logsDir, { ...shared, WORKER_ID: `replica-${workers.size + 1}` });
    workers.set(worker.workerId, worker);
    return worker;
  };
  return {
    url: functions.ready[1] ?? "",
    dataDir: folder,
    logsDir,
    imageFolder,
    functionsFolder,
    functionsLog: functions.logFile,
    tablesConnection: storage.connectionString,
    serviceBusConnection: broker.connectionString,
    get workers() {
      return [...workers.values()];
    },
    pids: [functions.pid],
    failed: new Promise(() => undefined),
    startWorker,
    killWorker: (workerId, signal) => Promise.resolve(workers.get(workerId)?.kill(signal)),
    healthPort: (workerId) => workers.get(workerId)?.healthPort ?? 0,
    stop: async () => {
      await Promise.all([...workers.values()].map((worker) => worker.stop()));
      await functions.stop();
      await Promise.all([storage.stop(), broker.stop()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function unpackFunctions(folder: string): Promise<void> {
  const archive = zipFunctionsPackage(await collectFunctionsPackage(root));
  for (const [name, content] of Object.entries(unzipSync(archive))) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

/** As worker/Dockerfile has it below /app; nobody may write there. */
async function layOutImage(folder: string): Promise<void> {
  await mkdir(folder);
  await writeFile(join(folder, "package.json"), '{ "name": "pgdms-worker", "private": true, "type": "module" }\n');
  await cp(join(root, "dist/worker"), join(folder, "dist/worker"), { recursive: true });
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o555 : 0o444);
  await chmod(folder, 0o555);
}

interface Folders {
  readonly folder: string;
  readonly functionsFolder: string;
  readonly logsDir: string;
}

/** The host is ours and lies elsewhere; the folder that it loads holds nothing but the package. */
async function startFunctions({ folder, functionsFolder, logsDir }: Folders, settings: Record<string, string>): Promise<Part> {
  const settingsFile = join(folder, "local.settings.json");
  const own = {
    FUNCTIONS_WORKER_RUNTIME: "node",
    AUTH_MODE: "none",
    REQUESTS_QUEUE: "requests",
    EVENTS_TOPIC: "events",
    WATCHDOG_CRON: "*/10 * * * * *",
  };
  await writeFile(settingsFile, JSON.stringify({ IsEncrypted: false, Values: { ...own, ...settings } }));
  return startPart({
    name: "the Functions host",
    args: [join(root, "dist/local/functions-host.js"), ...["--root", functionsFolder, "--settings", settingsFile, "--port", "0"]],
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"] },
    cwd: functionsFolder,
    logFile: join(logsDir, "functions.log"),
    ready: /functions host ready at (http:\/\/\S+)/,
    stopTimeoutMs: 10_000,
    signal: new AbortController().signal,
  });
}

interface RunningWorker extends WorkerPart {
  readonly healthPort: number;
}

/** Starts a worker by the image's command, with the image's environment and nothing of ours. */
async function spawnWorker(
  imageFolder: string,
  logsDir: string,
  settings: Record<string, string> & { readonly WORKER_ID: string },
): Promise<RunningWorker> {
  const healthPort = await freePort();
  const logFile = join(logsDir, `${settings.WORKER_ID}.log`);
  const image = { NODE_ENV: "production", HEALTH_PORT: String(healthPort), LOG_LEVEL: "info" };
  const child = spawn(process.execPath, [...workerNodeFlags, "dist/worker/main.js"], {
    ...asNobody,
    cwd: imageFolder,
    env: { ...image, ...settings, PGDMS_SERVICE: SERVICE, STOP_GRACE_SECONDS },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const log = createWriteStream(logFile);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  let wasAsked = false;
  const exited = once(child, "exit").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    wasAsked,
  }));
  await healthy(healthPort, child.pid ?? 0, logFile);
  return {
    name: settings.WORKER_ID,
    workerId: settings.WORKER_ID,
    serviceName: SERVICE,
    healthPort,
    pid: child.pid ?? 0,
    logFile,
    ready: /./.exec("ready") as RegExpExecArray,
    exited,
    kill: (signal) => void child.kill(signal),
    stop: async () => {
      wasAsked = true;
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The image's health check, as the platform asks it. */
async function healthy(port: number, pid: number, logFile: string): Promise<void> {
  for (const deadline = Date.now() + READY_MS_MAX; Date.now() < deadline; await sleep(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    if (answer?.ok) return;
  }
  process.kill(pid, "SIGKILL");
  throw new Error(`the worker did not become healthy; its log: ${logFile}`);
}
