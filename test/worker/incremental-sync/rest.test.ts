import { expect, test } from "vitest";
import { quickestOf, restMs } from "../../../worker/incremental-sync/rest.ts";

/** The rest after so many bytes, of a stream that came no quicker before. */
const restAfter = (bytes: number, elapsedMs: number, wasHeld = false): number =>
  restMs({ bytes, quickest: quickestOf(0, bytes, elapsedMs), wasHeld });

/** The rest that a stream comes to of which so many bytes arrive in a millisecond, and of which a connection holds so many. */
function restOf(bytesPerMs: number, heldBytesMax = Infinity): number {
  let rest = restAfter(0, 0);
  for (let n = 0, quickest = 0; n < 60; n++) {
    const bytes = Math.min(heldBytesMax, bytesPerMs * rest);
    quickest = quickestOf(quickest, bytes, rest);
    rest = restMs({ bytes, quickest, wasHeld: false });
  }
  return rest;
}

test("a rest lasts until the connection is full, to a bound", () => {
  expect(restAfter(0, 0)).toBe(8);
  expect(restOf(24_000)).toBe(145);
  expect(restOf(16_000)).toBe(218);
  expect(restOf(6_000)).toBe(500);
});

test("a stream that is slow, or a connection that holds little, has short rests, whatever it had before", () => {
  expect(restOf(3_000)).toBe(8);
  expect(restOf(1_000_000, 64 * 1024)).toBe(16);
  expect(restAfter(64 * 1024, 500)).toBe(16);
});

test("a stream that waited for the target meanwhile has rested", () => {
  expect([restAfter(5_000_000, 300), restAfter(5_000_000, 300, true)]).toEqual([209, 8]);
});

test("a stream that comes in bursts rests as long as a burst takes to fill the connection, not as the average does", () => {
  const burst = quickestOf(0, 4_000_000, 160);
  const afterPause = quickestOf(burst, 100_000, 400);
  expect(restMs({ bytes: 4_000_000, quickest: afterPause, wasHeld: false })).toBe(155);
});
