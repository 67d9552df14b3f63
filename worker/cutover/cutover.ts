import type pg from "pg";
import { MigrationError, reported, type ReportedError, reportedFrom } from "../../contracts/errors.ts";
import { formatLsn, type Lsn } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { displayName } from "../../contracts/tables.ts";
import { newPartitions } from "../incremental-sync/join.ts";
import { copyUnlogged, suspendedErrors } from "../incremental-sync/reload.ts";
import { type RunningSync } from "../incremental-sync/sync-phase.ts";
import { type Migration } from "../migration.ts";
import { type CutoverOrder } from "../orders.ts";
import { inPhase } from "../phase.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { refreshMaterializedViews } from "../schema/materialized-views.ts";
import { readCurrentLsn } from "../source/monitor.ts";
import { writeMarker } from "../source/marker.ts";
import { changeMigration } from "../target/bookkeeping.ts";
import { type Prepared } from "../target/prepare.ts";
import { type Turn } from "../turn.ts";
import { Statistics } from "./analyze.ts";
import { compareBothSides } from "./compare-phase.ts";
import { compareAllDefinitions } from "./definitions-phase.ts";
import { deferAgain, restoreForCutover, restoreForSync } from "./restore.ts";
import { type SequenceKeeper } from "./sequence-keeper.ts";
import { copySequences } from "./sequences-phase.ts";
import { lowerFence, raiseFence, withUnfencedSource } from "./source-fence.ts";
import { CutoverLog } from "./cutover-log.ts";
import { listedErrors } from "./listed-phase.ts";

/**
 * Waits until the target has caught up, then for the user's word, and cuts over. Returns once source and target are proven
 * equal and nothing is missing; a cutover that is refused leaves the sync running and waits for the next word.
 */
export async function cutOverWhenAsked(migration: Migration, prepared: Prepared, { sync, turn, sequences }: Beside): Promise<void> {
  const { orders, signal, tell } = migration;
  const statistics = new Statistics(migration, prepared);
  await inPhase(migration, { name: "catch up" }, () => turn.run(() => becomeReady(migration, prepared, { sync, statistics })));
  for (;;) {
    const order = await orders.nextCutover(signal);
    const attempt = async (): Promise<readonly ReportedError[]> => {
      // A table that is suspended is known by its state: nobody needs to wait for a reload to hear no.
      const suspended = await refusedBySuspended(migration);
      if (suspended.length > 0) {
        tell({ kind: "commandDone", commandId: order.commandId, errors: suspended });
        return suspended;
      }
      return turn.run(() => sequences.exactly(() => cutOver(migration, prepared, { sync, statistics, order })));
    };
    const errors = await inPhase(migration, { name: "cutover", commandId: order.commandId, refusalOf: ([first]) => first?.code }, attempt);
    orders.done(order);
    if (errors.length > 0) continue;
    tell({ kind: "commandDone", commandId: order.commandId, errors });
    return;
  }
}

/** What runs beside the waiting for the user's word. */
interface Beside {
  readonly sync: RunningSync;
  /** While it is ours no table is loaded anew. */
  readonly turn: Turn;
  readonly sequences: SequenceKeeper;
}

/** @returns why not, when tables are suspended; the findings then say so too. */
async function refusedBySuspended(migration: Migration): Promise<ReportedError[]> {
  const errors = await suspendedErrors(migration);
  for (const error of errors) migration.board.finding(error, "cutover");
  return errors;
}

/** READY_TO_COMPLETE: everything that the source had committed when the load ended is on the target, and foreign keys are back. */
async function becomeReady(migration: Migration, prepared: Prepared, { sync, statistics }: Following): Promise<void> {
  const { source, target, ownership, board, signal, log } = migration;
  board.change({ step: "catching up" });
  const retry = {
    signal,
    onRetry: (thrown: unknown): void => {
      log.warn({ event: "ready.retry", err: thrown }, "not ready yet; trying again");
      migration.tell({ kind: "retried", what: "catch up" });
    },
  };
  const current = await withRetry(
    () => withConnection(source, { purpose: "position" }, (client) => readCurrentLsn(client, prepared.sourceVersionNum)),
    retry,
  );
  await sync.reached(current);
  board.change({ step: "bringing foreign keys back" });
  await restoreForSync(migration);
  board.change({ step: "gathering statistics" });
  if (!prepared.row.isReady) await statistics.analyzeAll();
  await withRetry(async () => {
    await withConnection(target, { purpose: "ready" }, (client) => changeMigration(client, ownership, { isReady: true }));
    await passing("ready-recorded");
  }, retry);
  board.event("caughtUp");
  log.info({ event: "database.ready", position: formatLsn(sync.position()) }, "ready to cut over");
  board.change({ step: "following changes" });
  migration.tell({ kind: "movedForward" });
}

/** What goes on beside the waiting for the user's word. */
interface Following {
  readonly sync: RunningSync;
  readonly statistics: Statistics;
}

interface Asked extends Following {
  readonly order: CutoverOrder;
}

