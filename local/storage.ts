import { fork, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { endWithParent, letUsExit } from "./end-with-parent.ts";
import { freePort } from "./free-port.ts";

export interface TableStorage {
  /** For `TableClient.fromConnectionString(…, { allowInsecureConnection: true })`. Holds the account key: do not log it. */
  readonly connectionString: string;
  readonly port: number;
  readonly pid: number;
  /** Writes everything down and ends. May be called twice. */
  stop(): Promise<void>;
}

export interface TableStorageOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Where tables and the account key are kept. Default: in memory, and a new key. */
  readonly dataDir?: string;
}

/** Azurite's program for tables, in one file. */
const program = join(dirname(import.meta.dirname), "dist/local/table-storage.js");
const accountName = "pgdms";
const startTimeoutMs = 60_000;
const stopTimeoutMs = 10_000;
const portAttemptsMax = 5;
const keptOutputChars = 4_000;

/**
 * Starts Azurite's table service (and nothing else of it) as a child process on 127.0.0.1. It ends when this process ends, SIGKILL
 * included, and then too writes everything down. It must have been built. Throws when `port` is taken or Azurite does not start.
 */
export async function startTableStorage(options: TableStorageOptions = {}): Promise<TableStorage> {
  const dataDir = options.dataDir === undefined ? undefined : resolve(options.dataDir);
  const key = await accountKey(dataDir);
  for (let attempt = 1; ; attempt++) {
    const port = options.port || (await freePort());
    const outcome = await startAzurite(port, key, dataDir);
    if (typeof outcome !== "string") return serve(outcome, port, key);
    if (!outcome.includes("EADDRINUSE")) throw new Error(`Azurite did not start: ${outcome}`);
    if (options.port) throw new Error(`port ${port} of 127.0.0.1 is taken: choose another port for table storage`);
    if (attempt === portAttemptsMax) throw new Error(`Azurite found no free port in ${attempt} attempts`);
  }
}

/** The account key belongs to the data: a restart on the same folder must accept the same connection string. */
async function accountKey(dataDir: string | undefined): Promise<string> {
  if (dataDir === undefined) return randomBytes(64).toString("base64");
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, "account-key");
  if (!existsSync(file)) await writeFile(file, randomBytes(64).toString("base64"), { mode: 0o600 });
  return (await readFile(file, "utf8")).trim();
}

/** Answers the child once it serves, or what it said when it ended first. */
async function startAzurite(port: number, key: string, dataDir: string | undefined): Promise<ChildProcess | string> {
  const persistence = dataDir === undefined ? ["--inMemoryPersistence"] : ["--location", dataDir];
  const flags = ["--tableHost", "127.0.0.1", "--tablePort", String(port), "--silent", "--disableTelemetry", "--skipApiVersionCheck"];
  const { NODE_OPTIONS: _ours, ...environment } = process.env; // our loaders and inspectors are not for Azurite
  const child = fork(program, [...flags, ...persistence], {
    env: { ...environment, AZURITE_ACCOUNTS: `${accountName}:${key}` },
    execArgv: [],
    cwd: dataDir ?? tmpdir(),
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    detached: true, // Ctrl-C in a terminal must reach us first
  });
  if (child.pid !== undefined) child.once("exit", endWithParent(child.pid));
  const output = await untilServing(child);
  if (output !== undefined) return output;
  letUsExit(child);
  return child;
}

/** Undefined once Azurite serves; its output when it ended, or did not get there in time. */
function untilServing(child: ChildProcess): Promise<string | undefined> {
  return new Promise((done) => {
    let output = "";
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      done(`not ready after ${startTimeoutMs} ms. ${output}`);
    }, startTimeoutMs);
    const hear = (text: Buffer): void => {
      output = (output + text.toString()).slice(-keptOutputChars);
      if (!output.includes("successfully started")) return;
      clearTimeout(timer);
      done(undefined);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("error", (error) => (output += error.message));
    child.once("close", () => {
      clearTimeout(timer);
      done(output.trim());
    });
  });
}

function serve(child: ChildProcess, port: number, key: string): TableStorage {
  const endpoint = `http://127.0.0.1:${port}/${accountName}`;
  return {
    connectionString: `DefaultEndpointsProtocol=http;AccountName=${accountName};AccountKey=${key};TableEndpoint=${endpoint};`,
    port,
    pid: child.pid ?? 0,
    stop: () => stop(child),
  };
}

/** By message: Azurite writes its database down every five seconds, and SIGTERM loses what came since. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  if (child.connected) {
    child.send("shutdown", () => {
      if (child.connected) child.disconnect();
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await exited;
  clearTimeout(timer);
}
