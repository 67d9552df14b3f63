import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { MigrationError } from "../../contracts/errors.ts";
import { type Settings } from "../../contracts/settings.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { withConnection } from "../postgres/connect.ts";
import { isEncodingFailure, textNotConvertible } from "../postgres/encoding.ts";
import { failureCode } from "../postgres/failures.ts";
import { withRetry } from "../postgres/retry.ts";
import { type Side } from "../postgres/server.ts";
import { readLedger, tableLoads, type TableLoad } from "./ledger.ts";
import { sayRange } from "./part-range.ts";
import { type LoadPlan, type LoadTable } from "./plan.ts";
import { prepareLoad } from "./prepare-load.ts";
import { decideLoad, type PartWork } from "./resume.ts";
import { findMixable } from "./mixable.ts";
import { SnapshotLost } from "./snapshot-lost.ts";
import { loadPurpose, LoadStream, type StreamOptions } from "./stream.ts";

/** Progress within a part is told this often at most. */
const PROGRESS_INTERVAL_MS = 250;

/** A stream that must not read looks so often whether it may again. */
const TURN_INTERVAL_MS = 250;

/** In the middle of a part it reads a stretch at least so often: a connection that stood still for long would be taken for dead. */
const REST_MS_MAX = 5_000;

/** How far one table is: rows of finished parts, bytes of all parts. */
export interface LoadProgress {
  readonly rows: number;
  readonly bytes: number;
  readonly partsDone: number;
  readonly parts: number;
}

export interface LoadOptions extends StreamOptions {
  readonly plan: LoadPlan;
  readonly settings: Pick<Settings, "fullLoadStreams" | "onExistingRows">;
  /** All streams are in the snapshot: its exporter may go, at the price that a broken stream cannot be opened again. */
  readonly onSnapshotImported?: () => void;
  /** Asked before a table, or a part that may be of another snapshot, is begun; false leaves it to one. Something is begun under each. */
  readonly mayBegin?: () => boolean;
  /** How many streams may read now, from 1 on; asked again and again. Left out: all. */
  readonly allowedStreams?: () => number;
  /** Told when a table's first part begins, as bytes pass, and with each part. */
  readonly onProgress?: (table: LoadTable, progress: LoadProgress) => void;
  /** Told once for each table that this call has finished. */
  readonly onTableLoaded?: (table: LoadTable, load: LoadProgress) => void;
  /** Told of a table that cannot be loaded; its other parts are then left out, and the other tables go on. Without it the load ends. */
  readonly onTableFailed?: (table: LoadTable, thrown: Error) => Promise<void>;
  /** A connection broke, or something else that mends itself; the part is tried again. */
  readonly onInterrupted?: (thrown: unknown, attempt: number) => void;
}

/**
 * Loads what of the plan the ledger does not have as done, in several streams. Each part is loaded as a whole or not at
 * all, so the call can end anywhere and be made again.
 * @throws SnapshotLost when parts are left that need another snapshot; what could be loaded is loaded by then.
 * @throws MigrationError LoadFailed, with the table; LostOwnership; or the signal's reason.
 */
export async function loadTables(options: LoadOptions): Promise<void> {
  const { source, target, ownership, plan, snapshot, settings, canBeReplica, signal } = options;
  const session: Record<string, string> = canBeReplica ? { session_replication_role: "replica" } : {};
  const purpose = loadPurpose(ownership);
  const begin = await withRetry(
    () =>
      withConnection(target, { purpose, session }, async (client) => {
        const ledger = await readLedger(client);
        const mixable = await findMixable(plan, ledger, { source, target: client });
        const decision = decideLoad(plan, ledger, snapshot.lsn, settings.onExistingRows, mixable);
        await prepareLoad(client, ownership, decision);
        return { left: decision.left, loads: tableLoads(await readLedger(client)), mixable };
      }),
    { signal, onRetry: (thrown, attempt) => options.onInterrupted?.(thrown, attempt) },
  );
  await new Load(options, begin).run();
}

interface Begin {
  readonly left: readonly PartWork[];
  readonly loads: ReadonlyMap<string, TableLoad>;
  /** Tables, by tableKey, whose parts may be of several snapshots. */
  readonly mixable: ReadonlySet<string>;
}

