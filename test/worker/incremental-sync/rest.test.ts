import { expect, test } from "vitest";
import { restMs } from "../../../worker/incremental-sync/rest.ts";

/** The rest that a stream comes to of which so many bytes arrive in a millisecond, and of which a connection holds so many. */
function restOf(bytesPerMs: number, heldBytesMax = Infinity): number {
  let rest = restMs(0);
  for (let n = 0; n < 10; n++) rest = restMs(Math.min(heldBytesMax, bytesPerMs * rest));
  return rest;
}

test("rests grow where much arrives, to a bound", () => {
  expect(restMs(0)).toBe(8);
  expect(restOf(5_000)).toBeGreaterThan(40);
  expect(restOf(20_000)).toBe(200);
});

test("a stream that is slow, or a connection that holds little, has short rests, whatever it had before", () => {
  expect(restOf(3_000)).toBe(8);
  expect(restOf(1_000_000, 64 * 1024)).toBe(16);
  expect(restMs(64 * 1024)).toBe(16);
});

test("a stream that waited for the target meanwhile has rested", () => {
  expect([restMs(5_000_000), restMs(5_000_000, true)]).toEqual([200, 8]);
});
