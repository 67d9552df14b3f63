import { type ReportedError } from "../contracts/errors.ts";
import { type DatabaseEvent, type DatabaseState, nextDatabaseState } from "../contracts/lifecycle.ts";
import {
  type Comparison,
  type CutoverReport,
  type DatabaseProgress,
  type Finding,
  type ReportItem,
  type TableProgress,
  unreportedDatabase,
} from "../contracts/reports.ts";
import { tableKey, type TableName } from "../contracts/tables.ts";
import { type Logger } from "./log.ts";

/** How often what has changed is handed on. */
const FLUSH_INTERVAL_MS = 500;

/** What moves by itself, also where there is nothing to do, is handed on by itself only so often. */
const QUIET_INTERVAL_MS = 10_000;

/** Positions and ages on the source: the other databases of its server move them too. */
const RESTLESS: ReadonlySet<string> = new Set<keyof DatabaseProgress>([
  "appliedLsn",
  "lagBytes",
  "walHeldBytes",
  "walGrowthBytesPerSecond",
  "walFullInSeconds",
  "snapshotAgeSeconds",
  "xminAge",
  "catalogXminAge",
]);

/** How often the figures of the database go to the log, where alerts read them. */
const LOG_INTERVAL_MS = 60_000;

/** Estimates of the rest are not worth showing before so much of a table is in. */
const ESTIMATE_FROM_FRACTION = 0.02;

export type TableChange = Partial<Omit<TableProgress, "kind" | "databaseName" | "schema" | "name">>;
type DatabaseChange = Partial<Omit<DatabaseProgress, "kind" | "databaseName" | "targetDatabaseName" | "state">>;

export interface BoardOptions {
  readonly databaseName: string;
  readonly targetDatabaseName: string;
  readonly send: (items: readonly ReportItem[]) => void;
  readonly log: Logger;
  /** Moves the moments at which a quiet database is reported: those of one task go into one message, those of others do not meet. */
  readonly quietOffsetMs?: number;
  /** A worker before has reported: figures are held back until it is known how far it had come (see open). */
  readonly isTakenOver?: boolean;
}

/**
 * What is known of a database's migration at this moment. The phases write on it; what changed is reported twice a second, and
 * every ten seconds where nothing moves but what always does: most of a fleet is quiet, and each report costs the control plane.
 */
export class ProgressBoard {
  readonly #options: BoardOptions;
  readonly #tables = new Map<string, TableProgress>();
  readonly #changed = new Map<string, ReportItem>();
  /** The warnings of what does not go on at the moment, by subject. */
  readonly #interruptions = new Map<string, Finding>();
  readonly #timers: readonly NodeJS.Timeout[];
  #database: DatabaseProgress;
  /** The database as it was handed on last, and when. */
  #told: { readonly database: DatabaseProgress; readonly atMs: number } | undefined;
  #isOpen: boolean;

