import { setTimeout as sleep } from "node:timers/promises";
import { type Part } from "./part.ts";

export interface Restart {
  readonly signal: NodeJS.Signals;
  /** How long it stays away. */
  readonly downMs: number;
}

/** A part that can be started again in its place: on the same port, with the same data. */
export class Restartable {
  /** Resolves when the part has ended and nobody wanted that. */
  readonly failed: Promise<Error>;
  readonly first: Part;
  readonly #startAgain: (first: Part) => Promise<Part>;
  readonly #signal: AbortSignal;
  #resolveFailed: (error: Error) => void = () => undefined;
  #current: Part;
  #restarting: Promise<void> | undefined;

  constructor(first: Part, startAgain: (first: Part) => Promise<Part>, signal: AbortSignal) {
    this.failed = new Promise((resolve) => (this.#resolveFailed = resolve));
    this.first = first;
    this.#current = first;
    this.#startAgain = startAgain;
    this.#signal = signal;
    this.#watch(first);
  }

  get pid(): number {
    return this.#current.pid;
  }

  /** @throws Error when it does not come up again */
  async restart(how: Restart): Promise<void> {
    this.#restarting ??= this.#restart(how).finally(() => (this.#restarting = undefined));
    await this.#restarting;
  }

  async stop(): Promise<void> {
    await this.#restarting?.catch(() => undefined); // its signal has aborted by now
    await this.#current.stop();
  }

  async #restart({ signal, downMs }: Restart): Promise<void> {
    this.#current.kill(signal);
    await this.#current.exited;
    await sleep(downMs, undefined, { signal: this.#signal });
    this.#current = await this.#startAgain(this.first);
    this.#watch(this.#current);
  }

  #watch(part: Part): void {
    void part.exited.then(({ code, signal, wasAsked }) => {
      if (wasAsked || this.#restarting) return;
      this.#resolveFailed(new Error(`${part.name} ended (${signal ?? `code ${code}`}). Its log: ${part.logFile}`));
    });
  }
}
