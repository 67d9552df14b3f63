/** So many answers in a row must be late before the load takes a connection back: one may be chance. */
const LATE_MIN = 2;

/** So many in a row must be well in time before it tries one more: a source that just recovered is left in peace. */
const PROMPT_MIN = 5;

/** The step in which the pace shows. */
const STEP = "loading tables";

/**
 * How many of its streams a full load uses: one less each time the source answers late, one more again when it has long
 * answered in half the time that is allowed. One stream is always left, so a load never stands still.
 */
export class LoadPace {
  readonly #latencyMsMax: number;
  readonly #streams: number;
  #allowed: number;
  #late = 0;
  #prompt = 0;

  /**
   * @param streams how many the load may use at most
   * @param latencyMsMax how long the source may take for a trivial query; 0: as long as it likes
   */
  constructor(streams: number, latencyMsMax: number) {
    this.#streams = streams;
    this.#allowed = streams;
    this.#latencyMsMax = latencyMsMax;
  }

  /** Streams that may read now, from 1 on. */
  get allowed(): number {
    return this.#allowed;
  }

  /** What the load is doing, for those who watch it. */
  get step(): string {
    return this.#allowed === this.#streams ? STEP : `${STEP} (${this.#allowed} of ${this.#streams} streams: the source answers late)`;
  }

  /** Whether somebody shows the step now. */
  isShownBy(step: string | undefined): boolean {
    return step?.startsWith(STEP) === true;
  }

  /** The source took so long for a trivial query. @returns whether another number of streams is allowed now */
  answered(latencyMs: number): boolean {
    if (this.#latencyMsMax === 0) return false;
    const before = this.#allowed;
    this.#late = latencyMs > this.#latencyMsMax ? this.#late + 1 : 0;
    this.#prompt = latencyMs <= this.#latencyMsMax / 2 ? this.#prompt + 1 : 0;
    if (this.#late >= LATE_MIN) this.#allowed = Math.max(1, this.#allowed - 1);
    else if (this.#prompt >= PROMPT_MIN) this.#allowed = Math.min(this.#streams, this.#allowed + 1);
    if (this.#allowed === before) return false;
    this.#late = 0;
    this.#prompt = 0;
    return true;
  }
}
