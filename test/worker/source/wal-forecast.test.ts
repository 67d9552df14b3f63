import { describe, expect, test } from "vitest";
import {
  fullInSeconds,
  growthPerSecond,
  GROWTH_WINDOW_MS,
  isOverBudget,
  levelsPassed,
  saySeconds,
  sayWal,
  walLimit,
  type WalLevel,
  type WalPoint,
  withPoint,
} from "../../../worker/source/wal-forecast.ts";

const MB = 1024 * 1024;
const none = { walBudgetMB: 0, sourceWalDiskMB: 0, onWalBudget: "warn" } as const;
const unlimited = { walHeldBytes: 10 * MB, safeWalSizeBytes: null, slotWalKeepBytes: null };

describe("the limit", () => {
  test("there is none where nobody says one", () => expect(walLimit(unlimited, none)).toBeNull());

  test("safe_wal_size goes before max_slot_wal_keep_size: what is held and what may still come", () => {
    expect(walLimit({ walHeldBytes: 10 * MB, safeWalSizeBytes: 70 * MB, slotWalKeepBytes: 64 * MB }, none)).toEqual({
      bytes: 80 * MB,
      by: "maxSlotWalKeepSize",
    });
    expect(walLimit({ walHeldBytes: 10 * MB, safeWalSizeBytes: null, slotWalKeepBytes: 64 * MB }, none)?.bytes).toBe(64 * MB);
    expect(walLimit({ walHeldBytes: 90 * MB, safeWalSizeBytes: -10 * MB, slotWalKeepBytes: 64 * MB }, none)?.bytes).toBe(80 * MB);
  });

  test("the smallest counts", () => {
    const room = { ...unlimited, slotWalKeepBytes: 500 * MB };
    expect(walLimit(room, { ...none, walBudgetMB: 400, sourceWalDiskMB: 300 })).toEqual({ bytes: 300 * MB, by: "sourceWalDisk" });
    expect(walLimit(room, { ...none, walBudgetMB: 200, sourceWalDiskMB: 300 })).toEqual({ bytes: 200 * MB, by: "walBudget" });
  });
});

/** One point every two seconds. */
const points = (count: number, heldAt: (n: number) => number): WalPoint[] =>
  Array.from({ length: count }, (_, n) => ({ timeMs: 1_000_000 + n * 2_000, walHeldBytes: heldAt(n) }));

describe("rate and forecast", () => {
  test("a steady growth is found exactly, after some time of watching", () => {
    expect(growthPerSecond(points(5, (n) => n * 2 * MB))).toBeNull();
    expect(growthPerSecond(points(100, (n) => 5 * MB + n * 2 * MB))).toBeCloseTo(MB, 3);
  });

  test("neither a burst nor a saw decides: the rate is that of minutes", () => {
    const withBurst = points(150, (n) => n * 2_000 + (n === 149 ? 20 * MB : 0));
    expect(growthPerSecond(withBurst)).toBeLessThan((20 * MB) / 60);
    const saw = growthPerSecond(points(150, (n) => (n % 10) * MB)) ?? NaN; // 512 KiB a second up, and down at once
    expect(Math.abs(saw)).toBeLessThan(0.02 * MB);
  });

  test("only the last minutes are kept, and a clock that went back forgets what is later", () => {
    let kept: WalPoint[] = [];
    for (const point of points(10_000, (n) => n)) kept = withPoint(kept, point);
    expect(kept.length).toBe(GROWTH_WINDOW_MS / 2_000);
    expect(withPoint(kept, { timeMs: 0, walHeldBytes: 1 })).toEqual([{ timeMs: 0, walHeldBytes: 1 }]);
  });

  test("full in what is left by the rate; never when it does not grow or has no limit", () => {
    const limit = { bytes: 100 * MB, by: "walBudget" } as const;
    expect(fullInSeconds(40 * MB, limit, MB)).toBe(60);
    expect(fullInSeconds(100 * MB, limit, -MB)).toBe(0);
    for (const growth of [0, -MB, null, 1]) expect(fullInSeconds(40 * MB, limit, growth)).toBeNull();
    expect(fullInSeconds(40 * MB, null, MB)).toBeNull();
  });

  test("in words", () => {
    expect(sayWal(600 * MB, { bytes: 1000 * MB, by: "maxSlotWalKeepSize" }, 12_000)).toBe(
      "It is 600 MB of 1,000 MB (max_slot_wal_keep_size of the source). At this rate it is full in 3 h 20 min.",
    );
    expect([30, 90, 3600, 12_000].map(saySeconds)).toEqual(["30 s", "2 min", "1 h 0 min", "3 h 20 min"]);
  });
});

describe("levels", () => {
  const limit = { bytes: 100 * MB, by: "walBudget" } as const;
  /** What is passed after each figure. */
  const walk = (...megabytes: number[]): WalLevel[][] => {
    let passed = new Set<WalLevel>();
    return megabytes.map((megabyte) => [...(passed = levelsPassed(megabyte * MB, limit, passed))]);
  };

  test("come in order, and go when the figure is well below", () => {
    expect(walk(49, 50, 79, 80, 71, 69, 41, 39)).toEqual([[], [50], [50], [50, 80], [50, 80], [50], [50], []]);
  });

  test("one that swings around a level is told once", () => expect(walk(50, 49, 50, 45, 51)).toEqual(Array(5).fill([50])));

  test("without a limit there are none; with one of nothing all of them", () => {
    expect(levelsPassed(MB, null, new Set([50] as const))).toEqual(new Set());
    expect(levelsPassed(0, { bytes: 0, by: "maxSlotWalKeepSize" }, new Set())).toEqual(new Set([50, 80]));
  });
});

test("the budget is over from its last byte on, and 0 is no budget", () => {
  expect(isOverBudget(10 * MB - 1, { ...none, walBudgetMB: 10 })).toBe(false);
  expect(isOverBudget(10 * MB, { ...none, walBudgetMB: 10 })).toBe(true);
  expect(isOverBudget(10 * MB, none)).toBe(false);
});
