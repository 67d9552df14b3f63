import { createConnection } from "node:net";
import { parseArgs, type ParseArgsConfig } from "node:util";

/** Of the REST API, as the vendor's local tools have it. */
export const DEFAULT_PORT = 7071;

/** So long the orderly end may take after the first Ctrl-C; then the guards of the parts have to do. */
const endTimeoutMs = 40_000;
const parentWatchIntervalMs = 500;

/** A mistake of the user: shown without a stack. */
export class UsageError extends Error {}

/** The person at the terminal, or what stands for one, has asked for the end. */
class StopRequested extends Error {}

/**
 * Runs one of the commands. Ctrl-C, SIGTERM and the end of the npm that started us abort the signal; the command then ends
 * in order. A second Ctrl-C ends at once (the parts still go: each has a guard).
 *
 * Exit code: what `command` answers; 130 or 143 after a signal, as shells count; 2 for a mistake in the arguments; 1 for an error.
 */
export function runCommand(command: (signal: AbortSignal) => Promise<number>): void {
  const controller = new AbortController();
  let exitCode = 0;
  const ask = (name: string, code: number): void => {
    if (controller.signal.aborted) process.exit(code);
    exitCode = code;
    setTimeout(() => process.exit(code), endTimeoutMs).unref();
    controller.abort(new StopRequested(name));
  };
  process.on("SIGINT", () => ask("Ctrl-C", 130));
  process.on("SIGTERM", () => ask("SIGTERM", 143));
  process.on("SIGHUP", () => ask("the terminal was closed", 129));
  setInterval(() => undefined, 60_000); // the parts do not keep us alive, and what waits for them must not end by running dry
  watchNpm(() => ask("npm has ended", 143));
  // A terminal that is gone must not keep the parts from being stopped.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => ask("the output was closed", 141));
  command(controller.signal).then(
    (code) => process.exit(exitCode || code),
    (error: unknown) => {
      if (error instanceof StopRequested || controller.signal.aborted) process.exit(exitCode || 1);
      console.error(error instanceof UsageError ? error.message : `\n${messageOf(error)}`);
      process.exit(error instanceof UsageError ? 2 : 1);
    },
  );
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * npm passes SIGINT and SIGTERM on, but not all shells between npm and us do, and nobody passes a SIGKILL on. Only where npm
 * started us: who starts us with nohup or in the background wants us to live on.
 */
function watchNpm(onGone: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    onGone();
  }, parentWatchIntervalMs);
  timer.unref();
}

/** Reads the arguments. @throws UsageError with the usage when they do not fit */
export function readArguments<T extends NonNullable<ParseArgsConfig["options"]>>(options: T, usage: string) {
  try {
    const { values } = parseArgs({ options, strict: true, allowPositionals: false });
    return values;
  } catch (error) {
    throw new UsageError(`${messageOf(error)}\n\n${usage}`, { cause: error });
  }
}

/** A whole number of an argument. @throws UsageError when it is none or out of its range */
export function integerOf(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option} must be a whole number from ${min} to ${max}, but is "${text}".`);
}

/** The port that people know, or 0 for any free one when somebody listens there. */
export function portForPeople(): Promise<number> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: "127.0.0.1", port: DEFAULT_PORT });
    const answer = (port: number): void => {
      socket.destroy();
      resolve(port);
    };
    socket.once("connect", () => answer(0));
    socket.once("error", () => answer(DEFAULT_PORT));
  });
}
