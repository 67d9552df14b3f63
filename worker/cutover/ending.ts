import type pg from "pg";
import { errors, MigrationError, reported, type ReportedError, reportedFrom } from "../../contracts/errors.ts";
import { type DatabaseEnd } from "../database-job.ts";
import { passing } from "../fault-points.ts";
import { type Migration } from "../migration.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { restoreEverything } from "../schema/restore.ts";
import { unfenceSource } from "../source/fence.ts";
import { dropPublication, insertsPublication } from "../source/publication.ts";
import { dropSlot, dropSnapshotSlots, endSessions } from "../source/slot.ts";
import { dropBookkeeping, type MigrationRow, readMigration } from "../target/bookkeeping.ts";
import { restoreOptions } from "../target/definitions.ts";
import { objectName } from "../target/prepare.ts";
import { type EndedMigration } from "./ended-migration.ts";
import { withUnfencedSource } from "./source-fence.ts";

/** A side that does not answer is tried again for so long; then the task says what is left. */
const CLEAN_UP_MS_MAX = 60_000;

const attempts = { attemptsMax: 8 };

/**
 * Leaves both sides as they should be: on the target all definitions back (after a success they are), on the source no
 * slot, no publication, no changed identity, and no fence unless the cutover is done. Never throws for a side that cannot be reached: it reports what is left there.
 */
export async function cleanUp(migration: Migration, end: DatabaseEnd): Promise<void> {
  const { board, log } = migration;
  board.change({ step: "cleaning up" });
  if (end === "CANCELLED" && board.state !== "CANCELLING") board.event("cancelAsked");
  // The source first: a slot that nobody reads fills its disk.
  await cleanSource(migration, end).catch((thrown: unknown) => {
    log.error({ event: "cleanup.source.failed", err: thrown }, "the source could not be cleaned up");
    board.finding(leftOnSource(migration, thrown));
  });
  if (end === "COMPLETE") return;
  await restoreTarget(migration).catch((thrown: unknown) => {
    log.error({ event: "cleanup.target.failed", err: thrown }, "the target's definitions could not be brought back");
    board.finding(reportedFrom(thrown));
  });
}

const sayError = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** The finding of a source that could not be cleaned up, and why. */
export function leftOnSource({ job }: Pick<EndedMigration, "job">, thrown: unknown): ReportedError {
  const name = objectName(job.taskId, job.selected.name);
  return reported("SourceLeftovers", { detail: sayError(thrown), remedy: `It is tried again for a week. ${leftoverStatements(name)}` });
}

const leftoverStatements = (name: string): string =>
  `Or on the source: SELECT pg_drop_replication_slot(${quoteLiteral(name)}); DROP PUBLICATION IF EXISTS ${quoteName(name)}, ${quoteName(insertsPublication(name))};`;

/** Leaves nothing of the migration on the source. @throws what the source says after a minute of trying. */
export async function cleanSource(migration: EndedMigration, end: DatabaseEnd): Promise<void> {
  const { job } = migration;
  const signal = AbortSignal.timeout(CLEAN_UP_MS_MAX);
  // The slot does not wait for a target that does not answer.
  const reading = withRetry(() => readOwnRow(migration), { signal, ...attempts }).catch(() => undefined);
  const name = objectName(job.taskId, job.selected.name);
  await withRetry(
    () =>
      withUnfencedSource(migration, "clean-up", async (client) => {
        await dropSnapshotSlots(client, name);
        await endOwnWalSender(client, name, job.taskId);
        await dropSlot(client, name, { signal });
        await passing("clean-up-half-done");
        const row = await reading;
        if (row?.isFenced === true && end !== "COMPLETE") await unfenceSource(client, job.selected.name);
        if (row?.plugin !== "test_decoding") await dropPublication(client, name).catch(ignoreMissingRight);
        for (const table of row?.changedIdentities ?? [])
          await client.query(`ALTER TABLE IF EXISTS ONLY ${quoteTable(table)} REPLICA IDENTITY DEFAULT`);
        await passing("source-cleaned");
      }),
    { signal, ...attempts },
  );
}

/**
 * Before a restarted task begins: what its earlier runs left on the source because it was away when they ended, or because
 * their worker was. What cannot be cleaned up now, the checks find.
 */
export async function cleanUpEarlierRuns({ source, target, job, log }: Migration): Promise<void> {
  for (const taskId of job.earlierTaskIds) {
    const earlier = { source, target, job: { taskId, selected: job.selected } };
    await cleanSource(earlier, "FAILED").catch((thrown: unknown) => {
      log.warn(
        { event: "restart.cleanup.failed", earlierTaskId: taskId, err: thrown },
        "an earlier run of the task could not be cleaned up",
      );
    });
  }
}

/** Our own stream may still be ending; nobody else reads a slot of this name. Before 9.5 slots do not say who reads them. */
async function endOwnWalSender(client: pg.Client, slot: string, taskId: string): Promise<void> {
  if ((await versionNum(client)) >= 90_500)
    await client.query(
      "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1 AND active_pid IS NOT NULL",
      [slot],
    );
  else await endSessions(client, `${taskId.slice(0, 8)} stream`);
}

/** Where there are no publications (before 10), or none of ours could be made, there is none to drop. */
function ignoreMissingRight(thrown: unknown): void {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  if (code !== "42501" && code !== "42601") throw thrown;
}

interface OwnRow extends MigrationRow {
  readonly changedIdentities: readonly { readonly schema: string; readonly name: string }[];
}

/** The bookkeeping, when the target still has it and it is ours. @throws what a target says that does not answer just now */
function readOwnRow({ target, job }: EndedMigration): Promise<OwnRow | undefined> {
  return withConnection(target, { purpose: "clean-up" }, async (client) => {
    const row = await readMigration(client);
    if (row?.taskId !== job.taskId) return undefined;
    const { rows } = await client.query<{ schema: string; name: string }>(
      "SELECT schema_name AS schema, table_name AS name FROM pgdms.table_sync WHERE had_no_identity AND NOT is_insert_only",
    );
    return { ...row, changedIdentities: rows };
  });
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

/**
 * Removes the bookkeeping, once the end is written down elsewhere; it stays while it still owes definitions. May be called
 * again: a worker that takes over does just this when the end was recorded.
 */
export async function finishEnded(migration: Migration, end: DatabaseEnd): Promise<void> {
  const { target, ownership, board, log, job, tell } = migration;
  try {
    await withRetry(
      () =>
        withConnection(target, { purpose: `${ownership.taskId.slice(0, 8)} clean-up` }, async (client) => {
          const row = await readMigration(client);
          if (row?.taskId !== ownership.taskId) return;
          if (row.epoch > ownership.epoch) throw new MigrationError("LostOwnership");
          const { rowCount } = await client.query(owedDefinitions(end));
          if (rowCount === 1) log.warn({ event: "bookkeeping.kept" }, errors.DefinitionNotRestored.title);
          else await dropBookkeeping(client);
          await passing("bookkeeping-dropped");
        }),
      { signal: AbortSignal.timeout(CLEAN_UP_MS_MAX), ...attempts },
    );
  } catch (thrown) {
    log.error({ event: "bookkeeping.left", err: thrown }, "the bookkeeping could not be removed from the target");
    board.finding(reportedFrom(thrown, { databaseName: job.selected.name }), "bookkeeping");
  }
  board.flush();
  if (job.ended) tell({ kind: "ended", end, wasRefused: false, errors: [] });
}