  constructor(options: BoardOptions) {
    this.#options = options;
    this.#isOpen = options.isTakenOver !== true;
    this.#database = unreportedDatabase(options.databaseName, options.targetDatabaseName);
    this.#timers = [setInterval(() => this.#flushDue(), FLUSH_INTERVAL_MS), setInterval(() => this.#log(), LOG_INTERVAL_MS)];
    for (const timer of this.#timers) timer.unref();
  }

  get state(): DatabaseState {
    return this.#database.state;
  }

  get database(): DatabaseProgress {
    return this.#database;
  }

  /** Moves the database on in its life; an event that does not belong to its state is a mistake of ours. */
  event(event: DatabaseEvent): void {
    const next = nextDatabaseState(this.#database.state, event);
    if (next === undefined) throw new Error(`a database that is ${this.#database.state} cannot have "${event}"`);
    if (next !== this.#database.state)
      this.#options.log.info({ event: "database.state", from: this.#database.state, to: next }, "state changed");
    this.#setDatabase({ ...this.#database, state: next });
  }

  /** A worker that takes over starts where the last one was. */
  resumeAt(state: DatabaseState, startedOn: string): void {
    this.#setDatabase({ ...this.#database, state, startedOn });
  }

  /** From now on figures are reported: what was known before is on the board, so that none of them goes back. */
  open(): void {
    this.#isOpen = true;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  change(change: DatabaseChange): void {
    this.#setDatabase({ ...this.#database, ...change });
  }

  /** Changes what is known of a table; the first time lists it. */
  table(table: TableName, change: TableChange): void {
    const key = tableKey(table);
    const known = this.#tables.get(key);
    const next = withEstimate({ ...(known ?? emptyTable(this.#options.databaseName, table)), ...change });
    this.#tables.set(key, next);
    this.#changed.set(`table ${key}`, next);
    this.#setDatabase(withTotals(this.#database, known, next));
  }

  tableProgress(table: TableName): TableProgress | undefined {
    return this.#tables.get(tableKey(table));
  }

  compared(table: TableName, comparison: Comparison): void {
    this.table(table, { comparison });
  }

  /** Something worth knowing that does not stop the migration, or the errors of a check. */
  finding(error: ReportedError, subject = ""): void {
    this.#tell(error, subject, { resolved: false });
  }

  /** What a finding said is over. */
  resolve(error: ReportedError, subject = ""): void {
    this.#tell(error, subject, { resolved: true });
  }

  /** Something does not work for the moment and is tried again. Why may change while it lasts; since when it lasts does not. */
  interrupted(error: ReportedError, subject: string): void {
    const known = this.#interruptions.get(subject);
    if (known?.error.code === error.code && known.error.message === error.message) return;
    if (known && known.error.code !== error.code) this.goesOn(subject);
    const since = this.#interruptions.get(subject)?.since;
    this.#interruptions.set(subject, this.#tell(error, subject, { resolved: false, since }));
  }

  /** What was interrupted works. */
  goesOn(subject: string): void {
    const known = this.#interruptions.get(subject);
    if (known) this.resolve(known.error, subject);
    this.#interruptions.delete(subject);
  }

  #tell(error: ReportedError, subject: string, { resolved, since }: { resolved: boolean; since?: string | undefined }): Finding {
    const finding: Finding = {
      kind: "finding",
      databaseName: this.#options.databaseName,
      subject: subject === "" ? (error.table ?? "") : subject,
      error,
      since: since ?? new Date().toISOString(),
      resolved,
    };
    this.#changed.set(`finding ${error.code} ${finding.subject}`, finding);
    return finding;
  }

  cutover(report: Omit<CutoverReport, "kind" | "databaseName">): void {
    this.#changed.set("cutover", { kind: "cutoverReport", databaseName: this.#options.databaseName, ...report });
  }

  /** Hands on what changed, at once. */
  flush(): void {
    const items = [...this.#changed].filter(([, item]) => this.#isOpen || !isFigure(item));
    if (items.length === 0) return;
    for (const [key, item] of items) {
      this.#changed.delete(key);
      if (item.kind === "database") this.#told = { database: item, atMs: Date.now() };
    }
    this.#options.send(items.map(([, item]) => item));
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.flush();
  }

  #flushDue(): void {
    const told = this.#told;
    const isQuiet = told !== undefined && [...this.#changed.values()].every((item) => isAtRest(told.database, item));
    if (!isQuiet || this.#quietTurn(Date.now()) > this.#quietTurn(told.atMs)) this.flush();
  }

  #quietTurn(timeMs: number): number {
    return Math.floor((timeMs + (this.#options.quietOffsetMs ?? 0)) / QUIET_INTERVAL_MS);
  }

  #log(): void {
    this.#options.log.info({ event: "database.progress", ...this.#database }, "progress");
  }

  #setDatabase(next: DatabaseProgress): void {
    this.#database = next;
    this.#changed.set("database", next);
  }
}

/** What later reports must not fall behind. */
const isFigure = ({ kind }: ReportItem): boolean => kind === "database" || kind === "table";

/** Nothing of it moved but what moves by itself. That a restless figure comes or goes is worth telling. */
function isAtRest(before: DatabaseProgress, item: ReportItem): boolean {
  if (item.kind !== "database") return false;
  return Object.entries(item).every(([name, value]) => {
    const old = before[name as keyof DatabaseProgress];
    return value === old || (RESTLESS.has(name) && value !== null && old !== null);
  });
}

const emptyTable = (databaseName: string, { schema, name }: TableName): TableProgress => ({
  kind: "table",
  databaseName,
  schema,
  name,
  state: "BEFORE_LOAD",
  fullLoadStartedOn: null,
  fullLoadEndedOn: null,
  fullLoadEstFinishTime: null,
  fullLoadRows: 0,
  fullLoadBytes: 0,
  rowsEstimate: 0,
  bytesEstimate: 0,
  inserts: 0,
  updates: 0,
  deletes: 0,
  dataErrors: 0,
  lastModifiedTime: null,
});

/** When a table that is loading will be done, if it goes on like this. */
function withEstimate(table: TableProgress): TableProgress {
  if (table.state !== "FULL_LOAD" || table.fullLoadStartedOn === null) return { ...table, fullLoadEstFinishTime: null };
  const fraction = table.rowsEstimate > 0 ? table.fullLoadRows / table.rowsEstimate : 0;
  if (fraction < ESTIMATE_FROM_FRACTION || fraction > 1) return { ...table, fullLoadEstFinishTime: null };
  const startedMs = Date.parse(table.fullLoadStartedOn);
  return { ...table, fullLoadEstFinishTime: new Date(startedMs + (Date.now() - startedMs) / fraction).toISOString() };
}

/** Which of the database's counts a table in this state belongs to. */
const COUNTED_AS: Record<TableProgress["state"], keyof DatabaseProgress & `fullLoad${string}Tables`> = {
  BEFORE_LOAD: "fullLoadQueuedTables",
  FULL_LOAD: "fullLoadLoadingTables",
  COMPLETED: "fullLoadCompletedTables",
  CANCELED: "fullLoadQueuedTables",
  ERROR: "fullLoadErroredTables",
  FAILED: "fullLoadErroredTables",
};

/** The database's totals after one table changed. */
function withTotals(database: DatabaseProgress, before: TableProgress | undefined, after: TableProgress): DatabaseProgress {
  const counts = { ...database };
  if (before) counts[COUNTED_AS[before.state]]--;
  counts[COUNTED_AS[after.state]]++;
  return addTotals(counts, before ?? emptyTable("", after), after);
}

function addTotals(database: DatabaseProgress, before: TableProgress, after: TableProgress): DatabaseProgress {
  return {
    ...database,
    fullLoadRows: database.fullLoadRows + after.fullLoadRows - before.fullLoadRows,
    fullLoadBytes: database.fullLoadBytes + after.fullLoadBytes - before.fullLoadBytes,
    fullLoadTotalBytesEstimate: database.fullLoadTotalBytesEstimate + after.bytesEstimate - before.bytesEstimate,
    inserts: database.inserts + after.inserts - before.inserts,
    updates: database.updates + after.updates - before.updates,
    deletes: database.deletes + after.deletes - before.deletes,
  };
}
