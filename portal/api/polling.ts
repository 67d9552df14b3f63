import { useEffect, useRef, useState } from "react";
import { ApiError } from "./client.ts";
import { nextDelayMs } from "./polling-delay.ts";

export interface Polled<T> {
  /** The newest answer; stays when a later request fails. */
  readonly data: T | undefined;
  readonly readAtMs: number | undefined;
  /** Why the newest request failed; undefined again with the next answer. */
  readonly error: ApiError | undefined;
  /** Asks now, not at the next interval. */
  readonly refresh: () => void;
}

/**
 * Asks again and again while the component is there. `key` names what is asked for: when it changes, everything known
 * is forgotten. `intervalMs` 0 asks once, and again on `refresh()`.
 */
export function usePolled<T>(key: string, intervalMs: number, load: (signal: AbortSignal) => Promise<T>): Polled<T> {
  const [state, setState] = useState<{ key: string; data?: T; readAtMs?: number; error?: ApiError }>({ key });
  const newestLoad = useRef(load);
  const wake = useRef<() => void>(() => undefined);
  useEffect(() => {
    newestLoad.current = load;
  });
  useEffect(() => {
    const controller = new AbortController();
    void poll(
      (signal) => newestLoad.current(signal),
      intervalMs,
      {
        answered: (data) => setState({ key, data, readAtMs: Date.now() }),
        failed: (error) => setState((known) => (known.key === key ? { ...known, error } : { key, error })),
        sleeping: (awake) => (wake.current = awake),
      },
      controller.signal,
    );
    return () => controller.abort();
  }, [key, intervalMs]);
  const current = state.key === key ? state : { key };
  return { data: current.data, readAtMs: current.readAtMs, error: current.error, refresh: () => wake.current() };
}

interface PollEvents<T> {
  readonly answered: (data: T) => void;
  readonly failed: (error: ApiError) => void;
  /** Before each wait: how to end it early. */
  readonly sleeping: (awake: () => void) => void;
}

async function poll<T>(
  load: (signal: AbortSignal) => Promise<T>,
  intervalMs: number,
  on: PollEvents<T>,
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const beganMs = performance.now();
    try {
      const data = await load(signal);
      if (signal.aborted) return;
      failures = 0;
      on.answered(data);
    } catch (error) {
      if (signal.aborted) return;
      failures += 1;
      on.failed(error instanceof ApiError ? error : new ApiError(-1, { code: "PageError", message: String(error) }));
    }
    const tookMs = performance.now() - beganMs;
    const once = intervalMs === 0 && failures === 0;
    await sleep(once ? undefined : nextDelayMs(intervalMs, tookMs, failures, document.hidden), on.sleeping, signal);
  }
}

/** Waits; ends early when asked to, when the page is looked at again, or when the network is back. */
function sleep(delayMs: number | undefined, sleeping: (awake: () => void) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = delayMs === undefined ? undefined : setTimeout(done, delayMs);
    const shown = () => (delayMs !== undefined && !document.hidden ? done() : undefined);
    function done(): void {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    }
    document.addEventListener("visibilitychange", shown);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
    sleeping(done);
  });
}
