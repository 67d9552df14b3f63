import { expect, test } from "vitest";
import { LoadPace } from "../../../worker/source/pace.ts";

const after = (pace: LoadPace, ...latencies: number[]): number[] =>
  latencies.map((latencyMs) => {
    pace.answered(latencyMs);
    return pace.allowed;
  });

test("a source that answers late twice in a row takes a stream away, each time again, but never the last one", () => {
  const pace = new LoadPace(3, 100);
  expect(after(pace, 500, 90, 500, 90)).toEqual([3, 3, 3, 3]);
  expect(after(pace, 101, 101, 101, 101, 101, 101)).toEqual([3, 2, 2, 1, 1, 1]);
  expect(pace.step).toBe("loading tables (1 of 3 streams: the source answers late)");
});

test("streams come back one by one while it answers in half the time, and not while it is just in time", () => {
  const pace = new LoadPace(3, 100);
  after(pace, 101, 101, 101, 101);
  expect(after(pace, 50, 50, 50, 50, 51, 50, 50, 50, 50, 50)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
  expect(after(pace, ...Array.from({ length: 12 }, () => 10)).at(-1)).toBe(3);
  expect(pace.step).toBe("loading tables");
});

test("without a limit nothing is late", () => {
  const pace = new LoadPace(4, 0);
  expect(after(pace, 1e6, 1e6, 1e6)).toEqual([4, 4, 4]);
});
