import { type ChildProcess } from "node:child_process";
import { createWriteStream, existsSync, renameSync, type WriteStream } from "node:fs";
import { letUsExit, spawnGuarded } from "../end-with-parent.ts";

/** One process of the environment. */
export interface Part {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** What the expression `ready` caught. */
  readonly ready: RegExpExecArray;
  /** Resolves when it is gone, whatever the reason. */
  readonly exited: Promise<PartExit>;
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when it does not end in time. May be called twice. */
  stop(): Promise<void>;
}

interface PartExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether stop() was called before. */
  readonly wasAsked: boolean;
}

export interface PartOptions {
  /** For people and for the log's name. */
  readonly name: string;
  /** Arguments of node. */
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly logFile: string;
  /** What its output holds once it is ready. */
  readonly ready: RegExp;
  readonly stopTimeoutMs: number;
  readonly signal: AbortSignal;
}

const readyTimeoutMs = 60_000;
const keptOutputChars = 4_000;

/**
 * Starts a node program and waits until it says that it is ready. Its output goes to the log file; that of the run before is
 * kept beside it. It ends when our process ends, SIGKILL included.
 * @throws Error with its last output and the log's name when it ends or does not get ready, or the signal's reason
 */
export async function startPart(options: PartOptions): Promise<Part> {
  const { name, logFile, signal } = options;
  signal.throwIfAborted();
  if (existsSync(logFile)) renameSync(logFile, logFile.replace(/(\.log)?$/, ".previous.log"));
  const log = createWriteStream(logFile, { mode: 0o600 });
  const child = spawnGuarded(process.execPath, options.args, { env: options.env, cwd: options.cwd });
  let wasAsked = false;
  const exited = new Promise<PartExit>((resolve) => {
    child.once("error", () => resolve({ code: null, signal: null, wasAsked }));
    child.once("close", (code, ending) => resolve({ code, signal: ending, wasAsked }));
  });
  const stop = async (): Promise<void> => {
    wasAsked = true;
    await endChild(child, exited, options.stopTimeoutMs);
  };
  const onAbort = (): void => void child.kill("SIGKILL"); // nothing to hand back before it was ready
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const ready = await untilReady(child, exited, log, options.ready);
    letUsExit(child);
    return { name, pid: child.pid ?? 0, logFile, ready, exited, stop, kill: (ending) => void child.kill(ending) };
  } catch (error) {
    child.kill("SIGKILL");
    await exited;
    signal.throwIfAborted();
    throw new Error(`${name} did not start: ${error instanceof Error ? error.message : String(error)}\nIts log: ${logFile}`, {
      cause: error,
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function untilReady(child: ChildProcess, exited: Promise<PartExit>, log: WriteStream, ready: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => reject(new Error(`not ready after ${readyTimeoutMs / 1000} s. ${output}`)), readyTimeoutMs);
    let isReady = false;
    const hear = (text: Buffer): void => {
      log.write(text);
      if (isReady) return;
      output = (output + text.toString()).slice(-keptOutputChars);
      const found = ready.exec(output);
      if (!found) return;
      isReady = true;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.once("error", reject);
    void exited.then(({ code, signal }) => {
      clearTimeout(timer);
      log.end();
      reject(new Error(`it ended (${signal ?? `code ${code}`}). ${output.trim()}`));
    });
  });
}

async function endChild(child: ChildProcess, exited: Promise<PartExit>, timeoutMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.ref();
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  await exited;
  clearTimeout(timer);
}
