import { MigrationError, reportedFrom, type ReportedError } from "../contracts/errors.ts";
import { type Settings } from "../contracts/settings.ts";
import { cleanUp, finishEnded } from "./cutover/ending.ts";
import { cutOverWhenAsked } from "./cutover/cutover.ts";
import { SequenceKeeper } from "./cutover/sequence-keeper.ts";
import { cleanUpEarlierRuns } from "./cutover/source-clean-up.ts";
import { type DatabaseEnd, type DatabaseJob, type FromDatabase } from "./database-job.ts";
import { passing } from "./fault-points.ts";
import { loadEverything } from "./full-load/load-phase.ts";
import { interruptionOf } from "./incremental-sync/sync-progress.ts";
import { ReloadRunner } from "./incremental-sync/reload-runner.ts";
import { startSync } from "./incremental-sync/sync-phase.ts";
import { type Logger } from "./log.ts";
import { isRefusedLogin, LoginPatience } from "./login-patience.ts";
import { type Orders, StopAsked } from "./orders.ts";
import { inPhase } from "./phase.ts";
import { withConnection } from "./postgres/connect.ts";
import { isTransient } from "./postgres/failures.ts";
import { withRetry } from "./postgres/retry.ts";
import { type ProgressBoard } from "./progress-board.ts";
import { type Server } from "./postgres/server.ts";
import { type LoadPace } from "./source/pace.ts";
import { underSourceWatch } from "./source/source-watch.ts";
import { EpochTooLow, readMigration } from "./target/bookkeeping.ts";
import { showKnownProgress } from "./target/known-progress.ts";
import { readListedNames } from "./target/listed-tables.ts";
import { type Prepared, prepare } from "./target/prepare.ts";
import { type Ownership } from "./target/ownership.ts";
import { Turn } from "./turn.ts";
import { ChecksFailed, validate } from "./validation/validate.ts";

/** Everything that the phases of one database's migration share. */
export interface Migration {
  readonly job: DatabaseJob;
  readonly source: Server;
  readonly target: Server;
  readonly settings: Settings;
  readonly ownership: Ownership;
  readonly board: ProgressBoard;
  readonly orders: Orders;
  /** Ends the phases: an order to cancel or to stop, or the failure of what runs beside them. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly tell: (message: FromDatabase) => void;
  /** How much of itself the load may use, by how the source answers. */
  readonly pace: LoadPace;
  /** Resolves when the end of this database was written down where it lasts. */
  readonly endRecorded: Promise<void>;
}

/**
 * Migrates one database: the story, from the checks to the cutover. Starting and going on after a crash are the same: each
 * phase finds what is done already. Never throws; how it ended is told to the main thread.
 */
export async function migrateDatabase(migration: Migration): Promise<void> {
  const { board, job } = migration;
  try {
    if (job.ended) return await finishEnded(migration, job.ended);
    await underSourceWatch(migration, runUntilDone);
    await end(migration, "COMPLETE", []);
  } catch (thrown) {
    await endEarly(migration, thrown);
  } finally {
    board.close();
  }
}

/** Interruptions of the migration as a whole are about this. */
const SUBJECT = "migration";

/** What mends itself, and escaped the phase that it hit, is met as by a worker that takes over: each phase finds what is done. */
function runUntilDone(migration: Migration): Promise<void> {
  const logins = new LoginPatience(migration.board);
  return withRetry(() => runPhases(migration, logins), {
    signal: migration.signal,
    isRetryable: (thrown) => isTransient(thrown) || logins.bears(thrown),
    onRetry: (thrown, attempt) => {
      migration.log.warn({ event: "phases.retry", attempt, err: thrown }, "interrupted; going on as after a take-over");
      if (!isRefusedLogin(thrown)) migration.board.interrupted(interruptionOf(thrown), SUBJECT);
      migration.tell({ kind: "retried", what: "phases" });
    },
  });
}

