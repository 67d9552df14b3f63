import { MigrationError, type ReportedError, reportedFrom } from "../../contracts/errors.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { isTransient } from "../postgres/failures.ts";
import { withRetry } from "../postgres/retry.ts";
import { type MigrationRow, readMigration } from "../target/bookkeeping.ts";
import { checkMigration, type MigrationCheckResult } from "./check-migration.ts";

/** Connection failures while checking are tried again so often: the user waits for an answer. */
const ATTEMPTS_MAX = 3;

/** The checks found errors, so nothing was touched. */
export class ChecksFailed extends Error {
  readonly errors: readonly ReportedError[];

  constructor(errors: readonly ReportedError[]) {
    super(errors.map(({ code, message }) => `${code}: ${message}`).join(" "));
    this.name = "ChecksFailed";
    this.errors = errors;
  }
}

/** What the checks found, and how far the migration had come already. */
export interface Checked extends MigrationCheckResult {
  /** The bookkeeping of this very task, when it was begun before. */
  readonly known: MigrationRow | undefined;
}

/**
 * Makes the checks and reports what they find.
 * @throws ChecksFailed when one of them is an error; nothing was changed on either side then.
 */
export async function validate(migration: Migration, signal: AbortSignal): Promise<Checked> {
  const { board, job, log, tell } = migration;
  board.change({ step: "checking source and target", startedOn: new Date().toISOString() });
  const result = await checkAgainWhileItHelps(migration, signal);
  for (const finding of result.findings) board.finding(finding);
  tell({
    kind: "servers",
    sourceServerVersion: result.sourceServer.serverVersion,
    targetServerVersion: result.targetServer.serverVersion,
    startedOn: board.database.startedOn ?? new Date().toISOString(),
  });
  log.info(
    { event: "validation.done", tables: result.tables.length, findings: result.findings.length, plugin: result.plugin },
    "checks made",
  );
  const errors = result.findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new ChecksFailed(errors.map((error) => ({ ...error, databaseName: job.selected.name })));
  return result;
}

/**
 * A migration that begins says within seconds what is wrong; one that is under way waits for its servers as long as it
 * takes. Which of the two it is, only the target can tell.
 */
async function checkAgainWhileItHelps(migration: Migration, signal: AbortSignal): Promise<Checked> {
  const { board, job, log, tell } = migration;
  const onRetry = (thrown: unknown, attempt: number): void => {
    log.warn({ event: "validation.retry", attempt, err: thrown }, "the checks could not be made yet");
    tell({ kind: "retried", what: "validate" });
  };
  let isUnderWay = job.epoch > 1 || (board.state !== "UNDEFINED" && board.state !== "CONFIGURING");
  try {
    return await withRetry(
      async () => {
        const known = await readOwnMigration(migration);
        isUnderWay = known !== undefined;
        if (!known && board.state === "UNDEFINED") board.event("validationBegan");
        return { ...(await check(migration, known, signal)), known };
      },
      { signal, onRetry, isRetryable: (thrown) => isTransient(thrown), ...(isUnderWay ? {} : { attemptsMax: ATTEMPTS_MAX }) },
    );
  } catch (thrown) {
    if (!isUnderWay && thrown instanceof MigrationError && !signal.aborted)
      throw new ChecksFailed([reportedFrom(thrown, { databaseName: job.selected.name })]);
    throw thrown;
  }
}

function check(
  { source, target, settings, job, ownership }: Migration,
  known: MigrationRow | undefined,
  signal: AbortSignal,
): Promise<MigrationCheckResult> {
  const selectedTables = job.selected.selectedTables.map(({ name }) => name);
  const { earlierTaskIds } = job;
  const ownTaskId = ownership.taskId;
  return checkMigration({ source, target, settings, selectedTables, signal, ownTaskId, earlierTaskIds, resuming: known !== undefined });
}

/** The bookkeeping of this task on the target; undefined when there is none, or no database to hold it. */
async function readOwnMigration({ target, ownership }: Migration): Promise<MigrationRow | undefined> {
  try {
    const row = await withConnection(target, { purpose: "checks" }, readMigration);
    return row?.taskId === ownership.taskId ? row : undefined;
  } catch (thrown) {
    if (thrown instanceof MigrationError && thrown.kind === "TargetDatabaseMissing") return undefined;
    throw thrown;
  }
}
