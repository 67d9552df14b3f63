const timeoutMaxMs = 2 ** 31 - 1;

/** One timer for all deadlines of the broker: a timer per message would cost more memory than the messages. */
export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  #timeMs = Infinity;
  #stopped = false;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at that time or earlier; whoever is rung sets the next time. */
  wakeAt(timeMs: number): void {
    if (timeMs >= this.#timeMs || this.#stopped) return;
    this.#clear();
    this.#timeMs = timeMs;
    const delayMs = Math.min(Math.max(timeMs - Date.now(), 0), timeoutMaxMs);
    this.#timer = setTimeout(() => {
      this.#clear();
      this.#ring();
    }, delayMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#clear();
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#timeMs = Infinity;
  }
}