class Load {
  private readonly options: LoadOptions;
  private readonly queue: PartWork[];
  /** Parts that this snapshot cannot give. */
  private readonly lost: PartWork[] = [];
  private readonly tables: TableFigures;
  private readonly stop = new AbortController();
  /** Tables that this snapshot must finish: some of their parts are loaded under it, and all must be of one. */
  private readonly begun: Set<string>;
  private readonly mixable: ReadonlySet<string>;
  private hasBegun: boolean;
  private readonly imported = new Set<LoadStream>();
  private readonly streams: LoadStream[] = [];
  /** Those that have not ended. */
  private readonly reading: LoadStream[] = [];
  private readonly streamCount: number;

  constructor(options: LoadOptions, { left, loads, mixable }: Begin) {
    this.options = options;
    this.queue = [...left];
    this.tables = new TableFigures(options, loads);
    this.mixable = mixable;
    const inPart = [...loads].filter(([key, { isLoaded, partsDone }]) => !isLoaded && partsDone > 0 && !mixable.has(key));
    this.begun = new Set(inPart.map(([key]) => key));
    this.hasBegun = this.begun.size > 0;
    this.streamCount = Math.min(options.settings.fullLoadStreams, left.length);
  }

  async run(): Promise<void> {
    const signal = AbortSignal.any([this.options.signal, this.stop.signal]);
    setMaxListeners(0, signal); // a few for each stream
    const streams = Array.from({ length: this.streamCount }, () =>
      this.runStream(signal).catch((thrown: unknown) => this.stop.abort(thrown)),
    );
    await Promise.all(streams);
    if (signal.aborted) await this.endProcesses();
    this.options.signal.throwIfAborted();
    this.stop.signal.throwIfAborted();
    this.lost.push(...this.queue);
    const [first] = this.lost;
    if (first) throw new SnapshotLost(`${this.lost.length} parts need another snapshot, the first of ${displayName(first.plan.table)}`);
  }

  /** One stream takes part after part. Without its snapshot it gives its part back and ends; the others go on. */
  private async runStream(signal: AbortSignal): Promise<void> {
    const throttle = (bytes: number): Promise<void> | undefined => {
      const rest = this.options.throttle?.(bytes);
      return this.mayRead(stream) ? rest : this.turnOf(stream, signal);
    };
    const stream = new LoadStream({ ...this.options, throttle, signal });
    this.streams.push(stream);
    this.reading.push(stream);
    try {
      for (let work = await this.nextWork(stream, signal); work; work = await this.nextWork(stream, signal)) {
        try {
          await this.loadPart(stream, work, signal);
        } catch (thrown) {
          if (thrown instanceof SnapshotLost) {
            this.queue.unshift(work);
            return;
          }
          await this.onFailure(work, thrown, signal);
        }
      }
      await stream.close();
    } finally {
      stream.destroy();
      this.reading.splice(this.reading.indexOf(stream), 1);
    }
  }

  private async nextWork(stream: LoadStream, signal: AbortSignal): Promise<PartWork | undefined> {
    while (this.queue.length > 0 && !this.mayRead(stream)) await this.turnOf(stream, signal);
    return this.takeWork();
  }

  /** The streams that were there first may read; the first of those that are left always does, so the load goes on. */
  private mayRead(stream: LoadStream): boolean {
    const { allowedStreams } = this.options;
    return allowedStreams === undefined || this.reading.indexOf(stream) < Math.max(1, allowedStreams());
  }

  /** Waits until the stream may read, but not for long. */
  private async turnOf(stream: LoadStream, signal: AbortSignal): Promise<void> {
    const untilMs = performance.now() + REST_MS_MAX;
    while (!this.mayRead(stream) && performance.now() < untilMs) await sleep(TURN_INTERVAL_MS, undefined, { signal });
  }

  /** The next part; once nothing further may be begun, the next one of the tables that must be finished. */
  private takeWork(): PartWork | undefined {
    const isFree = !this.hasBegun || this.options.mayBegin?.() !== false;
    const next = isFree ? 0 : this.queue.findIndex(({ plan: { table } }) => this.begun.has(tableKey(table)));
    const [work] = next < 0 ? [] : this.queue.splice(next, 1);
    if (!work) return undefined;
    this.hasBegun = true;
    const key = tableKey(work.plan.table);
    if (!this.mixable.has(key)) this.begun.add(key);
    return work;
  }

  /** @throws the failure, unless somebody takes care of tables that fail. */
  private async onFailure(work: PartWork, thrown: unknown, signal: AbortSignal): Promise<void> {
    const { onTableFailed } = this.options;
    if (signal.aborted) throw thrown;
    const error = loadError(work, thrown);
    if (!onTableFailed || !(error instanceof MigrationError) || error.kind === "LostOwnership") throw error;
    const { table } = work.plan;
    const goesTo = tableKey(table.target);
    // What goes to the same table of the target is emptied with it one day, so it need not be loaded now.
    for (const list of [this.queue, this.lost])
      list.splice(0, list.length, ...list.filter(({ plan }) => tableKey(plan.table.target) !== goesTo));
    await onTableFailed(table, error);
  }

