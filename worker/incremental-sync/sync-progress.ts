import { MigrationError, reported, type ReportedError, reportedFrom } from "../../contracts/errors.ts";
import { bytesBetween, formatLsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { type Migration } from "../migration.ts";
import { ConnectionLost, failureCode } from "../postgres/failures.ts";
import { SourceMonitor } from "../source/monitor.ts";
import { type ChangeCounts } from "./counts.ts";
import { type Group } from "./group.ts";
import { type BacklogFailed, BacklogRead } from "./sql-backlog.ts";
import { type StreamedInVain } from "./streamed.ts";
import { TargetRefused } from "./step-failures.ts";
import { type IncrementalSync } from "./sync.ts";

/** Findings of the sync are about this. */
const SUBJECT = "sync";

/** Shows on the board how the sync is doing. */
export class SyncProgress {
  readonly #migration: Migration;
  readonly #monitor: SourceMonitor;
  /** Of pieces of a transaction that has not been committed on the target. */
  #undecided: ChangeCounts[] = [];

  constructor(migration: Migration, slot: string) {
    this.#migration = migration;
    this.#monitor = new SourceMonitor(migration.source, { slot, task: migration.job.taskId.slice(0, 8) });
  }

  /**
   * What is not durable is not counted yet: it may be rolled back with its connection.
   * @returns the counts that have become durable with this group: its own, and those of the pieces before it.
   */
  applied(counts: ChangeCounts, { endLsn }: Pick<Group, "endLsn">): readonly ChangeCounts[] {
    this.#undecided.push(counts);
    if (endLsn === undefined) return [];
    const decided = this.#undecided.splice(0);
    for (const each of decided) this.#count(each);
    return decided;
  }

  #count(counts: ChangeCounts): void {
    const { board } = this.#migration;
    const lastModifiedTime = new Date().toISOString();
    for (const { table, inserts, updates, deletes } of counts.byTable.values()) {
      const known = board.tableProgress(table);
      board.table(table, {
        inserts: (known?.inserts ?? 0) + inserts,
        updates: (known?.updates ?? 0) + updates,
        deletes: (known?.deletes ?? 0) + deletes,
        lastModifiedTime,
      });
    }
  }

  /** What a connection before left without a commit was rolled back with it, for whatever reason it ended. */
  beginsConnection(): void {
    this.#migration.log.info({ event: "sync.connecting" }, "connecting to the source's changes");
    this.#undecided = [];
  }

  interrupted(thrown: unknown, attempt: number): void {
    const { board, log, tell } = this.#migration;
    tell({ kind: "retried", what: "incremental sync" });
    log.warn({ event: "sync.interrupted", attempt, err: thrown }, "the sync was interrupted; trying again");
    board.interrupted(interruptionOf(thrown), SUBJECT);
  }

  connected(): void {
    this.#migration.log.info({ event: "sync.connected" }, "following the source's changes");
    this.#migration.board.goesOn(SUBJECT);
  }

  streamedInVain({ message, cause }: StreamedInVain): void {
    this.#migration.log.info({ event: "sync.streamedInVain", err: cause }, `${message}; it is read again, once it has ended`);
  }

  /** A backlog is read by SQL, or that is over. */
  sqlBacklog(event: "began" | BacklogRead | BacklogFailed): void {
    const { log } = this.#migration;
    if (event === "began") log.info({ event: "sync.backlog.began" }, "a backlog of small transactions is read by SQL");
    else if (event instanceof BacklogRead) log.info({ event: "sync.backlog.read" }, "the backlog was read by SQL; the stream goes on");
    else log.info({ event: "sync.backlog.left", err: event.cause }, `${event.message}; the stream goes on`);
  }

  /** Puts the figures on the board; a source that does not answer is the stream's business. */
  async measure(sync: IncrementalSync): Promise<void> {
    const { board } = this.#migration;
    this.#show(sync);
    const sample = await this.#monitor.read();
    if (!sample) return;
    sync.sourceIsAt(sample.currentLsn);
    board.change({ lagBytes: bytesBetween(sync.position, sample.currentLsn) });
  }

  async close(sync: IncrementalSync): Promise<void> {
    this.#show(sync);
    await this.#monitor.close();
  }

  #show(sync: IncrementalSync): void {
    this.#migration.board.change({
      pendingChanges: sync.pendingChanges,
      latencySeconds: sync.latencySeconds,
      // Before its first connection the sync knows of none: what a worker before had applied stays.
      ...(sync.recordedPosition > LSN_ZERO ? { appliedLsn: formatLsn(sync.recordedPosition) } : {}),
    });
  }
}

/** What a user is told of an interruption: which side, and why. */
export function interruptionOf(thrown: unknown): ReportedError {
  if (thrown instanceof MigrationError && thrown.kind === "SourceTableChanged") return reportedFrom(thrown);
  const isTarget =
    thrown instanceof TargetRefused ||
    (thrown instanceof ConnectionLost && thrown.side === "target") ||
    (thrown instanceof MigrationError && thrown.kind.startsWith("Target"));
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  const code = failureCode(thrown);
  // What the system says (ECONNRESET) is no SQLSTATE, which has five characters.
  const sqlState = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && !code.startsWith("E") ? { sqlState: code } : {};
  return reported(isTarget ? "TargetInterrupted" : "SourceInterrupted", { detail, ...sqlState });
}
