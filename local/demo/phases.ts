import { type Phase } from "../watch.ts";
import { changedRows, type WriterCounts } from "../sample/writer.ts";

/** How long a phase took, and what the writer changed meanwhile. */
export interface PhaseRecord {
  readonly name: Phase;
  readonly durationMs: number;
  readonly writerRows: number;
}

/** Follows a migration from phase to phase. A phase that came and went between two looks is not seen. */
export class PhaseLog {
  readonly #now: () => number;
  readonly #counts: () => WriterCounts;
  readonly #records: PhaseRecord[] = [];
  #current: { readonly name: Phase; readonly beganMs: number; readonly counts: WriterCounts } | undefined;

  constructor(now: () => number, counts: () => WriterCounts) {
    this.#now = now;
    this.#counts = counts;
  }

  /** All that are over. */
  get records(): readonly PhaseRecord[] {
    return this.#records;
  }

  /** Says which phase it is now; the one before has ended if it was another. */
  enter(name: Phase): void {
    if (this.#current?.name === name) return;
    this.#end();
    this.#current = { name, beganMs: this.#now(), counts: this.#counts() };
  }

  close(): void {
    this.#end();
    this.#current = undefined;
  }

  #end(): void {
    if (!this.#current) return;
    const { name, beganMs, counts } = this.#current;
    this.#records.push({ name, durationMs: this.#now() - beganMs, writerRows: changedRows(counts, this.#counts()) });
  }
}
