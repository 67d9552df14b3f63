import { type AddressInfo, type Server } from "node:net";

/** Something between two parts that counts what passes. */
export interface Counting {
  /** Where it listens, on 127.0.0.1. */
  readonly port: number;
  close(): Promise<void>;
}

/** @param endConnections cuts off those that are open, at the end */
export async function startCounting(server: Server, endConnections: () => void): Promise<Counting> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        endConnections();
      }),
  };
}

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
