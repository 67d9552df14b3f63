import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { reported } from "../../contracts/errors.ts";
import { type ReportItem } from "../../contracts/reports.ts";
import { createLogger } from "../../worker/log.ts";
import { ProgressBoard } from "../../worker/progress-board.ts";

let told: ReportItem[][];
let board: ProgressBoard;
beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  told = [];
  const log = createLogger("silent", "test");
  board = new ProgressBoard({ databaseName: "a", targetDatabaseName: "a", send: (items) => told.push([...items]), log });
});
afterEach(() => {
  board.close();
  vi.useRealTimers();
});

/** As a source does on which only other databases are written to. */
function restless(seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    const known = board.database;
    board.change({ lagBytes: known.lagBytes + 8, walHeldBytes: known.walHeldBytes + 8, appliedLsn: `0/${second}`, xminAge: second });
    vi.advanceTimersByTime(1_000);
  }
}

test("a database in which nothing moves but what always does is reported every ten seconds", () => {
  restless(61);
  expect(told.length).toBeLessThanOrEqual(8);
  expect(told.length).toBeGreaterThanOrEqual(6);
  expect(told.at(-1)).toMatchObject([{ kind: "database", lagBytes: expect.any(Number) as number }]);
});

test("what is news is reported at once, with all that is known by then", () => {
  restless(3);
  const before = told.length;
  board.table({ schema: "public", name: "t" }, { inserts: 1 });
  vi.advanceTimersByTime(500);
  expect(told.slice(before)).toMatchObject([
    [
      { kind: "database", walHeldBytes: 24 },
      { kind: "table", inserts: 1 },
    ],
  ]);
  for (const news of [
    () => board.event("validationBegan"),
    () => board.change({ pendingChanges: 7 }),
    () => board.change({ xminAge: null }),
    () => board.finding(reported("WalHalfUsed")),
  ]) {
    const known = told.length;
    news();
    vi.advanceTimersByTime(500);
    expect(told.length, String(news)).toBe(known + 1);
  }
});

test("quiet databases of one task are reported at the same moments, those of others at other moments", () => {
  const log = createLogger("silent", "test");
  const moments = (offsetMs: number, startMs: number): number[] => {
    const found = new Set<number>();
    vi.setSystemTime(startMs);
    const send = (): void => void found.add(Math.floor(Date.now() / 500));
    const one = new ProgressBoard({ databaseName: "b", targetDatabaseName: "b", send, log, quietOffsetMs: offsetMs });
    for (let n = 0; n < 120; n++) {
      one.change({ lagBytes: n, xminAge: n });
      vi.advanceTimersByTime(500);
    }
    const all = [...found]; // before the end, which tells what waits
    one.close();
    return all.map((at) => (at * 500) % 10_000).slice(3);
  };
  const [first, sibling, other] = [moments(3_000, 100_000), moments(3_000, 204_000), moments(8_000, 100_000)];
  expect(new Set(first).size).toBe(1);
  expect(new Set([...first, ...sibling]).size).toBe(1);
  expect(other).not.toContain(first[0]);
});

test("what waits is reported at the end", () => {
  restless(3);
  const before = told.length;
  board.close();
  expect(told.slice(before)).toMatchObject([[{ kind: "database", walHeldBytes: 24 }]]);
});
