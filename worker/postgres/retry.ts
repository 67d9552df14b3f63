import { setTimeout as sleep } from "node:timers/promises";
import { isTransient } from "./failures.ts";

const DELAY_MS_MIN = 250;
const DELAY_MS_MAX = 30_000;

/** How long to wait before attempt number `attempt` (from 1): doubles up to half a minute, with jitter so that many workers do not knock at once. */
export const backoffMs = (attempt: number, random: () => number = Math.random): number =>
  Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** Math.min(attempt, 16)) * (0.5 + random());

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Told before each wait: the reason, and how often it has failed. */
  readonly onRetry?: (thrown: unknown, attempt: number) => void;
  /** Gives up after this many attempts; without it a transient failure is tried for ever. */
  readonly attemptsMax?: number;
  readonly isRetryable?: (thrown: unknown) => boolean;
}

/**
 * Does the work again while it fails in a way that mends itself. The work must make its own connections each time: an
 * old one may carry what broke it.
 * @throws whatever the work throws that trying again cannot mend, or the signal's reason.
 */
export async function withRetry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, onRetry, attemptsMax = Infinity, isRetryable = isTransient } = options;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await work(attempt);
    } catch (thrown) {
      if (signal.aborted || attempt >= attemptsMax || !isRetryable(thrown)) throw thrown;
      onRetry?.(thrown, attempt);
      await sleep(backoffMs(attempt), undefined, { signal });
    }
  }
}
