import type pg from "pg";
import { reported, type ReportedError } from "../../contracts/errors.ts";
import { type DatabaseEnd } from "../database-job.ts";
import { passing } from "../fault-points.ts";
import { type Migration } from "../migration.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { unfenceSource, unfenceStatement } from "../source/fence.ts";
import { dropPublication, insertsPublication } from "../source/publication.ts";
import { dropCatchUpSlots, dropSlot, dropSnapshotSlots, endSessions } from "../source/slot.ts";
import { objectName } from "../target/prepare.ts";
import { forgetSourceChanges, owesSource, readSourceChanges, type SourceChanges } from "../target/source-changes.ts";
import { type EndedMigration } from "./ended-migration.ts";
import { withUnfencedSource } from "./source-fence.ts";

/** A side that does not answer is tried again for so long; then the task says what is left. */
export const CLEAN_UP_MS_MAX = 60_000;

export const attempts = { attemptsMax: 8 };

/** Slot and publication are gone, but the target, which alone knows what else was changed on the source, cannot be read. */
class ChangesUnknown extends Error {
  constructor(cause: unknown) {
    super(`Slot and publication are gone. What else is to be given back stands on the target, which cannot be read: ${sayError(cause)}`, {
      cause,
    });
    this.name = "ChangesUnknown";
  }
}

/** The source has back what it is owed, but the target still says that it has not. */
class NotNoted extends Error {
  constructor(cause: unknown) {
    super(`The source has everything back, which the target could not note: ${sayError(cause)}`, { cause });
    this.name = "NotNoted";
  }
}

const sayError = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));

/** The finding of a source that could not be cleaned up, and why. */
export function leftOnSource({ job }: Pick<EndedMigration, "job">, thrown: unknown): ReportedError {
  return reported("SourceLeftovers", { detail: sayError(thrown), remedy: `It is tried again for a week. Or ${byHand(job, thrown)}` });
}

function byHand(job: EndedMigration["job"], thrown: unknown): string {
  if (thrown instanceof NotNoted)
    return "on the target: DROP SCHEMA pgdms CASCADE, after reading pgdms.deferred_ddl for definitions that are still owed.";
  return `on the source: ${thrown instanceof ChangesUnknown ? changesStatements(job.selected.name) : leftoverStatements(job)}`;
}

function leftoverStatements({ taskId, selected }: EndedMigration["job"]): string {
  const name = objectName(taskId, selected.name);
  // Also those of its snapshots, which have its name and a suffix. A temporary one goes with its session, and while it is there dropping fails.
  const slots = `FROM pg_replication_slots WHERE slot_name ~ ${quoteLiteral(`^${name}(_|$)`)}`;
  const ended = `SELECT pg_terminate_backend(active_pid) ${slots} AND active;`;
  const dropped = `SELECT pg_drop_replication_slot(slot_name) ${slots} AND NOT active;`;
  return `${ended} ${dropped} DROP PUBLICATION IF EXISTS ${quoteName(name)}, ${quoteName(insertsPublication(name))};`;
}

const changesStatements = (database: string): string =>
  `SELECT oid::regclass FROM pg_class WHERE relreplident = 'f'; and ALTER TABLE ... REPLICA IDENTITY DEFAULT for those that you did not set so yourself; where the database is still read-only, SET default_transaction_read_only = off; then ${unfenceStatement(database)}`;

/**
 * Leaves nothing of the migration on the source: no slot, no publication, no changed identity, and no fence unless the
 * cutover is done.
 * @throws what the source says after a minute of trying, or why the target cannot tell what else is to be given back, or
 * cannot note that it was.
 */
export async function cleanSource(migration: EndedMigration, end: DatabaseEnd): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS_MAX);
  // The slot does not wait for a target that does not answer.
  const reading = withRetry(() => readChanges(migration), { signal, ...attempts }).then(
    (changes) => ({ changes, failure: undefined }),
    (failure: unknown) => ({ changes: undefined, failure: failure ?? new Error("no answer") }),
  );
  await withRetry(
    () =>
      withUnfencedSource(migration, "clean-up", async (client) => {
        await dropOwnSlots(client, migration, signal);
        await passing("clean-up-half-done");
        await giveBack(client, migration, (await reading).changes, end);
        await passing("source-cleaned");
      }),
    { signal, ...attempts },
  );
  const { changes, failure } = await reading;
  if (failure !== undefined) throw new ChangesUnknown(failure);
  if (changes && owesSource(changes, end)) await noteGivenBack(migration, signal);
}

const readChanges = ({ target, job }: EndedMigration): Promise<SourceChanges | undefined> =>
  withConnection(target, { purpose: "clean-up" }, (client) => readSourceChanges(client, job.taskId));

async function dropOwnSlots(client: pg.Client, { job: { taskId, selected } }: EndedMigration, signal: AbortSignal): Promise<void> {
  const name = objectName(taskId, selected.name);
  await dropSnapshotSlots(client, name);
  await dropCatchUpSlots(client, name, taskId);
  await endOwnWalSender(client, name, taskId);
  await dropSlot(client, name, { signal });
}

async function giveBack(
  client: pg.Client,
  { job: { taskId, selected } }: EndedMigration,
  changes: SourceChanges | undefined,
  end: DatabaseEnd,
): Promise<void> {
  if (changes?.isFenced === true && end !== "COMPLETE") await unfenceSource(client, selected.name);
  if (changes?.plugin !== "test_decoding") await dropPublication(client, objectName(taskId, selected.name)).catch(ignoreMissingRight);
  for (const table of changes?.changedIdentities ?? [])
    await client.query(`ALTER TABLE IF EXISTS ONLY ${quoteTable(table)} REPLICA IDENTITY DEFAULT`);
}

/** @throws NotNoted: until it is noted the bookkeeping cannot go. */
async function noteGivenBack({ target, job }: EndedMigration, signal: AbortSignal): Promise<void> {
  const note = (client: pg.Client): Promise<void> => forgetSourceChanges(client, job.taskId);
  try {
    await withRetry(() => withConnection(target, { purpose: "clean-up" }, note), { signal, ...attempts });
  } catch (thrown) {
    throw new NotNoted(thrown);
  }
}

/**
 * Before a restarted task begins: what its earlier runs left on the source because it was away when they ended, or because
 * their worker was. What cannot be cleaned up now, the checks find.
 */
export async function cleanUpEarlierRuns({ source, target, job, log }: Migration): Promise<void> {
  for (const taskId of job.earlierTaskIds) {
    const earlier = { source, target, job: { taskId, selected: job.selected } };
    await cleanSource(earlier, "FAILED").catch((thrown: unknown) => {
      // The new run takes the bookkeeping over, and with it what is known of the source.
      if (thrown instanceof ChangesUnknown || thrown instanceof NotNoted) throw thrown.cause;
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
