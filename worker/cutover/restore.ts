import { MigrationError } from "../../contracts/errors.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { deferDefinitions } from "../schema/deferral.ts";
import { type RestoreResult } from "../schema/restore-pool.ts";
import { restoreEverything, restoreSyncStage } from "../schema/restore.ts";
import { restoreOptions } from "../target/definitions.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";

/** Foreign keys come back before the cutover, where they stay quiet under session_replication_role. A failure is shown, and tried again at the cutover. */
export async function restoreForSync(migration: Migration): Promise<void> {
  const { signal } = migration;
  const onProgress = (done: number, total: number): void =>
    migration.board.change({ step: `bringing foreign keys back (${done} of ${total})` });
  const { failures } = await withRetry(() => restoreSyncStage({ ...restoreOptions(migration, signal), onProgress }), { signal });
  for (const failure of failures) migration.board.finding(failure);
}

/**
 * Everything that is still owed comes back.
 * @returns how many definitions that were.
 * @throws MigrationError DefinitionNotRestored when one cannot come back; the cutover is then refused.
 */
export async function restoreForCutover(migration: Migration): Promise<number> {
  const { signal } = migration;
  const onProgress = (done: number, total: number): void =>
    migration.board.change({ step: `bring constraints and triggers back (${done} of ${total})` });
  const { restored, failures } = await withRetry(() => restoreEverything({ ...restoreOptions(migration, signal), onProgress }), { signal });
  requireRestored({ restored, failures });
  return restored;
}

function requireRestored({ failures }: RestoreResult): void {
  const [first] = failures;
  if (!first) return;
  throw new MigrationError("DefinitionNotRestored", {
    detail: failures.map(({ message }) => message).join(" "),
    ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
  });
}

/** After a cutover that was refused: what must be quiet while changes are applied is set aside once more. */
export async function deferAgain(migration: Migration, { tables }: Prepared): Promise<void> {
  const { signal, ownership, target } = migration;
  const { connectTarget } = restoreOptions(migration, signal);
  await withRetry(
    async () => {
      await withConnection(target, { purpose: "cutover refused" }, (client) =>
        inOwnedTransaction(client, ownership, () => client.query("DELETE FROM pgdms.deferred_ddl WHERE stage = 'cutover' AND is_restored")),
      );
      await deferDefinitions({
        connectTarget,
        ownership,
        tables: tables.map((table) => table.target),
        deferIndexes: false,
        signal,
      });
    },
    { signal },
  );
}
