import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { withClient } from "../postgres/with-client.ts";
import { largeTransaction, transactionKinds, type Pick, type Ranges, type Run, type TransactionKind } from "./transactions.ts";

/** Of its sessions. */
const NAME = "listdb writer";

export interface WriterOptions {
  /** postgresql://…/listdb */
  readonly url: string;
  readonly connections?: number;
  /** Between two transactions of one connection. */
  readonly pauseMs?: number;
  /** The same seed chooses the same transactions. */
  readonly seed?: number;
}

/** What the writer has committed. Rows that triggers and cascades change are not counted. */
export interface WriterCounts {
  readonly transactions: number;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  /** Transactions that lost against another one and were tried again. */
  readonly retried: number;
}

const none: WriterCounts = { transactions: 0, inserts: 0, updates: 0, deletes: 0, retried: 0 };

/** On the transaction's own session: a sync that follows closely is done with it before another session is open. */
const UNREAD_SQL =
  "SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)), 0)::float8 AS bytes FROM pg_replication_slots";

/** deadlock_detected, serialization_failure, and unique_violation: two users were at the same thing. */
const passing = new Set(["40P01", "40001", "23505"]);

const totalWeight = transactionKinds.reduce((sum, { weight }) => sum + weight, 0);

/** The users of listdb: several connections that keep changing it until they are told to stop. */
export class Writer {
  readonly #options: Required<WriterOptions>;
  readonly #connections: Promise<void>[] = [];
  readonly #stopping = new AbortController();
  readonly #kinds = new Map<string, number>();
  #counts = none;
  #resume: { promise: Promise<void>; resolve: () => void } | undefined;
  #failure: Error | undefined;

  private constructor(options: WriterOptions) {
    this.#options = { connections: 3, pauseMs: 12, seed: 1, ...options };
  }

  /** Connects and begins to write. @throws what connecting throws */
  static async start(options: WriterOptions): Promise<Writer> {
    const writer = new Writer(options);
    const ranges = await readRanges(options.url);
    for (let index = 0; index < writer.#options.connections; index++) writer.#connections.push(writer.#write(index, ranges));
    return writer;
  }

  /** Committed so far. */
  get counts(): WriterCounts {
    return this.#counts;
  }

  /** Committed transactions by what they do. */
  get byKind(): ReadonlyMap<string, number> {
    return this.#kinds;
  }

  /** What ended a connection before it was told to stop. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Lets the transactions that run commit and begins no other until resume(). */
  pause(): void {
    let resolve = (): void => undefined;
    const promise = new Promise<void>((done) => (resolve = done));
    this.#resume ??= { promise, resolve };
  }

  resume(): void {
    this.#resume?.resolve();
    this.#resume = undefined;
  }

  /** Lets the transactions that run commit, closes the connections, and answers what was committed. May be called twice. */
  async stop(): Promise<WriterCounts> {
    this.#stopping.abort();
    this.resume();
    await Promise.all(this.#connections);
    return this.#counts;
  }

  async #write(index: number, ranges: Ranges): Promise<void> {
    const { url, pauseMs, seed } = this.#options;
    const { signal } = this.#stopping;
    const pick = seeded(seed * 1000 + index);
    try {
      await withClient(url, NAME, async (client) => {
        while (!signal.aborted) {
          if (this.#resume) await this.#resume.promise;
          else await this.#transact(client, choose(pick), pick, ranges);
          await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
        }
      });
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(String(error));
    }
  }

  async #transact(client: pg.Client, kind: TransactionKind, pick: Pick, ranges: Ranges): Promise<void> {
    const changed = { inserts: 0, updates: 0, deletes: 0 };
    const run: Run = async (change, text, values = []) => {
      const { rowCount } = await client.query(text, [...values]);
      changed[change] += rowCount ?? 0;
      return rowCount ?? 0;
    };
    try {
      await client.query("BEGIN");
      await kind.work(run, pick, ranges);
      await client.query("COMMIT");
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && passing.has(error.code ?? ""))) throw error;
      await client.query("ROLLBACK");
      this.#counts = { ...this.#counts, retried: this.#counts.retried + 1 };
      return;
    }
    this.#add(changed);
    this.#kinds.set(kind.name, (this.#kinds.get(kind.name) ?? 0) + 1);
  }

  #add({ inserts, updates, deletes }: Changed): void {
    const { transactions, retried, ...rows } = this.#counts;
    this.#counts = {
      transactions: transactions + 1,
      retried,
      inserts: rows.inserts + inserts,
      updates: rows.updates + updates,
      deletes: rows.deletes + deletes,
    };
  }

  /** One large transaction at once. Answers how many rows it changed, and how much WAL nobody had followed a moment after its commit. */
  async large(): Promise<{ readonly updates: number; readonly unreadBytes: number }> {
    return await withClient(this.#options.url, NAME, async (client) => {
      const updates = await largeTransaction(client);
      const { rows } = await client.query<{ bytes: number }>(UNREAD_SQL);
      this.#add({ inserts: 0, updates, deletes: 0 });
      return { updates, unreadBytes: rows[0]?.bytes ?? 0 };
    });
  }
}

/** What one transaction changed. */
interface Changed {
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
}

/** Rows that were changed between two looks at the counts. */
export const changedRows = (from: WriterCounts, to: WriterCounts): number =>
  to.inserts + to.updates + to.deletes - (from.inserts + from.updates + from.deletes);

function choose(pick: Pick): TransactionKind {
  let place = pick(totalWeight);
  for (const kind of transactionKinds) if ((place -= kind.weight) <= 0) return kind;
  throw new Error("the weights of the transactions do not add up");
}

/** Numbers from 1 to a maximum, the same for the same seed (mulberry32). */
function seeded(seed: number): Pick {
  let state = seed >>> 0;
  return (max) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return 1 + Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * max);
  };
}

const readRanges = (url: string): Promise<Ranges> =>
  withClient(url, NAME, async (client) => {
    const { rows } = await client.query<Ranges>(`
      SELECT (SELECT max(id) FROM accounts)::int AS accounts, (SELECT max(id) FROM lists)::int AS lists,
             (SELECT max(id) FROM items)::int AS items, (SELECT max(id) FROM labels)::int AS labels`);
    if (!rows[0]) throw new Error("listdb has no rows");
    return rows[0];
  });
