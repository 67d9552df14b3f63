import { type LogCategory, type LogLevel } from "./core-types.ts";

/** One line of the host's or of a function's log. */
export interface HostLogEntry {
  readonly level: LogLevel;
  readonly category: LogCategory;
  readonly message: string;
  readonly functionName?: string;
  readonly invocationId?: string;
}

export type HostLog = (entry: HostLogEntry) => void;

const severities: readonly LogLevel[] = ["trace", "debug", "information", "warning", "error", "critical", "none"];

/**
 * Whether an entry passes `logging.logLevel` of host.json, where the most specific category wins: `Function.<name>.User`, `Function.<name>`,
 * `Function`, `Host.<…>` and `default`. Level names ignore case; an unknown one lets everything pass.
 */
export function passes(entry: HostLogEntry, logLevel: Readonly<Record<string, string>>): boolean {
  const { functionName, category } = entry;
  const categories = functionName === undefined ? ["Host"] : [`Function.${functionName}`, "Function"];
  if (functionName !== undefined && category === "user") categories.unshift(`Function.${functionName}.User`);
  const found = [...categories, "default", "Default"].map((name) => logLevel[name]).find((level) => level !== undefined);
  const least = severities.indexOf((found ?? "information").toLowerCase() as LogLevel);
  return severities.indexOf(entry.level) >= least;
}

/** Writes entries to standard error, one line each. */
export const logToStderr: HostLog = ({ level, functionName, message }) => {
  const where = functionName === undefined ? "host" : functionName;
  process.stderr.write(`${new Date().toISOString()} ${level} ${where}: ${message}\n`);
};
