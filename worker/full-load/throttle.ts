import { setTimeout as sleep } from "node:timers/promises";

/** Shorter rests are not worth a timer: they add up until they are. */
const REST_MS_MIN = 5;

/** Holds all that share it together to so many bytes a second. What was not used is not saved up for later. */
export class Throttle {
  readonly #bytesPerMs: number;
  /** When all that went through so far would be through at the wanted rate. */
  #paidUntilMs = -Infinity;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** How long whoever has just passed so many bytes must rest. */
  restMs(bytes: number, nowMs: number): number {
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs) + bytes / this.#bytesPerMs;
    const restMs = this.#paidUntilMs - nowMs;
    return restMs < REST_MS_MIN ? 0 : restMs;
  }
}

/** What a copy asks after every stretch of data; undefined without a limit. */
export function throttleOf(megabytesPerSecond: number): ((bytes: number) => Promise<void> | undefined) | undefined {
  if (megabytesPerSecond === 0) return undefined;
  const throttle = new Throttle(megabytesPerSecond * 1024 * 1024);
  return (bytes) => {
    const restMs = throttle.restMs(bytes, performance.now());
    return restMs === 0 ? undefined : sleep(restMs);
  };
}
