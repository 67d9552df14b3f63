import type pg from "pg";
import { MigrationError, reported, reportedFrom } from "../../contracts/errors.ts";
import { type DatabaseEnd } from "../database-job.ts";
import { passing } from "../fault-points.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { restoreEverything } from "../schema/restore.ts";
import { dropBookkeeping, readMigration } from "../target/bookkeeping.ts";
import { restoreOptions } from "../target/definitions.ts";
import { owesSource, readSourceChanges } from "../target/source-changes.ts";
import { type EndedMigration } from "./ended-migration.ts";
import { attempts, CLEAN_UP_MS_MAX, cleanSource, leftOnSource } from "./source-clean-up.ts";

/**
 * Leaves both sides as they should be: on the target all definitions back (after a success they are), on the source no
 * slot, no publication, no changed identity, and no fence unless the cutover is done. Never throws for a side that cannot be reached: it reports what is left there.
 */
export async function cleanUp(migration: Migration, end: DatabaseEnd): Promise<void> {
  const { board, log } = migration;
  board.change({ step: "cleaning up" });
  if (end === "CANCELLED" && board.state !== "CANCELLING") board.event("cancelAsked");
  // The source first: a slot that nobody reads fills its disk.
  await tryCleanSource(migration, end);
  if (end === "COMPLETE") return;
  await restoreTarget(migration).catch((thrown: unknown) => {
    log.error({ event: "cleanup.target.failed", err: thrown }, "the target's definitions could not be brought back");
    board.finding(reportedFrom(thrown));
  });
}

/** Never throws: what is left is told. @returns whether nothing is. */
async function tryCleanSource(migration: Migration, end: DatabaseEnd): Promise<boolean> {
  try {
    await cleanSource(migration, end);
    return true;
  } catch (thrown) {
    migration.log.error({ event: "cleanup.source.failed", err: thrown }, "the source could not be cleaned up");
    migration.board.finding(leftOnSource(migration, thrown));
    return false;
  }
}

/** After a failure or a cancel: every definition comes back, validated where the rows allow it. */
async function restoreTarget(migration: Migration): Promise<void> {
  const signal = AbortSignal.timeout(24 * 3600 * 1000); // index builds take as long as they take
  const onProgress = (done: number, total: number): void =>
    migration.board.change({ step: `bringing definitions back (${done} of ${total})` });
  const { failures } = await withRetry(
    async () =>
      (await isTargetOurs(migration)) ? restoreEverything({ ...restoreOptions(migration, signal), onProgress }) : { failures: [] },
    { signal, ...attempts },
  );
  for (const failure of failures) migration.board.finding(failure);
}

/** @throws what connecting throws: a target that does not answer just now may still owe definitions. */
async function isTargetOurs({ target, ownership }: Migration): Promise<boolean> {
  try {
    const row = await withConnection(target, { purpose: "clean-up" }, readMigration);
    return row?.taskId === ownership.taskId;
  } catch (thrown) {
    if (thrown instanceof MigrationError && thrown.kind === "TargetDatabaseMissing") return false;
    throw thrown;
  }
}

/**
 * What keeps the bookkeeping from being removed: the only copy of a definition. After a cancel that is not a foreign key
 * that is back and only NOT VALID, for a load that stopped half-way leaves most of them so; the task names them.
 */
const owedDefinitions = (end: DatabaseEnd): string =>
  `SELECT FROM pgdms.deferred_ddl WHERE NOT is_restored${end === "CANCELLED" ? " AND (kind <> 'validation' OR error IS NULL)" : ""} LIMIT 1`;

/** What became of the bookkeeping: the only record of what either side is still owed. */
type BookkeepingEnd = "removed" | "owesDefinitions" | "owesSource";

/**
 * Removes the bookkeeping of a task that is over, unless one of the sides is still owed something that it records; nothing
 * happens when it is gone or another task's.
 * @param epoch of the worker that does it; without it nobody else can be at work.
 * @throws MigrationError LostOwnership when a later worker has it, or what the target says.
 */
export function removeBookkeeping(
  { target, job: { taskId } }: EndedMigration,
  end: DatabaseEnd,
  epoch = Number.MAX_SAFE_INTEGER,
): Promise<BookkeepingEnd> {
  const work = async (client: pg.Client): Promise<BookkeepingEnd> => {
    const changes = await readSourceChanges(client, taskId);
    if (changes === undefined) return "removed";
    if (changes.epoch > epoch) throw new MigrationError("LostOwnership");
    if (owesSource(changes, end)) return "owesSource";
    if ((await client.query(owedDefinitions(end))).rowCount === 1) return "owesDefinitions";
    await dropBookkeeping(client);
    await passing("bookkeeping-dropped");
    return "removed";
  };
  return withRetry(() => withConnection(target, { purpose: `${taskId.slice(0, 8)} clean-up` }, work), {
    signal: AbortSignal.timeout(CLEAN_UP_MS_MAX),
    ...attempts,
  });
}

/**
 * Removes the bookkeeping, once the end is written down elsewhere; it stays while it still records something owed. May be
 * called again: a worker that takes over does just this when the end was recorded.
 */
export async function finishEnded(migration: Migration, end: DatabaseEnd): Promise<void> {
  const { ownership, board, log, job, tell } = migration;
  try {
    let left = await removeBookkeeping(migration, end, ownership.epoch);
    if (left === "owesSource" && (await tryCleanSource(migration, end))) {
      board.resolve(reported("SourceLeftovers"));
      left = await removeBookkeeping(migration, end, ownership.epoch);
    }
    if (left !== "removed") log.warn({ event: "bookkeeping.kept", left }, "the bookkeeping stays: it records what is still owed");
  } catch (thrown) {
    log.error({ event: "bookkeeping.left", err: thrown }, "the bookkeeping could not be removed from the target");
    board.finding(reportedFrom(thrown, { databaseName: job.selected.name }), "bookkeeping");
  }
  board.flush();
  if (job.ended) tell({ kind: "ended", end, wasRefused: false, errors: [] });
}
