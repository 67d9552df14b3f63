import { MigrationError, reported } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { isTransient } from "../postgres/failures.ts";
import { readStepsToFit } from "../schema/fit-table.ts";
import { type DefinitionStep } from "../schema/table-facts.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { requireOwnership } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";
import { suspend, tablesInTrouble, whySuspended, withNeighbours } from "./suspend.ts";

/**
 * What can be done about a failure of the sync that is one table's own: the source's new columns and labels are made on the
 * target, or the table is suspended, as the settings say. What is left of the failure has the exact statements.
 * @returns undefined when the sync may go on at once.
 */
export async function mend(migration: Migration, prepared: Prepared, thrown: unknown): Promise<unknown> {
  const { settings } = migration;
  const tables = tablesInTrouble(prepared, thrown);
  const [table] = tables;
  if (!table || !(thrown instanceof MigrationError)) return thrown;
  const steps = thrown.kind === "SourceTableChanged" ? await readStepsToFit(migration.source, migration.target, table) : undefined;
  const isOnlyAdditions = steps !== undefined && steps.length > 0 && steps.every(({ isAddition }) => isAddition);
  const error = steps === undefined || steps.length === 0 ? thrown : withStatements(thrown, steps);
  if (settings.followSourceDdl === "additions" && steps && isOnlyAdditions) {
    const refusal = await follow(migration, table, steps);
    if (refusal === undefined) return undefined;
    migration.log.warn({ event: "ddl.refused", err: refusal }, "a change of the source's definition could not be made on the target");
  }
  if (settings.onTableError === "stop") return error;
  const after = thrown.kind === "SourceTableChanged" ? "The table is reloaded by itself when both fit." : "Then reload the table.";
  await suspend(migration, withNeighbours(prepared.tables, tables), whySuspended(migration, error, after));
  return undefined;
}

function withStatements(error: MigrationError, steps: readonly DefinitionStep[]): MigrationError {
  const statements = steps.map(({ sql }) => `${sql};`).join(" ");
  return new MigrationError(error.kind, {
    ...error.detail,
    remedy: `On the target: ${statements} The migration goes on by itself.`,
    cause: error,
  });
}

/**
 * Makes the source's additions on the target. Not in one transaction: before PostgreSQL 12 labels cannot be added in one.
 * @returns why not, when the target refuses.
 */
async function follow(
  { target, ownership, board, log }: Migration,
  table: ListedTable,
  steps: readonly DefinitionStep[],
): Promise<unknown> {
  try {
    await withConnection(target, { purpose: "follow" }, async (client) => {
      for (const { sql } of steps) {
        await requireOwnership(client, ownership);
        await client.query(sql);
        log.info(
          { event: "ddl.followed", schema: table.schema, table: table.name, sql },
          "a change of the source's definition was followed",
        );
      }
    });
  } catch (thrown) {
    if (isTransient(thrown) || thrown instanceof MigrationError) throw thrown;
    return thrown;
  }
  const statements = steps.map(({ sql }) => `${sql};`).join(" ");
  board.finding(reported("SourceDdlFollowed", { table: displayName(table), detail: statements }));
  return undefined;
}
