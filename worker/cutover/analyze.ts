import { tableKey } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { type Prepared } from "../target/prepare.ts";

/** Sessions that analyze at once. */
const SESSIONS = 2;

/** When autovacuum would analyze a table anew, by its defaults (manual, autovacuum_analyze_threshold and …_scale_factor). */
const STALE_CHANGES_MIN = 50;
const STALE_FRACTION = 0.1;

/**
 * Keeps the target's statistics fresh: without them the first queries after the cutover crawl. All tables are analyzed
 * before the cutover is offered, so that only those that changed much since cost time while the application stands still.
 */
export class Statistics {
  readonly #migration: Migration;
  readonly #prepared: Prepared;
  /** Changes that each table had had when it was analyzed. */
  readonly #changesThen = new Map<string, number>();

  constructor(migration: Migration, prepared: Prepared) {
    this.#migration = migration;
    this.#prepared = prepared;
  }

  async analyzeAll(): Promise<void> {
    await this.#analyze(this.#prepared.tables);
  }

  async analyzeStale(): Promise<void> {
    await this.#analyze(this.#prepared.tables.filter((table) => this.#isStale(table)));
  }

  #isStale(table: ListedTable): boolean {
    const then = this.#changesThen.get(tableKey(table));
    if (then === undefined) return true;
    const rows = this.#migration.board.tableProgress(table)?.fullLoadRows ?? 0;
    return this.#changesNow(table) - then > STALE_CHANGES_MIN + STALE_FRACTION * rows;
  }

  #changesNow(table: ListedTable): number {
    const progress = this.#migration.board.tableProgress(table);
    return progress ? progress.inserts + progress.updates + progress.deletes : 0;
  }

  async #analyze(tables: readonly ListedTable[]): Promise<void> {
    const { target, ownership, signal } = this.#migration;
    // What several tables go to is analyzed once.
    const waiting = [...new Map(tables.map((table) => [tableKey(table.target), table])).values()];
    const purpose = `${ownership.taskId.slice(0, 8)} analyze`;
    const session = (): Promise<void> =>
      withConnection(target, { purpose }, async (client) => {
        for (let table = waiting.pop(); table; table = waiting.pop()) {
          signal.throwIfAborted();
          this.#changesThen.set(tableKey(table), this.#changesNow(table));
          await client.query(`ANALYZE ${quoteTable(table.target)}`);
        }
      });
    await withRetry(() => Promise.all(Array.from({ length: Math.min(SESSIONS, waiting.length) }, session)), { signal });
  }
}
