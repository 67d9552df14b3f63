/** The first pause, which is doubled each time. */
const PAUSE_MS_MIN = 3_000;

/** The longest pause between two loads of a table by itself. */
const PAUSE_MS_MAX = 600_000;

/**
 * How often tables were loaded anew without anybody's asking, and when that may be the next time: one whose trouble comes back
 * although its definition looks well is not loaded again and again without a pause.
 */
export class OwnReloads {
  readonly #byTable = new Map<string, { readonly count: number; readonly notBeforeMs: number }>();

  /** Whether the table, by tableKey, may be looked at already. */
  isDue(key: string, nowMs: number): boolean {
    return nowMs >= (this.#byTable.get(key)?.notBeforeMs ?? 0);
  }

  /** The table is loaded now. */
  began(key: string, nowMs: number): void {
    const count = this.#byTable.get(key)?.count ?? 0;
    this.#byTable.set(key, { count: count + 1, notBeforeMs: nowMs + Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** count) });
  }
}
