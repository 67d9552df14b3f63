import { setTimeout as sleep } from "node:timers/promises";
import { type Fault, FAULTS, type Stage } from "./faults.ts";

export interface StormOptions {
  readonly stage: Stage;
  /** On average. */
  readonly everyMs: number;
  readonly say: (line: string) => void;
}

/** Faults that come at random, from the whole list, until the calm. */
export class FaultStorm {
  /** How often each fault was done. */
  readonly tally = new Map<string, number>();
  readonly #options: StormOptions;
  readonly #over = new AbortController();
  readonly #busy = new Set<string>();
  readonly #spared = new Set<string>();
  readonly #ending = new Map<Fault, AbortController>();
  readonly #underWay = new Map<Promise<void>, Fault>();
  readonly #running: Promise<void>;

  constructor(options: StormOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** No more faults; resolves when all that were done are mended. */
  async calm(): Promise<void> {
    this.#over.abort();
    await this.#running;
    await Promise.all(this.#underWay.keys());
  }

  /** From now on no more of this fault; resolves when it is over. */
  async spare(name: string): Promise<void> {
    this.#spared.add(name);
    for (const [fault, ending] of this.#ending) if (fault.name === name) ending.abort();
    await Promise.all([...this.#underWay].filter(([, fault]) => fault.name === name).map(([done]) => done));
  }

  async #run(): Promise<void> {
    const { stage, everyMs } = this.#options;
    const over = this.#over.signal;
    while (!over.aborted) {
      await sleep(everyMs * (0.5 + stage.random.next()), undefined, { signal: over }).catch(() => undefined);
      if (over.aborted) return;
      const fault = stage.random.weighted(FAULTS.filter(({ name, place }) => !this.#busy.has(place) && !this.#spared.has(name)));
      if (fault) this.#begin(fault);
    }
  }

  #begin(fault: Fault): void {
    const { stage, say } = this.#options;
    this.#busy.add(fault.place);
    const ending = new AbortController();
    this.#ending.set(fault, ending);
    const signal = AbortSignal.any([stage.signal, this.#over.signal, ending.signal]);
    const started = Date.now();
    say(`fault: ${fault.name}`);
    const done = fault
      .strike({ ...stage, signal })
      .then(
        () => {
          this.tally.set(fault.name, (this.tally.get(fault.name) ?? 0) + 1);
          say(`fault over: ${fault.name}, ${((Date.now() - started) / 1000).toFixed(1)} s`);
        },
        (thrown: unknown) => say(`fault missed: ${fault.name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`),
      )
      .finally(() => {
        this.#busy.delete(fault.place);
        this.#underWay.delete(done);
      });
    this.#underWay.set(done, fault);
  }
}