  private async loadPart(stream: LoadStream, work: PartWork, signal: AbortSignal): Promise<void> {
    const onRetry = (thrown: unknown, attempt: number): void => this.options.onInterrupted?.(thrown, attempt);
    const outcome = await withRetry(
      async () => {
        await stream.open();
        this.noteImported(stream);
        return await stream.loadPart(work, this.tables.begin(work));
      },
      { signal, onRetry },
    );
    if (outcome.kind === "loaded") this.tables.finish(work, outcome);
    else this.lost.push(work);
  }

  /**
   * A server process that waits for a lock does not look at its socket (manual, 19.3 "client_connection_check_interval"):
   * it would keep the snapshot's rows on the source until the lock is free.
   */
  private async endProcesses(): Promise<void> {
    const name = `pgdms: ${loadPurpose(this.options.ownership)}`;
    const end = async (side: Side): Promise<void> => {
      const pids = this.streams.flatMap((stream) => stream.pids[side]);
      if (pids.length === 0) return;
      await withConnection(this.options[side], { purpose: "end of load" }, (client) =>
        client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY ($1) AND application_name = $2", [pids, name]),
      ).catch(() => undefined); // a server that does not answer ends them by itself
    };
    await Promise.all([end("source"), end("target")]);
  }

  private noteImported(stream: LoadStream): void {
    if (this.imported.has(stream)) return;
    this.imported.add(stream);
    if (this.imported.size === this.streamCount) this.options.onSnapshotImported?.();
  }
}

interface Running {
  rows: number;
  bytes: number;
  partsDone: number;
  readonly parts: number;
  /** Bytes of parts under way, by part. */
  readonly underWay: Map<number, number>;
  toldMs: number;
}

/** Adds up what the streams do to the figures of tables. */
class TableFigures {
  private readonly options: LoadOptions;
  private readonly tables = new Map<string, Running>();

  constructor(options: LoadOptions, loads: ReadonlyMap<string, TableLoad>) {
    this.options = options;
    for (const [key, { rows, bytes, partsDone, parts }] of loads)
      this.tables.set(key, { rows, bytes, partsDone, parts, underWay: new Map(), toldMs: 0 });
  }

  /** @returns what to call with the bytes that have passed. A part that is tried again begins at zero. */
  begin({ plan: { table }, part }: PartWork): (bytes: number) => void {
    const running = this.of(table);
    running.underWay.set(part, 0);
    this.tell(table, running);
    return (bytes) => {
      running.underWay.set(part, (running.underWay.get(part) ?? 0) + bytes);
      if (Date.now() - running.toldMs >= PROGRESS_INTERVAL_MS) this.tell(table, running);
    };
  }

  finish({ plan: { table }, part }: PartWork, { rows, bytes }: { readonly rows: number; readonly bytes: number }): void {
    const running = this.of(table);
    running.underWay.delete(part);
    running.rows += rows;
    running.bytes += bytes;
    running.partsDone++;
    this.tell(table, running);
    if (running.partsDone === running.parts) this.options.onTableLoaded?.(table, figures(running));
  }

  private of(table: LoadTable): Running {
    const running = this.tables.get(tableKey(table));
    if (!running) throw new Error(`the ledger lost the table ${displayName(table)}`);
    return running;
  }

  private tell(table: LoadTable, running: Running): void {
    running.toldMs = Date.now();
    this.options.onProgress?.(table, figures(running));
  }
}

function figures({ rows, bytes, partsDone, parts, underWay }: Running): LoadProgress {
  const bytesUnderWay = [...underWay.values()].reduce((sum, part) => sum + part, 0);
  return { rows, bytes: bytes + bytesUnderWay, partsDone, parts };
}

function loadError({ plan: { table }, range }: PartWork, thrown: unknown): unknown {
  if (thrown instanceof MigrationError) return thrown;
  const sqlState = failureCode(thrown);
  if (isEncodingFailure(sqlState)) return textNotConvertible(table, thrown);
  return new MigrationError("LoadFailed", {
    table: displayName(table),
    detail: `${displayName(table)}, ${sayRange(range)}: ${thrown instanceof Error ? thrown.message : String(thrown)}.`,
    ...(sqlState === undefined ? {} : { sqlState }),
    cause: thrown,
  });
}
