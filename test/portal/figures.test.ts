import { expect, test } from "vitest";
import { formatBytes, formatDuration, formatPercent, formatPerSecond, secondsBetween } from "../../portal/figures/format.ts";
import { HISTORY_SAMPLES_MAX, keepUnchanged, withSample, type Sample } from "../../portal/figures/history.ts";
import { ratePerSecond, rateSeries, timeLeft, walForecast } from "../../portal/figures/rates.ts";
import { tableOutput } from "./scripted/outputs.ts";

const sample = (seconds: number, part: Partial<Sample> = {}): Sample => ({
  timeMs: seconds * 1000,
  loadedRows: 0,
  loadedBytes: 0,
  appliedChanges: 0,
  pendingChanges: 0,
  lagBytes: 0,
  latencySeconds: 0,
  walHeldBytes: 0,
  ...part,
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.50 KB"],
  [10_485_760, "10.0 MB"],
  [1_610_612_736, "1.50 GB"],
])("%d bytes are shown as %s", (bytes, shown) => expect(formatBytes(bytes)).toBe(shown));

test.each([
  [0.25, "250 ms"],
  [3.21, "3.2 s"],
  [59, "59 s"],
  [60, "1 min"],
  [412, "6 min 52 s"],
  [7_500, "2 h 5 min"],
  [90_000, "1 d 1 h"],
])("%d seconds are shown as %s", (seconds, shown) => expect(formatDuration(seconds)).toBe(shown));

test("100 % is said when it is done, not when it is rounded", () => {
  expect([0, 0.456, 0.999, 1].map(formatPercent)).toEqual(["0%", "46%", "99%", "100%"]);
});

test("small rates keep a digit, so that a trickle is not shown as nothing", () => {
  expect([0, 0.4, 12.6, 1234].map(formatPerSecond)).toEqual(["0/s", "0.4/s", "13/s", "1,234/s"]);
});

test("what never began has no duration, and what runs lasts until now", () => {
  expect(secondsBetween(null, null, 0)).toBeUndefined();
  expect(secondsBetween("2026-01-01T00:00:00Z", null, Date.parse("2026-01-01T00:01:00Z"))).toBe(60);
});

test("a rate is the growth over the window, not over all that is known", () => {
  const history = [sample(0), sample(100, { loadedRows: 1 }), sample(110, { loadedRows: 1001 })];
  expect(ratePerSecond(history, "loadedRows")).toBe(100);
  expect(ratePerSecond([sample(0)], "loadedRows")).toBeUndefined();
});

test("a counter that went back gives a gap in the chart, not a negative rate", () => {
  const history = [sample(0, { loadedRows: 50 }), sample(1, { loadedRows: 60 }), sample(2, { loadedRows: 0 })];
  expect(rateSeries(history, "loadedRows")).toEqual([null, 10, null]);
});

test("the time left of a steady load is exact, and that of an uneven one is a range around the middle", () => {
  const steady = Array.from({ length: 10 }, (_, index) => sample(index, { loadedBytes: index * 100 }));
  expect(timeLeft(steady, 1900)).toEqual({ seconds: 10, fromSeconds: 10, untilSeconds: 10 });
  const uneven = steady.map((one, index) => ({ ...one, loadedBytes: index * 100 + (index % 2) * 60 }));
  const left = timeLeft(uneven, 2000);
  expect(left?.fromSeconds).toBeLessThan(left?.seconds ?? 0);
  expect(left?.untilSeconds).toBeGreaterThan(left?.seconds ?? 0);
});

test("nothing is foretold from too little, from a load that stands still, or beyond the end", () => {
  const still = Array.from({ length: 10 }, (_, index) => sample(index, { loadedBytes: 100 }));
  expect(timeLeft(still.slice(0, 2), 1000)).toBeUndefined();
  expect(timeLeft(still, 1000)).toBeUndefined();
  const over = still.map((one, index) => ({ ...one, loadedBytes: index * 1000 }));
  expect(timeLeft(over, 1000)).toBeUndefined();
});

test("WAL that grows is forecast, and WAL that shrinks never falls below nothing", () => {
  const growing = Array.from({ length: 10 }, (_, index) => sample(index, { walHeldBytes: 1000 + index * 10 }));
  expect(walForecast(growing)).toEqual({ growthBytesPerSecond: 10, inOneHourBytes: 1090 + 36_000 });
  const shrinking = growing.map((one, index) => ({ ...one, walHeldBytes: 1000 - index * 10 }));
  expect(walForecast(shrinking)).toEqual({ growthBytesPerSecond: -10, inOneHourBytes: 0 });
});

test("a page that is open for days keeps a bounded history from the first moment on", () => {
  let history: readonly Sample[] = [];
  for (let second = 0; second < 10_000; second++) history = withSample(history, sample(second));
  expect(history.length).toBeLessThanOrEqual(HISTORY_SAMPLES_MAX);
  expect(history[0]?.timeMs).toBe(0);
  expect(history.at(-1)?.timeMs).toBe(9_999_000);
});

test("tables that did not change stay the same objects, and the others do not", () => {
  const before = [tableOutput("db", "a", {}), tableOutput("db", "b", {})];
  const now = [tableOutput("db", "a", {}), tableOutput("db", "b", { fullLoadTotalRows: 1 })];
  const kept = keepUnchanged(before, now);
  expect(kept[0]).toBe(before[0]);
  expect(kept[1]).toBe(now[1]);
});
