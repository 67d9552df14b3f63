import { spawn, type ChildProcess } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithParent, letUsExit } from "../end-with-parent.ts";
import { serverEnvironment } from "./data-folder.ts";
import { type RunAs } from "./run-as.ts";

/** One run of the `postgres` program. */
export interface ServerProcess {
  readonly pid: number;
  /** Ends it and waits for the end. SIGINT: fast shutdown. SIGQUIT: without a checkpoint. SIGKILL: a crash. */
  end(signal: "SIGINT" | "SIGQUIT" | "SIGKILL"): Promise<void>;
}

export interface ServerOptions {
  readonly program: string;
  readonly dataDir: string;
  readonly port: number;
  readonly settings: Readonly<Record<string, string>>;
  readonly user: RunAs;
  /** Deleted when our process ends without having stopped the server. */
  readonly removeFolder: string;
}

/** The port is taken by another program. */
export class PortTakenError extends Error {}

const startTimeoutMs = 60_000;
const fastShutdownTimeoutMs = 10_000;
const keptOutputChars = 8_000;

/** Starts the server and waits until it accepts connections. Throws PortTakenError, or an error with the server's last output. */
export async function startServerProcess(options: ServerOptions): Promise<ServerProcess> {
  const child = spawn(options.program, serverArguments(options), {
    ...options.user,
    env: serverEnvironment,
    cwd: options.dataDir,
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // Ctrl-C in a terminal must reach us first: what uses the server wants to end before it
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  await untilReady(child, exited);
  letUsExit(child);
  const pid = child.pid ?? 0;
  const callOffGuard = endWithParent(pid, options.removeFolder);
  void exited.then(callOffGuard);
  return { pid, end: (signal) => end(child, exited, signal) };
}

function serverArguments({ dataDir, port, settings }: ServerOptions): string[] {
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return ["-D", dataDir, "-h", "127.0.0.1", "-p", String(port), "-k", "", ...flags];
}

async function untilReady(child: ChildProcess, exited: Promise<void>): Promise<void> {
  let output = "";
  const ready = new Promise<"ready">((resolve) => {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-keptOutputChars);
      if (output.includes("database system is ready to accept connections")) resolve("ready");
    });
  });
  const timer = new AbortController();
  const late = sleep(startTimeoutMs, "late" as const, { signal: timer.signal, ref: false }).catch(() => "late" as const);
  const outcome = await Promise.race([ready, exited, late]);
  timer.abort();
  if (outcome === "ready") return;
  child.kill("SIGQUIT");
  if (/Address already in use|could not bind/.test(output)) throw new PortTakenError(output.trim());
  throw new Error(`PostgreSQL ${outcome === "late" ? `was not ready after ${startTimeoutMs} ms` : "did not start"}: ${output.trim()}`);
}

async function end(child: ChildProcess, exited: Promise<void>, signal: "SIGINT" | "SIGQUIT" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.ref();
  child.kill(signal);
  // A fast shutdown waits for walsenders, and they for a client that may have stopped reading.
  const timer = setTimeout(() => child.kill("SIGQUIT"), fastShutdownTimeoutMs);
  await exited;
  clearTimeout(timer);
}