async function runPhases(migration: Migration, logins: LoginPatience): Promise<void> {
  const { signal } = migration;
  await cleanUpEarlierRuns(migration);
  const checked = await inPhase(migration, { name: "validate" }, () => validate(migration, signal));
  logins.over();
  const prepared = await inPhase(migration, { name: "prepare" }, () => prepare(migration, checked, signal));
  migration.board.goesOn(SUBJECT);
  if (prepared.row.phase === "completing") return; // proven by the worker before; only the cleaning up is left
  await inPhase(migration, { name: "full load" }, () => loadEverything(migration, prepared, signal));
  await inPhase(migration, { name: "incremental sync" }, () => followAndCutOver(migration, prepared));
}

/** The sync and the cutover run side by side; when one of them ends, for whatever reason, the other is ended and waited for. */
async function followAndCutOver(migration: Migration, prepared: Prepared): Promise<void> {
  const over = new AbortController();
  const beside: Migration = { ...migration, signal: AbortSignal.any([migration.signal, over.signal]) };
  const sync = startSync(beside, prepared);
  // A cutover finds every table followed, and no reload begins while it goes on.
  const turn = new Turn();
  const sequences = new SequenceKeeper(beside, prepared);
  const reloads = new ReloadRunner(beside, prepared, { sync, turn }).run();
  const cutover = cutOverWhenAsked(beside, prepared, { sync, turn, sequences });
  const kept = sequences.run();
  try {
    await Promise.race([sync.ended, cutover, reloads, kept]);
  } finally {
    over.abort(new Error("the sync and the cutover are over"));
    await Promise.allSettled([sync.stop(), cutover, reloads, kept]);
  }
}

/** Why a migration stopped before it was done decides what is left to do. */
async function endEarly(migration: Migration, thrown: unknown): Promise<void> {
  const { orders, log, job, tell, ownership } = migration;
  if (orders.isCancelled) return await end(migration, "CANCELLED", []);
  if (orders.signal.reason instanceof StopAsked) {
    log.info({ event: "database.stopped" }, "stopped at a boundary; another worker goes on");
    return tell({ kind: "stopped" });
  }
  if (thrown instanceof MigrationError && thrown.kind === "LostOwnership") {
    log.warn({ event: "database.fenced", err: thrown, epoch: ownership.epoch }, "another worker owns the target");
    return tell({
      kind: "epochTooLow",
      knownEpoch: thrown.detail.cause instanceof EpochTooLow ? thrown.detail.cause.knownEpoch : ownership.epoch,
    });
  }
  const errors = thrown instanceof ChecksFailed ? thrown.errors : [reportedFrom(thrown, { databaseName: job.selected.name })];
  log.error({ event: "database.failed", err: thrown }, "the migration of the database failed");
  await end(migration, "FAILED", errors, thrown instanceof ChecksFailed);
}

/** A worker that took over only to end must not report that nothing had ever been done. */
async function showLastKnown({ target, ownership, board }: Migration): Promise<void> {
  try {
    await withConnection(target, { purpose: "end" }, async (client) => {
      const row = await readMigration(client);
      if (row?.taskId === ownership.taskId) await showKnownProgress(board, client, row, await readListedNames(client));
    });
  } catch {
    // The target is away; what is known then is the end itself.
  }
  board.open();
}

/** Cleans up both sides, has the end written down, and only then drops the bookkeeping. */
async function end(migration: Migration, databaseEnd: DatabaseEnd, errors: readonly ReportedError[], wasRefused = false): Promise<void> {
  const { board, tell, endRecorded } = migration;
  if (!board.isOpen) await showLastKnown(migration);
  for (const error of errors) board.finding(error);
  if (!wasRefused) await inPhase(migration, { name: "clean up" }, () => cleanUp(migration, databaseEnd));
  board.change({ endedOn: new Date().toISOString(), step: undefined });
  board.event(databaseEnd === "COMPLETE" ? "proven" : databaseEnd === "CANCELLED" ? "cancelled" : "failed");
  board.flush();
  tell({ kind: "ended", end: databaseEnd, wasRefused, errors });
  await passing("report-sent-not-recorded");
  await endRecorded;
  if (!wasRefused) await finishEnded(migration, databaseEnd);
}
