import { expect, test } from "vitest";
import { haveSmallTransactions, SmallTransactions } from "../../../worker/incremental-sync/small-transactions.ts";

/** What is said at the last of so many transactions of so many changes each. */
function after(transactions: number, changesOfEach: number, isBehind = true, noticed = new SmallTransactions()): boolean {
  let isMany = false;
  for (let n = 0; n < transactions; n++) {
    for (let change = 0; change < changesOfEach; change++) noticed.change();
    isMany = noticed.committed(isBehind);
  }
  return isMany;
}

test("a backlog of small transactions is known by a thousand of them", () => {
  expect([after(999, 4), after(1_000, 4), after(1_000, 50), after(1_000, 51)]).toEqual([false, true, true, false]);
});

test("what arrives as it is committed is no backlog, however much it is, and counts for none that follows", () => {
  const noticed = new SmallTransactions();
  expect([after(5_000, 4, false, noticed), after(999, 4, true, noticed), after(1, 4, true, noticed)]).toEqual([false, false, true]);
});

test("messages with their begins and commits tell how large transactions are", () => {
  expect([haveSmallTransactions(4_000, 1_000), haveSmallTransactions(52, 1), haveSmallTransactions(53, 1)]).toEqual([true, true, false]);
  expect(haveSmallTransactions(0, 0)).toBe(false);
});
