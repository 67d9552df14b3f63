import type pg from "pg";
import { reported } from "../../contracts/errors.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { fenceSource, unfenceSource, unfenceStatement } from "../source/fence.ts";
import { changeMigration } from "../target/bookkeeping.ts";
import { type EndedMigration } from "./ended-migration.ts";

/** A session on the source that may write although the fence makes the database read-only by default. */
export const withUnfencedSource = <T>(
  { source, job }: Pick<EndedMigration, "source" | "job">,
  purpose: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> =>
  withConnection(source, { purpose: `${job.taskId.slice(0, 8)} ${purpose}`, session: { default_transaction_read_only: "off" } }, work);

/** Fences the source; noted on the target first, so that whoever ends the migration otherwise takes the fence away. */
export async function raiseFence(migration: Migration): Promise<void> {
  await note(migration, true);
  await withUnfencedSource(migration, "cutover", (client) => fenceSource(client, migration.job.selected.name));
}

/** Takes the fence away after a cutover that was refused. Never throws: a fence that stays is told, with its statement. */
export async function lowerFence(migration: Migration): Promise<void> {
  const { job, log, board, signal } = migration;
  try {
    await withRetry(() => withUnfencedSource(migration, "cutover", (client) => unfenceSource(client, job.selected.name)), {
      signal,
      attemptsMax: 3,
    });
    await note(migration, false);
  } catch (thrown) {
    log.error({ event: "cutover.unfence.failed", err: thrown }, "the source could not be made writable again");
    const detail = `Database ${job.selected.name} is still read-only after a cutover that was refused.`;
    board.finding(
      reported("SourceLeftovers", {
        detail,
        remedy: `On the source: SET default_transaction_read_only = off; then ${unfenceStatement(job.selected.name)}`,
      }),
      "fence",
    );
  }
}

const note = ({ target, ownership, signal }: Migration, isFenced: boolean): Promise<void> =>
  withRetry(() => withConnection(target, { purpose: "fence" }, (client) => changeMigration(client, ownership, { isFenced })), { signal });