/** One attempt. @returns what stood in the way; empty: the database is proven and only its cleaning up is left. */
async function cutOver(migration: Migration, prepared: Prepared, { sync, statistics, order }: Asked): Promise<readonly ReportedError[]> {
  const { board, log, signal, settings } = migration;
  const isFenced = (order.fence ?? settings.fence) === "readOnly";
  board.event("cutoverAsked");
  const steps = new CutoverLog(migration, order);
  try {
    await withRetry(() => proveAndRestore(migration, prepared, { sync, statistics, steps, isFenced }), {
      signal,
      onRetry: (thrown, attempt) => {
        log.warn({ event: "cutover.retry", attempt, err: thrown }, "the cutover was interrupted; trying again");
        migration.tell({ kind: "retried", what: "cutover" });
      },
    });
    steps.finish();
    return [];
  } catch (thrown) {
    if (signal.aborted || (thrown instanceof MigrationError && thrown.kind === "LostOwnership")) throw thrown;
    log.warn({ event: "cutover.refused", err: thrown }, "the cutover was refused; the sync goes on");
    const errors = thrown instanceof CutoverRefused ? thrown.errors : [reportedFrom(thrown, { databaseName: migration.job.selected.name })];
    for (const error of errors) board.finding(error, "cutover");
    if (isFenced) await lowerFence(migration);
    await deferAgain(migration, prepared).catch((failure: unknown) =>
      log.error({ event: "cutover.defer.failed", err: failure }, "triggers could not be set aside again"),
    );
    // First: who sees that the database is ready may ask again, and must not be answered with the command of this attempt.
    migration.tell({ kind: "commandDone", commandId: order.commandId, errors });
    board.event("cutoverRefused");
    board.change({ step: "following changes" });
    return errors;
  }
}

/** Errors that keep a cutover from being done. */
class CutoverRefused extends Error {
  readonly errors: readonly ReportedError[];
  constructor(errors: readonly ReportedError[]) {
    super(errors.map(({ code }) => code).join(", "));
    this.name = "CutoverRefused";
    this.errors = errors;
  }
}

interface Proof extends Following {
  readonly steps: CutoverLog;
  readonly isFenced: boolean;
}

/** The cutover in order. Whatever stands in the way is thrown; nothing is given up before the last proof. */
async function proveAndRestore(migration: Migration, prepared: Prepared, { sync, statistics, steps, isFenced }: Proof): Promise<void> {
  const { target, ownership } = migration;
  // Those that were suspended while this waited for its turn.
  requireNoErrors(await suspendedErrors(migration));
  if (isFenced) await steps.step("fence the source", () => raiseFence(migration));
  const marker = await steps.step("drain pending changes", () => drain(migration, prepared, sync));
  steps.drained(formatLsn(marker));
  const late = sync.watchFrom(marker);
  requireNoErrors([...(await listedErrors(migration, prepared)), ...(await partitionErrors(migration, prepared))]);
  await steps.step("copy unlogged tables again", () => copyUnlogged(migration, prepared));
  const differences = await steps.step("compare both sides", () => compareBothSides(migration, prepared, steps));
  await steps.step("look for late writes", () => drain(migration, prepared, sync));
  await requireFollowed(migration, late);
  if (differences.length > 0) throw new CutoverRefused(differences);
  steps.sequences(await steps.step("set sequences", () => copySequences(migration, prepared)));
  steps.restored(await steps.step("bring constraints and triggers back", () => restoreForCutover(migration)));
  requireNoErrors(
    await steps.step("refresh materialized views", () =>
      withTarget(migration, (client) => refreshMaterializedViews(client, migration.signal)),
    ),
  );
  const definitions = compareAllDefinitions(migration, prepared); // beside what follows: the cutover waits for its rest only
  await steps.step("analyze", () => statistics.analyzeStale());
  steps.definitions(await steps.step("compare definitions", () => definitions));
  await steps.step("look for late writes once more", () => drain(migration, prepared, sync));
  await requireFollowed(migration, late);
  await withRetry(
    async () => {
      await withConnection(target, { purpose: "cutover" }, (client) => changeMigration(client, ownership, { phase: "completing" }));
      await passing("proof-recorded");
    },
    { signal: migration.signal },
  );
}

/** No change came late, and none was left out: a table that got into trouble on the way may have been suspended since. */
async function requireFollowed(migration: Migration, late: ReadonlyMap<string, number>): Promise<void> {
  requireQuiet(late);
  requireNoErrors(await suspendedErrors(migration));
}

/** Rows of a partition that nobody follows would be missing. */
async function partitionErrors(migration: Migration, prepared: Prepared): Promise<ReportedError[]> {
  const added = await newPartitions(migration, prepared);
  return added.map((table) => reported("PartitionAdded", { table: displayName(table), detail: `${displayName(table)}.` }));
}

/** Writes a marker on the source and waits until the target has passed it. */
async function drain(migration: Migration, { sourceVersionNum }: Prepared, sync: RunningSync): Promise<Lsn> {
  const marker = await withRetry(
    () => withUnfencedSource(migration, "cutover", (client) => writeMarker(client, sourceVersionNum, migration.job.taskId)),
    { signal: migration.signal },
  );
  await sync.reached(marker);
  return marker;
}

/** Writes that came after the user said that there would be none, by table. */
function requireQuiet(late: ReadonlyMap<string, number>): void {
  if (late.size === 0) return;
  const tables = [...late].map(([table, count]) => `${table} (${count})`).join(", ");
  throw new CutoverRefused([reported("WritesAfterCutover", { detail: `Changes arrived after the cutover's marker: ${tables}.` })]);
}

function requireNoErrors(errors: readonly ReportedError[]): void {
  if (errors.length > 0) throw new CutoverRefused(errors);
}

const withTarget = <T>(migration: Migration, work: (client: pg.Client) => Promise<T>): Promise<T> =>
  withConnection(migration.target, { purpose: `${migration.ownership.taskId.slice(0, 8)} cutover` }, work);
