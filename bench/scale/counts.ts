/** What was counted until some moment, by name. */
export type Totals = ReadonlyMap<string, number>;

/** Counters that only rise. */
export class Counts {
  readonly #totals = new Map<string, number>();

  add(name: string, by = 1): void {
    this.#totals.set(name, (this.#totals.get(name) ?? 0) + by);
  }

  totals(): Totals {
    return new Map(this.#totals);
  }

  /** What came since an earlier moment. */
  since(before: Totals): Totals {
    return new Map([...this.#totals].map(([name, total]) => [name, total - (before.get(name) ?? 0)]));
  }
}

/** The sum of all counters whose name one of these patterns knows. */
export const sumOf = (totals: Totals, ...names: readonly RegExp[]): number =>
  [...totals].filter(([name]) => names.some((pattern) => pattern.test(name))).reduce((sum, [, count]) => sum + count, 0);
