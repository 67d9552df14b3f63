import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import pg from "pg";
import { createSql, history, operationSql, resetSql, tableShape, type TableShape, TYPES_SQL, type Step } from "../fidelity/history.ts";
import { Random } from "./random.ts";

/** Rows at the start: enough that the load is under way when something happens to it. */
export interface WorkloadSize {
  readonly accounts: number;
  /** Of about 500 bytes each. */
  readonly bulkRows: number;
}

const BRANCHES = 10;
const TELLERS = 100;
const BANK_CONNECTIONS = 3;
const PAUSE_MS = 25;
/** A server that is being restarted is asked again after this. */
const RECONNECT_MS = 200;
/** Both sessions of the histories are driven by one loop, so they must not wait for each other for long. */
const LOCK_TIMEOUT = "50ms";

/** What a bank keeps, as in pgbench, with a key for most and none for the history; and a table that is large. */
const BANK_SQL = `
  CREATE TABLE branches (bid int PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, filler char(20));
  CREATE TABLE tellers (tid int PRIMARY KEY, bid int NOT NULL REFERENCES branches, balance bigint NOT NULL DEFAULT 0);
  CREATE TABLE accounts (aid int PRIMARY KEY, bid int NOT NULL REFERENCES branches, balance bigint NOT NULL DEFAULT 0, note text UNIQUE);
  CREATE INDEX accounts_balance ON accounts (balance);
  CREATE TABLE moves (tid int, aid int, delta bigint, at timestamptz DEFAULT clock_timestamp(), note text);
  CREATE SEQUENCE receipts INCREMENT 7;
  CREATE TABLE orders (id bigserial PRIMARY KEY, receipt bigint DEFAULT nextval('receipts'), aid int, lines jsonb, paid numeric(12,4));
  CREATE TABLE bulk (id bigint PRIMARY KEY, grp int, body text);
  CREATE INDEX bulk_grp ON bulk (grp);
  CREATE FUNCTION note_order() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE accounts SET balance = balance WHERE aid = NEW.aid; RETURN NEW; END $$;
  CREATE TRIGGER note_order AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note_order();`;

const fillSql = ({ accounts, bulkRows }: WorkloadSize): string => `
  INSERT INTO branches (bid) SELECT generate_series(1, ${BRANCHES});
  INSERT INTO tellers (tid, bid) SELECT g, 1 + g % ${BRANCHES} FROM generate_series(1, ${TELLERS}) g;
  INSERT INTO accounts (aid, bid, note) SELECT g, 1 + g % ${BRANCHES}, 'account ' || g FROM generate_series(1, ${accounts}) g;
  INSERT INTO bulk SELECT g, g % 100, repeat(md5(g::text), 15) FROM generate_series(1, ${bulkRows}) g;`;

/** What was written. Rows that triggers change are not counted. */
export interface Written {
  readonly transactions: number;
  /** Transactions that the source refused, or that broke with their connection. */
  readonly failed: number;
}

/** An application that goes on writing whatever happens to its database: a bank, and random histories on random tables. */
export class Workload {
  readonly #url: string;
  readonly #size: WorkloadSize;
  readonly #seed: number;
  readonly #shapes: readonly TableShape[];
  readonly #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #transactions = 0;
  #failed = 0;

  constructor(url: string, size: WorkloadSize, seed: number) {
    this.#url = url;
    this.#size = size;
    this.#seed = seed;
    const [shapes] = fc.sample(fc.array(tableShape(false), { minLength: 4, maxLength: 6 }), { seed, numRuns: 1 });
    this.#shapes = shapes ?? [];
  }

