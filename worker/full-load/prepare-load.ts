import type pg from "pg";
import { passing } from "../fault-points.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteTable } from "../postgres/quote.ts";
import { inOwnedTransaction, type Ownership } from "../target/ownership.ts";
import { enterParts } from "./ledger.ts";
import { type LoadTable } from "./plan.ts";
import { type LoadDecision } from "./resume.ts";

/**
 * Enters into the ledger what is about to be loaded, and empties what must be empty, in one transaction: after a crash
 * either both happened or neither.
 * @throws MigrationError LostOwnership.
 */
export async function prepareLoad(target: pg.ClientBase, ownership: Ownership, decision: LoadDecision): Promise<void> {
  if (decision.enter.length === 0 && decision.empty.length === 0) return;
  await inOwnedTransaction(target, ownership, async () => {
    await emptyTables(target, decision.empty);
    await enterParts(target, decision.enter);
  });
  await passing("parts-entered");
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
