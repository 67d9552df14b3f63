import { type Socket } from "node:net";
import { quickestOf, restMs } from "./rest.ts";
import { SocketValve } from "./socket-valve.ts";

/**
 * A turn of the event loop that brought less found the connection empty: what comes now comes change by change. More than that means
 * that more is waiting, also where it comes in pieces, a few of a receive window or of an encrypted socket at a time. To rest then
 * would be wrong twice: the sender's congestion control takes the rate at which it is read for what the path can carry (BBR), and
 * keeps to it with its send buffer full. Drains went at 4 MB/s for seconds, all of those over TLS.
 */
const DRAINED_BYTES = 8 * 1024;

/**
 * When the socket of a change stream is read. A walsender sends each change with a system call of its own. A reader that is always
 * ready makes it pay for every one; a reader that rests while the sync is behind (`rest.ts`) lets the kernel join them, and both
 * sides work a fraction for the same rows.
 */
export class ReadingPace {
  readonly #valve: SocketValve;
  #isBehind = false;
  #isHeld = false;
  #turn: NodeJS.Immediate | undefined;
  #turnBytes = 0;
  #rest: NodeJS.Timeout | undefined;
  /** The next three: since the last rest began, or since the sync fell behind. */
  #bytes = 0;
  #sinceMs = performance.now();
  #wasHeld = false;
  #quickest = 0;

  constructor(socket: Socket) {
    this.#valve = new SocketValve(socket);
  }

  /** Nothing is read at this moment. */
  get isResting(): boolean {
    return this.#valve.isClosed;
  }

  /** Whether what arrives was committed a while ago: only then does resting cost no latency. */
  setBehind(isBehind: boolean): void {
    if (isBehind && !this.#isBehind) this.#begin();
    this.#isBehind = isBehind;
  }

  /** Nothing is read until release(). */
  hold(): void {
    this.#isHeld = true;
    this.#wasHeld = true;
    this.#valve.close();
  }

  release(): void {
    this.#isHeld = false;
    if (this.#rest === undefined) this.#valve.open();
  }

  /** Tells of a read of the socket. */
  arrived(bytes: number): void {
    if (!this.#isBehind) return;
    this.#bytes += bytes;
    this.#turnBytes += bytes;
    this.#turn ??= setImmediate(() => this.#endTurn());
  }

  /** No more timers. */
  end(): void {
    clearImmediate(this.#turn);
    clearTimeout(this.#rest);
  }

  #endTurn(): void {
    const isDrained = this.#turnBytes < DRAINED_BYTES;
    this.#turn = undefined;
    this.#turnBytes = 0;
    if (!isDrained || !this.#isBehind || this.#isHeld || this.#rest !== undefined) return;
    this.#quickest = quickestOf(this.#quickest, this.#bytes, performance.now() - this.#sinceMs);
    const ms = restMs({ bytes: this.#bytes, quickest: this.#quickest, wasHeld: this.#wasHeld });
    this.#begin();
    this.#valve.close();
    this.#rest = setTimeout(() => {
      this.#rest = undefined;
      if (!this.#isHeld) this.#valve.open();
    }, ms);
  }

  #begin(): void {
    this.#bytes = 0;
    this.#sinceMs = performance.now();
    this.#wasHeld = this.#isHeld;
  }
}
