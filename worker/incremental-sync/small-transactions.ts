/** So many transactions show what a backlog is made of. */
const TRANSACTIONS_MIN = 1_000;

/** Of a small transaction. Larger ones leave the stream fast enough, and by SQL a whole one waits on the source's disk. */
const SMALL_CHANGES_MAX = 50;

/** Whether messages of pgoutput, with their begins and commits, are those of small transactions. */
export const haveSmallTransactions = (messages: number, commits: number): boolean =>
  commits > 0 && messages <= commits * (SMALL_CHANGES_MAX + 2);

/** The stream was ended, because what it brings is read faster by SQL. Everything that had arrived is applied. */
export class ManySmallTransactions extends Error {
  constructor() {
    super("the backlog is one of many small transactions");
    this.name = "ManySmallTransactions";
  }
}

/** Notices, from what a stream brings, a backlog of many small transactions. */
export class SmallTransactions {
  #transactions = 0;
  #changes = 0;

  change(): void {
    this.#changes++;
  }

  /**
   * Tells of a transaction's end.
   * @param isBehind it was committed a while ago.
   * @returns whether those since the sync fell behind are many, and small.
   */
  committed(isBehind: boolean): boolean {
    if (!isBehind) this.#transactions = this.#changes = 0;
    else this.#transactions++;
    return this.#transactions >= TRANSACTIONS_MIN && this.#changes <= this.#transactions * SMALL_CHANGES_MAX;
  }
}
