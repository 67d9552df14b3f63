/**
 * How long the socket of a stream that is behind rests, so that the kernels join what a walsender sends change by change. The
 * sender's kernel joins what the receive window has no room for; what fits goes out message by message, which costs both sides
 * several times as much. So a rest is as long as the source takes to fill what a connection holds; longer would make it wait.
 */

const REST_MS_MIN = 8;
const REST_MS_MAX = 500;

/** Somewhat less than the 4 MiB that a sender's kernel holds by default on Linux (tcp_wmem in tcp(7)): while we rest it is quicker than on average. */
const HELD_BYTES = 3_500_000;

/**
 * Whatever a connection holds, rests leave the stream this much: where little arrives (a proxy with small buffers, a window that
 * does not grow) they are short.
 */
const BYTES_PER_MS = 4 * 1024;

/** A rate that was seen once counts for so much less with each rest that follows. */
const FADING = 0.9;

/** What came since the last rest began. */
export interface Gathered {
  readonly bytes: number;
  /** The quickest that it came lately, in bytes per millisecond. */
  readonly quickest: number;
  /** The target had enough to do meanwhile, and the stream has waited for it: that was a rest, and a longer one would leave the target idle. */
  readonly wasHeld: boolean;
}

/**
 * The quickest that a stream comes, from what was known and what came since. A source that gathers a piece of a large transaction
 * sends nothing for a while, and then much quicker than on average: rests by the average would make it wait each time.
 */
export const quickestOf = (known: number, bytes: number, elapsedMs: number): number =>
  Math.max(known * FADING, bytes / Math.max(1, elapsedMs));

/** The next rest in milliseconds. */
export function restMs({ bytes, quickest, wasHeld }: Gathered): number {
  if (wasHeld) return REST_MS_MIN;
  const untilFull = HELD_BYTES / Math.max(1, quickest);
  return Math.trunc(Math.max(REST_MS_MIN, Math.min(REST_MS_MAX, untilFull, bytes / BYTES_PER_MS)));
}
