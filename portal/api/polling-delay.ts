/** A page that nobody looks at asks this much less often. */
const hiddenFactor = 10;
/** After a failure the page waits this long, then twice as long, and so on up to the bound. */
const retryMs = 2_000;
const retryMsMax = 15_000;
/** Reading a very large task takes a while by itself: at most this share of the time is spent on it. */
const busyShareMax = 0.25;

/** The wait until the next request, in milliseconds. */
export function nextDelayMs(intervalMs: number, tookMs: number, failures: number, hidden: boolean): number {
  if (failures > 0) return Math.min(retryMsMax, retryMs * 2 ** (failures - 1));
  return Math.max(intervalMs, tookMs / busyShareMax - tookMs) * (hidden ? hiddenFactor : 1);
}
