/**
 * How long the socket of a stream that is behind rests, so that the kernels join what a walsender sends change by change: the
 * longer the rest, the more is joined. But what a connection holds while nobody reads is bounded, and the receive window grows
 * only where more than one window is read at once (tcp_rcv_space_adjust in net/ipv4/tcp_input.c); a sender with BBR even takes
 * what is read for what the line can carry. A rest that is too long for its connection would keep the sync behind for ever
 * (measured: 168 s instead of 7 with 150 ms). So a rest is long only where much arrived since the last one.
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
