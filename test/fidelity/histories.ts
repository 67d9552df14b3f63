import fc from "fast-check";
import type pg from "pg";
import { differences, type Engine, type Pair, type Plugin, startEngine } from "./engine.ts";
import { createSql, history, operationSql, resetSql, type Step, tableNames, tableShape, type TableShape, TYPES_SQL } from "./history.ts";

/** A session that waits for the other one's lock gives up after it: both are driven by one loop. */
const LOCK_TIMEOUT = "5ms";

export interface HistoryRun {
  readonly seed: number;
  readonly plugin: Plugin;
  /** Random transaction lists on one random schema. */
  readonly histories: number;
  readonly createPair: (source: SourceVersion) => Promise<Pair & { drop(): Promise<void> }>;
}

/** Odd seeds run from a source of before NULLS NOT DISTINCT, even ones from one that knows it. */
export type SourceVersion = "13" | "17";

/**
 * Runs random histories against a live sync on a random schema; after each one, every table must hold the same rows on
 * both sides. The failure names the seed, the schema and the smallest history that fast-check finds.
 */
export async function runHistories({ seed, plugin, histories, createPair }: HistoryRun): Promise<void> {
  const source: SourceVersion = seed % 2 === 0 ? "17" : "13";
  const [shapes] = fc.sample(fc.array(tableShape(source === "17"), { minLength: 4, maxLength: 6 }), { seed, numRuns: 1 }) as [TableShape[]];
  const names = shapes.flatMap((shape, n) => tableNames(shape, n));
  let world: World | undefined;
  const property = fc.asyncProperty(history, async (steps) => {
    world ??= await World.open(shapes, plugin, await createPair(source));
    try {
      await world.play(steps);
      const found = await world.differences(names);
      if (found.length > 0) throw new Error(`rows differ: ${found.join("; ")}`);
    } catch (thrown) {
      await world.close();
      world = undefined; // the next try begins with a sync of its own
      throw thrown;
    }
  });
  try {
    await fc.assert(property, {
      seed,
      numRuns: histories,
      endOnFailure: false,
      interruptAfterTimeLimit: 300_000,
      markInterruptAsFailure: true,
    });
  } catch (thrown) {
    throw new Error(`seed ${seed}, ${plugin}, from ${source}, schema:\n${shapes.map(createSql).join(";\n")}\n`, { cause: thrown });
  } finally {
    await world?.close();
  }
}

class World {
  readonly #pair: Pair & { drop(): Promise<void> };
  readonly #shapes: readonly TableShape[];
  readonly #engine: Engine;
  readonly #sessions: readonly pg.Client[];

  private constructor(
    pair: Pair & { drop(): Promise<void> },
    shapes: readonly TableShape[],
    engine: Engine,
    sessions: readonly pg.Client[],
  ) {
    this.#pair = pair;
    this.#shapes = shapes;
    this.#engine = engine;
    this.#sessions = sessions;
  }

  static async open(shapes: readonly TableShape[], plugin: Plugin, pair: Pair & { drop(): Promise<void> }): Promise<World> {
    const sql = [TYPES_SQL, ...shapes.map(createSql)].join(";\n");
    await Promise.all([pair.source.query(sql), pair.target.query(sql)]);
    await pair.source.query(resetSql(shapes));
    const sessions = [await pair.source.connect(), await pair.source.connect()];
    for (const session of sessions) await session.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`);
    // Changes between the snapshot and the load are in the stream only.
    const duringLoad = async (): Promise<void> =>
      void (await pair.source.query(operationSql(shapes, { kind: "insert", table: 0, a: 50, b: 0 })));
    return new World(pair, shapes, await startEngine(pair, { plugin, duringLoad }), sessions);
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.#pair.source.query(resetSql(this.#shapes));
    for (const step of steps) await this.#step(step);
    for (const session of this.#sessions) await session.query("COMMIT").catch(() => session.query("ROLLBACK"));
    await this.#engine.drain();
  }

  async #step({ session: n, act }: Step): Promise<void> {
    const session = this.#sessions[n] as pg.Client;
    if (act === "commit" || act === "rollback") return void (await session.query(act).catch(() => session.query("ROLLBACK")));
    await session.query("BEGIN; SAVEPOINT step");
    const sql = typeof act === "object" ? operationSql(this.#shapes, act) : SAVEPOINTS[act];
    // What the source refuses (a value that is taken, a lock) did not happen.
    await session.query(sql).then(
      () => (typeof act === "object" ? session.query("RELEASE SAVEPOINT step") : undefined),
      () => session.query("ROLLBACK TO SAVEPOINT step"),
    );
  }

  differences(names: readonly string[]): Promise<string[]> {
    return differences(this.#pair, names);
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) await session.end();
    await this.#engine.stop();
    await this.#pair.drop();
  }
}

const SAVEPOINTS = {
  savepoint: "SAVEPOINT outer_one",
  rollbackTo: "ROLLBACK TO SAVEPOINT outer_one",
  release: "RELEASE SAVEPOINT outer_one",
} as const;
