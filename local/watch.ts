import { setTimeout as sleep } from "node:timers/promises";
import { isTaskOver } from "../contracts/lifecycle.ts";
import {
  type DatabaseLevelOutput,
  type FindingView,
  type MigrationLevelOutput,
  type TableLevelOutput,
  type Task,
} from "../contracts/wire.ts";
import { type Client } from "./client.ts";
import { bar, bytes, count, percent } from "./terminal.ts";

/** A migration of one database as the API shows it at one moment. */
export interface MigrationView {
  readonly task: Task;
  readonly migration: MigrationLevelOutput | undefined;
  readonly database: DatabaseLevelOutput | undefined;
  readonly tables: readonly TableLevelOutput[];
  readonly phase: Phase;
}

/** What a person would call what goes on. */
export type Phase = "queued" | "checks" | "preparation" | "full load" | "catching up" | "sync" | "cutover" | "ending" | "over";

const pollIntervalMs = 300;

/** Reads a migration's task. */
export async function readMigration(client: Client, taskName: string, databaseName: string): Promise<MigrationView> {
  const task = await client.getTask(taskName);
  const output = (task.properties.output ?? []).filter((item) => "resultType" in item);
  const database = output.find(
    (item): item is DatabaseLevelOutput => item.resultType === "DatabaseLevelOutput" && item.databaseName === databaseName,
  );
  return {
    task,
    migration: output.find((item): item is MigrationLevelOutput => item.resultType === "MigrationLevelOutput"),
    database,
    tables: output.filter((item): item is TableLevelOutput => item.resultType === "TableLevelOutput" && item.databaseName === databaseName),
    phase: phaseOf(task, database),
  };
}

/** Reads the migration again and again until it is in the phase, or past it. */
export async function untilPhase(
  read: () => Promise<MigrationView>,
  isThere: (view: MigrationView) => boolean,
  onView: (view: MigrationView) => void,
  signal: AbortSignal,
): Promise<MigrationView> {
  for (;;) {
    const view = await read();
    onView(view);
    if (view.phase === "over" || isThere(view)) return view;
    await sleep(pollIntervalMs, undefined, { signal });
  }
}

export function phaseOf(
  task: Pick<Task, "properties">,
  database: Pick<DatabaseLevelOutput, "migrationState" | "initializationCompleted"> | undefined,
): Phase {
  if (isTaskOver(task.properties.state)) return "over";
  switch (database?.migrationState ?? "UNDEFINED") {
    case "UNDEFINED":
      return "queued";
    case "CONFIGURING":
      return "checks";
    case "INITIALIAZING":
    case "STARTING":
      return "preparation";
    case "RUNNING":
      return database?.initializationCompleted ? "catching up" : "full load";
    case "READY_TO_COMPLETE":
      return "sync";
    case "COMPLETING":
      return "cutover";
    case "COMPLETE":
    case "CANCELLING":
    case "CANCELLED":
    case "FAILED":
      return "ending"; // the database's last word; the task's follows
  }
}

/** The figures of the phase in one line, and what goes on in a second one. */
export function describe(view: MigrationView): string[] {
  const { task, database, phase } = view;
  if (!database || phase === "queued") return [`waiting for ${task.properties.waitingFor ?? "the worker's first report"}`];
  const step = database.step ?? "";
  switch (phase) {
    case "full load":
      return [loadLine(database), step === "loading tables" ? loadingTables(view.tables) : step];
    case "catching up":
    case "sync":
    case "cutover":
      return [syncLine(database), step];
    default:
      return [step];
  }
}

function loadLine(database: DatabaseLevelOutput): string {
  const { fullLoadBytes, fullLoadTotalBytesEstimate, fullLoadRows } = database;
  const isLoaded = database.fullLoadCompletedTables === tableCount(database);
  const fraction = isLoaded ? 1 : fullLoadBytes / Math.max(fullLoadBytes, fullLoadTotalBytesEstimate, 1);
  const tables = `${database.fullLoadCompletedTables} of ${tableCount(database)} tables`;
  return `${bar(fraction)} ${percent(fraction)}  ${count(fullLoadRows)} rows · ${bytes(fullLoadBytes)} · ${tables}`;
}

export const tableCount = (database: DatabaseLevelOutput): number =>
  database.fullLoadCompletedTables + database.fullLoadLoadingTables + database.fullLoadQueuedTables + database.fullLoadErroredTables;

const loadingTablesMax = 4;

function loadingTables(tables: readonly TableLevelOutput[]): string {
  const loading = tables.filter(({ state }) => state === "FULL_LOAD").map(({ tableName }) => tableName);
  return loading.length === 0
    ? ""
    : `loading ${loading.slice(0, loadingTablesMax).join(", ")}${loading.length > loadingTablesMax ? ", …" : ""}`;
}

const syncLine = (database: DatabaseLevelOutput): string =>
  `pending ${count(database.incomingChanges)} · applied ${count(database.appliedChanges)} · lag ${database.latencySeconds.toFixed(1)} s · ` +
  `source keeps ${bytes(database.walHeldBytes)} of WAL${database.walLimitBytes === null ? "" : ` (limit ${bytes(database.walLimitBytes)})`}`;

type Told = Pick<FindingView, "code" | "severity" | "message" | "remedy" | "resolved">;

/** So many of one code are told in full. */
const sameCodeMax = 3;

/** Errors and warnings of a task in lines: code, what, remedy. Many of one kind are told once, with their number. */
export function findingLines(findings: readonly Told[]): string[] {
  const open = findings.filter(({ severity, resolved }) => severity !== "information" && !resolved);
  const codes = [...new Set(open.map(({ code }) => code))];
  return codes.flatMap((code) => {
    const same = open.filter((finding) => finding.code === code);
    const told = same
      .slice(0, sameCodeMax)
      .flatMap(({ severity, message, remedy }) => [`${severity} ${code}: ${message}`, ...(remedy ? [`  remedy: ${remedy}`] : [])]);
    return same.length > sameCodeMax
      ? [...told, `  and ${same.length - sameCodeMax} more of ${code}; the page and the API have them all`]
      : told;
  });
}

/** Everything that a task which did not succeed has to say. */
export function troubleOf({ task, migration, database, tables }: MigrationView): string[] {
  const findings = [...(migration?.findings ?? []), ...(database?.findings ?? []), ...tables.flatMap(({ error }) => error ?? [])];
  const errors = task.properties.errors
    .flatMap((error) => [error, ...(error.details ?? [])])
    .filter(({ code, message }) => !findings.some((finding) => finding.code === code && message.startsWith(finding.message)))
    .map(({ code, message }): Told => ({ code, message, severity: "error" }));
  return findingLines([...findings, ...errors]);
}
