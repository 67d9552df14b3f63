import type pg from "pg";
import { tableKey } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteTable } from "../postgres/quote.ts";
import { inOwnedTransaction, type Ownership } from "../target/ownership.ts";
import { enterParts } from "./ledger.ts";
import { type LoadTable, type TablePlan } from "./plan.ts";
import { type LoadDecision } from "./resume.ts";

/** A table that is emptied is locked with its indexes and its TOAST table; the server's locks are for all sessions together. */
const EMPTIED_PER_TRANSACTION = 50;

/**
 * Enters into the ledger what is about to be loaded, and empties what must be empty, each table in the transaction that
 * enters what goes to it: after a crash either both happened or neither.
 * @throws MigrationError LostOwnership.
 */
export async function prepareLoad(target: pg.ClientBase, ownership: Ownership, decision: LoadDecision): Promise<void> {
  for (const { enter, empty } of batches(decision)) {
    await inOwnedTransaction(target, ownership, async () => {
      await emptyTables(target, empty);
      await enterParts(target, enter);
    });
    await passing("parts-entered");
  }
}

/** What goes to an emptied target is entered along with it; what goes to none needs no locks and comes last, at once. Pure. */
function batches({ enter, empty }: LoadDecision): Pick<LoadDecision, "enter" | "empty">[] {
  const targetOf = ({ target }: LoadTable): string => tableKey(target);
  const batchOf = new Map(empty.map((table, index) => [targetOf(table), Math.floor(index / EMPTIED_PER_TRANSACTION)]));
  const count = Math.ceil(empty.length / EMPTIED_PER_TRANSACTION) + 1;
  const packed = Array.from({ length: count }, () => ({ enter: [] as TablePlan[], empty: [] as LoadTable[] }));
  for (const table of empty) packed[batchOf.get(targetOf(table)) ?? 0]?.empty.push(table);
  for (const plan of enter) packed[batchOf.get(targetOf(plan.table)) ?? count - 1]?.enter.push(plan);
  return packed.filter((batch) => batch.enter.length + batch.empty.length > 0);
}

/** feature_not_supported: a table is referenced by a foreign key of a table that is not truncated along with it. */
const TRUNCATE_REFUSED = "0A000";

/** Inside a transaction. */
async function emptyTables(target: pg.ClientBase, tables: readonly LoadTable[]): Promise<void> {
  if (tables.length === 0) return;
  const names = tables.map((table) => `${table.isTargetPartitioned ? "" : "ONLY "}${quoteTable(table.target)}`);
  await target.query("SAVEPOINT pgdms_truncate");
  try {
    await target.query(`TRUNCATE ${names.join(", ")}`);
  } catch (thrown) {
    if (failureCode(thrown) !== TRUNCATE_REFUSED) throw thrown;
    await target.query("ROLLBACK TO SAVEPOINT pgdms_truncate");
    for (const name of names) await target.query(`DELETE FROM ${name}`);
  }
}
