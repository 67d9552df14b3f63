import { expect, test } from "vitest";
import { type Gathered, restMs } from "../../../worker/incremental-sync/rest.ts";

const gathered = (bytes: number, elapsedMs: number, wasHeld = false): Gathered => ({ bytes, elapsedMs, wasHeld });

/** The rest that a stream comes to of which so many bytes arrive in a millisecond, and of which a connection holds so many. */
function restOf(bytesPerMs: number, heldBytesMax = Infinity): number {
  let rest = restMs(gathered(0, 0));
  for (let n = 0; n < 20; n++) rest = restMs(gathered(Math.min(heldBytesMax, bytesPerMs * rest), rest));
  return rest;
}

test("a rest lasts until the connection is full, to a bound", () => {
  expect(restMs(gathered(0, 0))).toBe(8);
  expect(restOf(24_000)).toBe(145);
  expect(restOf(16_000)).toBe(218);
  expect(restOf(6_000)).toBe(500);
});

test("a stream that is slow, or a connection that holds little, has short rests, whatever it had before", () => {
  expect(restOf(3_000)).toBe(8);
  expect(restOf(1_000_000, 64 * 1024)).toBe(16);
  expect(restMs(gathered(64 * 1024, 500))).toBe(16);
});

test("a stream that waited for the target meanwhile has rested", () => {
  expect([restMs(gathered(5_000_000, 300)), restMs(gathered(5_000_000, 300, true))]).toEqual([210, 8]);
});
