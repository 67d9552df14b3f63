/** Keeps count of work that is under way, so that a stop can wait for it. */
export interface Running {
  /** Passes the work through. */
  track<T>(work: Promise<T>): Promise<T>;
  /** Waits until nothing is under way; false when that takes longer than `timeoutMs`. */
  settled(timeoutMs: number): Promise<boolean>;
}

export function countRunning(): Running {
  const running = new Set<Promise<unknown>>();
  return {
    track(work) {
      running.add(work);
      const done = (): void => void running.delete(work);
      work.then(done, done);
      return work;
    },
    async settled(timeoutMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), timeoutMs)));
      const all = (async () => {
        while (running.size > 0) await Promise.allSettled(running);
        return true;
      })();
      const settled = await Promise.race([all, late]);
      clearTimeout(timer);
      return settled;
    },
  };
}

/** Passes `work` through, but rejects with `message` when it takes longer than `timeoutMs` (Infinity: no limit). It does not end the work. */
export async function within<T>(timeoutMs: number, work: Promise<T>, message: string): Promise<T> {
  if (!Number.isFinite(timeoutMs)) return work;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject(new Error(`${message} (${timeoutMs} ms)`)), timeoutMs)));
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for `work` to end, well or badly, but not longer than `timeoutMs`. */
export const bounded = (work: Promise<unknown>, timeoutMs: number): Promise<unknown> =>
  within(timeoutMs, work, "late").catch(() => undefined);
