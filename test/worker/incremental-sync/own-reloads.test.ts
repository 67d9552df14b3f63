import { expect, test } from "vitest";
import { OwnReloads } from "../../../worker/incremental-sync/own-reloads.ts";

test("a table whose trouble comes back each time it was loaded anew waits longer and longer, up to ten minutes; others do not", () => {
  const reloads = new OwnReloads();
  const pauses: number[] = [];
  let nowMs = 0;
  for (let n = 0; n < 10; n++) {
    expect(reloads.isDue("a", nowMs)).toBe(true);
    reloads.began("a", nowMs);
    const beganMs = nowMs;
    while (!reloads.isDue("a", nowMs)) nowMs += 1_000;
    pauses.push((nowMs - beganMs) / 1_000);
    expect(reloads.isDue("b", beganMs)).toBe(true);
  }
  expect(pauses).toEqual([3, 6, 12, 24, 48, 96, 192, 384, 600, 600]);
});
