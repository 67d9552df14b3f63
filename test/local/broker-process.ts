import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach } from "vitest";
import { connectionStringFor } from "../../local/broker/server.ts";

const repository = join(import.meta.dirname, "../..");
const children = new Set<ChildProcess>();
const folders = new Set<string>();

/**
 * Ends after each test what it started, and removes its folders. Each file that starts something says so: files share this module
 * in one process, and what it did by itself when it is read it would do for the first of them only.
 */
export function cleanUpAfterEach(): void {
  afterEach(async () => {
    for (const child of children) await stop(child, "SIGKILL");
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "pgdms-broker-"));
  folders.add(folder);
  return folder;
}

/** Starts Node with these arguments. @returns the process and the first line that it prints */
export async function start(args: readonly string[]): Promise<{ child: ChildProcess; line: string }> {
  const child = spawn(process.execPath, args, { cwd: repository, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  for await (const line of createInterface({ input: child.stdout })) return { child, line };
  throw new Error("the process ended without a word");
}

export interface BrokerProcess {
  readonly child: ChildProcess;
  readonly port: number;
  readonly connectionString: string;
}

/** Starts the broker's program as the local environment does. */
export async function startBrokerProcess(dataDir: string, port = 0): Promise<BrokerProcess> {
  const main = join(repository, "dist/local/broker.js");
  const { child, line } = await start([main, "--port", String(port), "--data", dataDir]);
  const ready = /^broker ready on 127\.0\.0\.1:(\d+)$/.exec(line);
  if (ready === null) throw new Error(`the broker said: ${line}`);
  const readyPort = Number(ready[1]);
  return { child, port: readyPort, connectionString: connectionStringFor(readyPort) };
}

/** Ends a process. @returns its exit code, null after a signal that it did not handle */
export async function stop(child: ChildProcess, signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<number | null> {
  children.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  child.kill(signal);
  await once(child, "exit");
  return child.exitCode;
}
