import { setTimeout as sleep } from "node:timers/promises";
import { type Client, RequestRefused } from "../../local/client.ts";
import { DATABASE_STATES } from "../../contracts/lifecycle.ts";
import { type DatabaseLevelOutput, type TableLevelOutput, type Task } from "../../contracts/wire.ts";

const INTERVAL_MS = 300;

/** Looks at a task all the time, as a user would, and notes whatever goes back that must only go forward. */
export class Watcher {
  /** What went back, in words; empty is what it should be. */
  readonly setbacks: string[] = [];
  /** Looks that were answered. */
  looks = 0;
  latest: Task | undefined;
  readonly #client: Client;
  readonly #name: string;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(client: Client, name: string) {
    this.#client = client;
    this.#name = name;
    this.#running = this.#run();
  }

  get database(): DatabaseLevelOutput | undefined {
    return databaseOf(this.latest);
  }

  /** Waits for a state. @throws Error after the time limit, with what was there instead */
  async until(isWanted: (task: Task) => boolean, what: string, limitMs: number): Promise<Task> {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const { latest } = this;
      if (latest && isWanted(latest)) return latest;
      this.#requireAlive(what);
      if (Date.now() > deadline)
        throw new Error(`${what} did not happen within ${limitMs / 1000} s: ${latest ? sayTask(latest) : "no answer"}`);
      await sleep(INTERVAL_MS);
    }
  }

  /** Lets time pass. @throws Error when the task fails meanwhile */
  async following(durationMs: number): Promise<void> {
    for (const untilMs = Date.now() + durationMs; Date.now() < untilMs; await sleep(INTERVAL_MS))
      this.#requireAlive("following the changes");
  }

  #requireAlive(what: string): void {
    const { latest } = this;
    if (latest && hasFailed(latest)) throw new Error(`${what}: the task ended as ${latest.properties.state}: ${sayTask(latest)}`);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const task = await this.#client.getTask(this.#name).catch(() => undefined); // the host or the storage is away
      if (task) this.#compare(task);
      await sleep(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #compare(task: Task): void {
    this.looks++;
    const before = databaseOf(this.latest);
    const after = databaseOf(task);
    if (before) this.setbacks.push(...(after ? databaseSetbacks(before, after) : ["the database is gone from the output"]));
    const tables = new Map(tablesOf(task).map((table) => [table.id, table]));
    for (const table of tablesOf(this.latest)) {
      const now = tables.get(table.id);
      this.setbacks.push(...(now ? tableSetbacks(table, now) : [`${table.tableName} is gone from the output`]));
    }
    this.latest = task;
  }
}

const databaseOf = (task: Task | undefined): DatabaseLevelOutput | undefined =>
  task?.properties.output?.find((item): item is DatabaseLevelOutput => "resultType" in item && item.resultType === "DatabaseLevelOutput");

const tablesOf = (task: Task | undefined): TableLevelOutput[] =>
  (task?.properties.output ?? []).filter(
    (item): item is TableLevelOutput => "resultType" in item && item.resultType === "TableLevelOutput",
  );

const rank = (state: DatabaseLevelOutput["migrationState"]): number => DATABASE_STATES.indexOf(state);

/** A cutover that was refused goes back to where it was asked for, and nothing else goes back. */
function databaseSetbacks(before: DatabaseLevelOutput, after: DatabaseLevelOutput): string[] {
  const setbacks: string[] = [];
  const isRefused = before.migrationState === "COMPLETING" && after.migrationState === "READY_TO_COMPLETE";
  if (rank(after.migrationState) < rank(before.migrationState) && !isRefused)
    setbacks.push(`state: ${before.migrationState} became ${after.migrationState}`);
  if (before.startedOn !== null && after.startedOn !== before.startedOn)
    setbacks.push(`startedOn: ${before.startedOn} became ${after.startedOn}`);
  if (before.initializationCompleted && !after.initializationCompleted) setbacks.push("initializationCompleted became false");
  if (lsnValue(after.appliedLsn) < lsnValue(before.appliedLsn))
    setbacks.push(`appliedLsn: ${before.appliedLsn} became ${after.appliedLsn}`);
  for (const name of ["fullLoadCompletedTables", "appliedChanges", "cdcInsertCounter", "cdcUpdateCounter", "cdcDeleteCounter"] as const)
    if (after[name] < before[name]) setbacks.push(`${name}: ${before[name]} became ${after[name]}`);
  return setbacks;
}

/** Rows of a table that is loaded again begin at zero; what is loaded stays loaded. */
function tableSetbacks(before: TableLevelOutput, after: TableLevelOutput): string[] {
  const setbacks: string[] = [];
  if (before.state === "COMPLETED" && after.state !== "COMPLETED") setbacks.push(`${before.tableName}: COMPLETED became ${after.state}`);
  if (before.state === "COMPLETED" && after.fullLoadTotalRows !== before.fullLoadTotalRows)
    setbacks.push(`${before.tableName}, rows loaded: ${before.fullLoadTotalRows} became ${after.fullLoadTotalRows}`);
  for (const name of ["cdcInsertCounter", "cdcUpdateCounter", "cdcDeleteCounter", "totalChangesApplied"] as const)
    if (after[name] < before[name]) setbacks.push(`${before.tableName}, ${name}: ${before[name]} became ${after[name]}`);
  return setbacks;
}

function lsnValue(text: string | null): bigint {
  const [high = "0", low = "0"] = (text ?? "0/0").split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

const hasFailed = ({ properties: { state } }: Task): boolean => ["Failed", "FailedInputValidation", "Faulted", "Canceled"].includes(state);

/** What a person needs to know of a task that did not get there. */
function sayTask(task: Task): string {
  const { state, errors, commands } = task.properties;
  const database = databaseOf(task);
  const tables = tablesOf(task)
    .filter((table) => table.state !== "COMPLETED" || table.error !== null)
    .map(({ tableName, state: tableState, error }) => ({ tableName, tableState, error }));
  const findings = database?.findings.filter(({ severity, resolved }) => severity !== "information" && resolved !== true);
  return JSON.stringify({ state, errors, commands, database: { ...database, findings }, tables });
}

/** Asks until it is answered, as a script that survives a restart of the service would. @throws RequestRefused when it is the request's fault */
export async function persistently<T>(call: () => Promise<T>, limitMs = 120_000): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    try {
      return await call();
    } catch (thrown) {
      if ((thrown instanceof RequestRefused && thrown.status < 500 && thrown.status !== 429) || Date.now() > deadline) throw thrown;
      await sleep(500);
    }
  }
}
