import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";

/** The right of one worker to write to one target database. */
export interface Ownership {
  readonly taskId: string;
  readonly epoch: number;
}

/**
 * Statement that fails unless this worker still owns the migration, for use inside a transaction: it holds a key-share
 * lock on the bookkeeping row until the transaction ends, which a take-over (FOR UPDATE) waits for and the position's
 * update (FOR NO KEY UPDATE) does not. See the manual, 13.3.2 "Row-Level Locks".
 */
const FENCE = "SELECT FROM pgdms.migration WHERE task_id = $1 AND epoch = $2 FOR KEY SHARE";

/** @throws MigrationError LostOwnership when another worker has taken over. */
export async function requireOwnership(client: pg.ClientBase, { taskId, epoch }: Ownership): Promise<void> {
  const { rowCount } = await client.query(FENCE, [taskId, epoch]);
  if (rowCount !== 1) throw new MigrationError("LostOwnership", { detail: `This worker held epoch ${epoch}.` });
}

/**
 * Runs work in one transaction that commits only while this worker owns the migration.
 * @throws MigrationError LostOwnership, or what the work throws; nothing is left behind then.
 */
export async function inOwnedTransaction<T>(client: pg.ClientBase, ownership: Ownership, work: () => Promise<T>): Promise<T> {
  await client.query("BEGIN");
  try {
    await requireOwnership(client, ownership);
    const result = await work();
    await client.query("COMMIT");
    return result;
  } catch (thrown) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw thrown;
  }
}
