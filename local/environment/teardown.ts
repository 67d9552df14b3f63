/**
 * What was started, and how it ends: in the reverse order of the calls of start(), each step bounded by itself. One way out
 * for everything that starts several things, whether they all came up or not.
 */
export class Teardown {
  readonly #ends: { end: (() => Promise<void>) | undefined }[] = [];
  readonly #starting = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();
  #stopped: Promise<void> | undefined;

  /** Aborts when the end begins: starts that take it end at once. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /**
   * Starts something and remembers how to end it.
   * @throws what `begin` throws, or the signal's reason when the end began meanwhile
   */
  async start<T>(begin: () => Promise<T>, end: (started: T) => Promise<void>): Promise<T> {
    this.signal.throwIfAborted();
    const place: { end: (() => Promise<void>) | undefined } = { end: undefined };
    this.#ends.push(place);
    const starting = begin().then((started) => {
      place.end = () => end(started);
      return started;
    });
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** Waits for what is just starting, then ends all. May be called twice. @throws the first error of an end, after all ends */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new Error("the environment is stopping"));
    await Promise.allSettled(this.#starting);
    const failures: unknown[] = [];
    for (const { end } of this.#ends.reverse()) await end?.().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