  /** Statements that make everything, for the source and for a target whose schema is made by hand. */
  get schemaSql(): string {
    return [BANK_SQL, TYPES_SQL, ...this.#shapes.map(createSql)].join(";\n");
  }

  /** Makes schema and rows. */
  async create(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#url });
    await client.connect();
    try {
      await client.query(this.schemaSql);
      await client.query(fillSql(this.#size));
      await client.query(resetSql(this.#shapes));
      await client.query("ANALYZE");
    } finally {
      await client.end();
    }
  }

  start(): void {
    const bank = Array.from({ length: BANK_CONNECTIONS }, (_, n) =>
      this.#forEver((client) => this.#bank(client, new Random(this.#seed + n))),
    );
    this.#running = Promise.all([...bank, this.#histories()]);
  }

  /** Lets what runs commit, and ends. */
  async stop(): Promise<Written> {
    this.#stopping.abort();
    await this.#running;
    return { transactions: this.#transactions, failed: this.#failed };
  }

  /** So many transactions of the bank, after the others have stopped; whatever becomes of the server, they are made. */
  async more(transactions: number): Promise<void> {
    const random = new Random(this.#seed - 1);
    for (let left = transactions; left > 0;) {
      try {
        await withClient(this.#url, async (client) => {
          for (; left > 0; left--) await client.query(`BEGIN; ${this.#transaction(random)}; COMMIT`);
        });
      } catch {
        await sleep(RECONNECT_MS);
      }
    }
  }

  /** Works on one connection after the other. */
  async #forEver(work: (client: pg.Client) => Promise<void>): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await withClient(this.#url, work);
      } catch {
        this.#failed++;
        await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #bank(client: pg.Client, random: Random): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await client.query("BEGIN");
      try {
        await client.query(this.#transaction(random));
        await client.query("COMMIT");
        this.#transactions++;
      } catch (thrown) {
        this.#failed++;
        await client.query("ROLLBACK"); // throws when the connection is gone, and a new one is made
        if (!(thrown instanceof pg.DatabaseError)) throw thrown;
      }
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  #transaction(random: Random): string {
    const { accounts, bulkRows } = this.#size;
    const [aid, tid, delta] = [random.between(1, accounts), random.between(1, TELLERS), random.between(-5_000, 5_000)];
    const move = `
      UPDATE accounts SET balance = balance + ${delta} WHERE aid = ${aid};
      UPDATE tellers SET balance = balance + ${delta} WHERE tid = ${tid};
      UPDATE branches SET balance = balance + ${delta} WHERE bid = 1 + ${tid} % ${BRANCHES};
      INSERT INTO moves (tid, aid, delta, note) VALUES (${tid}, ${aid}, ${delta}, repeat('n', ${random.between(0, 200)}))`;
    const kind = random.between(1, 100);
    if (kind <= 70) return move;
    if (kind <= 80)
      return `INSERT INTO orders (aid, lines, paid) SELECT ${aid}, jsonb_build_object('n', g), g / 3.0 FROM generate_series(1, 5) g`;
    if (kind <= 86) return `UPDATE bulk SET grp = grp + 1 WHERE id = ${random.between(1, bulkRows)}`;
    if (kind <= 90) return `DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY id LIMIT 3)`;
    if (kind <= 94)
      return `UPDATE accounts SET note = note || '.' WHERE aid = ${aid}; SAVEPOINT s; DELETE FROM tellers; ROLLBACK TO s; ${move}`;
    if (kind <= 96) return `UPDATE moves SET note = 'corrected' WHERE ctid = (SELECT max(ctid) FROM moves)`;
    if (kind <= 98) return `UPDATE bulk SET body = reverse(body) WHERE id BETWEEN ${aid} AND ${aid + 300}`;
    if (kind <= 99)
      return `DELETE FROM bulk WHERE id = ${bulkRows + aid}; INSERT INTO bulk VALUES (${bulkRows + aid}, 0, repeat('x', 30000))`;
    return `UPDATE accounts SET balance = balance WHERE aid BETWEEN ${aid} AND ${aid + 3_000}`;
  }

  /** Random histories of two sessions on the random tables, one after the other. */
  async #histories(): Promise<void> {
    const seeds = new Random(this.#seed);
    const { signal } = this.#stopping;
    await this.#forEver((one) =>
      withClient(this.#url, async (other) => {
        for (const session of [one, other]) await session.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`);
        while (!signal.aborted) {
          const [steps] = fc.sample(history, { seed: seeds.between(1, 2 ** 31), numRuns: 1 });
          await this.#play([one, other], steps ?? []);
          if (seeds.between(1, 20) === 1) await one.query(resetSql(this.#shapes)).catch(() => one.query("ROLLBACK"));
          await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
        }
      }),
    );
  }

  async #play(sessions: readonly pg.Client[], steps: readonly Step[]): Promise<void> {
    for (const { session: n, act } of steps) {
      const session = sessions[n] as pg.Client;
      if (act === "commit" || act === "rollback") {
        await session.query(act).catch(() => session.query("ROLLBACK"));
        continue;
      }
      await session.query("BEGIN; SAVEPOINT step");
      const sql = typeof act === "object" ? operationSql(this.#shapes, act) : SAVEPOINTS[act];
      await session.query(sql).then(
        () => (typeof act === "object" ? session.query("RELEASE SAVEPOINT step") : undefined),
        () => session.query("ROLLBACK TO SAVEPOINT step"),
      );
    }
    for (const session of sessions) {
      await session.query("COMMIT").catch(() => session.query("ROLLBACK"));
      this.#transactions++;
    }
  }
}

const SAVEPOINTS = {
  savepoint: "SAVEPOINT outer_one",
  rollbackTo: "ROLLBACK TO SAVEPOINT outer_one",
  release: "RELEASE SAVEPOINT outer_one",
} as const;

/** A session of its own, whose end by the other side is an error of the query that runs on it. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: "chaos", connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
