import { expect, test } from "vitest";
import { Throttle } from "../../../worker/full-load/throttle.ts";

test("streams that share it get so much together, however many they are", () => {
  const throttle = new Throttle(1_000_000);
  const freeMs = [0, 0, 0];
  let bytes = 0;
  for (let nowMs = 0; nowMs < 10_000; nowMs++)
    for (const [stream, free] of freeMs.entries()) {
      if (free > nowMs) continue;
      bytes += 20_000;
      freeMs[stream] = nowMs + throttle.restMs(20_000, nowMs);
    }
  expect(bytes / 10_000_000).toBeGreaterThan(0.98);
  expect(bytes / 10_000_000).toBeLessThan(1.02);
});

test("small stretches rest when they have added up, and a quiet time is not made good", () => {
  const throttle = new Throttle(1_000_000);
  expect([1, 2, 3, 4].map(() => throttle.restMs(1_000, 0))).toEqual([0, 0, 0, 0]);
  expect(throttle.restMs(1_000, 0)).toBe(5);
  expect(throttle.restMs(100_000, 60_000)).toBe(100);
});
