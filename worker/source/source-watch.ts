import { MigrationError, reported, type ErrorKind } from "../../contracts/errors.ts";
import { type Migration } from "../migration.ts";
import { objectName } from "../target/prepare.ts";
import { SourceMonitor, type SourceSample } from "./monitor.ts";
import {
  fullInSeconds,
  growthPerSecond,
  isOverBudget,
  levelsPassed,
  sayWal,
  WAL_LEVELS,
  walLimit,
  type WalLevel,
  type WalPoint,
  withPoint,
} from "./wal-forecast.ts";

/** How often the source is asked what the migration holds back there. */
const WATCH_INTERVAL_MS = 2_000;

/** Findings of the watch are about this. */
const SUBJECT = "source WAL";

const LEVEL_KINDS: Record<WalLevel, ErrorKind> = { 50: "WalHalfUsed", 80: "WalNearlyUsed" };

/**
 * Watches over the source while phases work, whatever they do: what the slot holds back there, how fast it grows, and
 * that it stays within its bounds. It asks the source alone, so it goes on while the target is down.
 * @throws MigrationError SlotLost or WalBudgetExceeded, which end the work; or what the work throws.
 */
export async function underSourceWatch(migration: Migration, work: (watched: Migration) => Promise<void>): Promise<void> {
  const over = new AbortController();
  const watch = new SourceWatch(migration, (reason) => over.abort(reason));
  let isDone = false;
  try {
    await work({ ...migration, signal: AbortSignal.any([migration.signal, over.signal]) });
    isDone = true;
  } catch (thrown) {
    isDone = migration.orders.isCancelled;
    // Work that is interrupted may say so in its own words.
    over.signal.throwIfAborted();
    throw thrown;
  } finally {
    await watch.close({ isDone });
  }
}

class SourceWatch {
  readonly #migration: Migration;
  readonly #stop: (reason: MigrationError) => void;
  readonly #monitor: SourceMonitor;
  readonly #timer: NodeJS.Timeout;
  #points: readonly WalPoint[] = [];
  #passed: ReadonlySet<WalLevel> = new Set();
  #raised = new Set<ErrorKind>();

  constructor(migration: Migration, stop: (reason: MigrationError) => void) {
    const { job, source } = migration;
    this.#migration = migration;
    this.#stop = stop;
    this.#monitor = new SourceMonitor(source, { slot: objectName(job.taskId, job.selected.name), task: job.taskId.slice(0, 8) });
    this.#timer = setInterval(() => void this.#measure(), WATCH_INTERVAL_MS);
  }

  /**
   * Warnings are over with the migration. After a failure they stay: they tell what went before it. Those of a migration that
   * is handed over are the next worker's to take back.
   */
  async close({ isDone }: { readonly isDone: boolean }): Promise<void> {
    const { board } = this.#migration;
    clearInterval(this.#timer);
    await this.#monitor.close();
    board.change({ walGrowthBytesPerSecond: null, walFullInSeconds: null, snapshotAgeSeconds: null, xminAge: null, catalogXminAge: null });
    if (isDone) for (const kind of this.#raised) this.#resolve(kind);
  }

  async #measure(): Promise<void> {
    const sample = await this.#monitor.read();
    if (!sample) return;
    this.#judge(sample);
    this.#setPace(sample.latencyMs);
  }

  /** What the load reads, the application on the source waits for. */
  #setPace(latencyMs: number): void {
    const { pace, log, settings, board } = this.#migration;
    if (!pace.answered(latencyMs)) return;
    if (pace.isShownBy(board.database.step)) board.change({ step: pace.step });
    const streams = { allowed: pace.allowed, of: settings.fullLoadStreams, latencyMs: Math.round(latencyMs) };
    log.info({ event: "load.pace", ...streams }, "the load uses another number of its streams, by how long the source takes to answer");
  }

  #judge(sample: SourceSample): void {
    const { board, settings } = this.#migration;
    const { walHeldBytes, walStatus, snapshotAgeSeconds, xminAge, catalogXminAge } = sample;
    this.#points = sample.hasSlot ? withPoint(this.#points, { timeMs: Date.now(), walHeldBytes }) : [];
    const limit = walLimit(sample, settings);
    const growth = growthPerSecond(this.#points);
    const fullIn = fullInSeconds(walHeldBytes, limit, growth);
    board.change({
      walHeldBytes,
      walLimitBytes: limit?.bytes ?? null,
      walLimitedBy: limit?.by ?? null,
      walGrowthBytesPerSecond: growth === null ? null : Math.round(growth),
      walFullInSeconds: fullIn,
      walStatus,
      snapshotAgeSeconds,
      xminAge,
      catalogXminAge,
    });
    this.#passed = levelsPassed(walHeldBytes, limit, this.#passed);
    const detail = sayWal(walHeldBytes, limit, fullIn);
    for (const level of WAL_LEVELS) this.#tell(LEVEL_KINDS[level], this.#passed.has(level), detail);
    this.#tell("WalOverBudget", isOverBudget(walHeldBytes, settings), detail);
    this.#act(sample, detail);
  }

  /** A cutover that is under way is the shortest way to let the WAL go. */
  #act({ walHeldBytes, walStatus, hasSlot }: SourceSample, detail: string): void {
    const { job, settings, board } = this.#migration;
    if (hasSlot && walStatus === "lost")
      return this.#stop(new MigrationError("SlotLost", { detail: `Slot ${objectName(job.taskId, job.selected.name)}.` }));
    if (settings.onWalBudget !== "stopAndDropSlot" || board.state === "COMPLETING") return;
    if (isOverBudget(walHeldBytes, settings)) this.#stop(new MigrationError("WalBudgetExceeded", { detail }));
  }

  #tell(kind: ErrorKind, isSo: boolean, detail: string): void {
    const { board, log } = this.#migration;
    if (isSo === this.#raised.has(kind)) return;
    if (!isSo) return this.#resolve(kind, detail);
    this.#raised.add(kind);
    log.warn({ event: "source.wal", kind, detail }, "the slot holds back much WAL on the source");
    board.finding(reported(kind, { detail, databaseName: this.#migration.job.selected.name }), SUBJECT);
  }

  #resolve(kind: ErrorKind, detail = ""): void {
    this.#raised.delete(kind);
    this.#migration.board.resolve(reported(kind, { detail, databaseName: this.#migration.job.selected.name }), SUBJECT);
  }
}
