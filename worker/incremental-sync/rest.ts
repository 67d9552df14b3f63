/**
 * How long the socket of a stream that is behind rests, so that the kernels join what a walsender sends change by change: the
 * longer the rest, the more is joined. But what a connection holds while nobody reads is bounded, and its receive window need not
 * grow (tcp_rcv_space_adjust in net/ipv4/tcp_input.c): then a fixed rest is a fixed rate, however far behind the sync is. With 150 ms
 * always one drain of two took 168 s instead of 7 to 9, about 55 KB a rest; its socket was not looked at, so that this was
 * the cause is inferred. So a rest is long only where much arrived since the last one.
 */

const REST_MS_MIN = 8;
const REST_MS_MAX = 200;

/** Whatever a connection holds, rests leave the stream this much. */
const BYTES_PER_MS = 4 * 1024;

/**
 * The next rest in milliseconds.
 * @param arrivedBytes since the last one
 * @param wasHeld the target had enough to do since then, and the stream has waited for it: that was a rest, and a longer one would
 * leave the target idle.
 */
export const restMs = (arrivedBytes: number, wasHeld = false): number =>
  wasHeld ? REST_MS_MIN : Math.min(REST_MS_MAX, Math.max(REST_MS_MIN, Math.trunc(arrivedBytes / BYTES_PER_MS)));
