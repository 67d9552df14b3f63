import fc from "fast-check";
import type pg from "pg";
import { onFaultPoint } from "../../worker/fault-points.ts";
import { ConnectionLost } from "../../worker/postgres/failures.ts";
import { differences, type Engine, type Pair, type Plugin, startEngine, streamEverything } from "./engine.ts";
import { createSql, history, operationSql, resetSql, type Step, tableNames, tableShape, type TableShape, TYPES_SQL } from "./history.ts";

/** A session that waits for the other one's lock gives up after it: both are driven by one loop. */
const LOCK_TIMEOUT = "5ms";

export interface HistoryRun {
  readonly seed: number;
  readonly plugin: Plugin;
  /** The source sends all changes before their transaction ends; of even seeds only. */
  readonly isStreamed?: boolean;
  /** Changes are applied in several sessions at once. */
  readonly hasLanes?: boolean;
  /** Random transaction lists on one random schema. */
  readonly histories: number;
  readonly createPair: (source: SourceVersion) => Promise<Pair & { drop(): Promise<void> }>;
}

/** Odd seeds run from a source of before NULLS NOT DISTINCT, even ones from one that knows it. */
export type SourceVersion = "13" | "17";
export const sourceOf = (seed: number): SourceVersion => (seed % 2 === 0 ? "17" : "13");

/**
 * Runs random histories against a live sync on a random schema; after each one, every table must hold the same rows on
 * both sides. The failure names the seed, the schema and the smallest history that fast-check finds.
 */
export async function runHistories({
  seed,
  plugin,
  isStreamed = false,
  hasLanes = false,
  histories,
  createPair,
}: HistoryRun): Promise<void> {
  const source = sourceOf(seed);
  const [shapes] = fc.sample(fc.array(tableShape(source === "17"), { minLength: 4, maxLength: 6 }), { seed, numRuns: 1 }) as [TableShape[]];
  const names = shapes.flatMap((shape, n) => tableNames(shape, n));
  let world: World | undefined;
  const property = fc.asyncProperty(history, async (steps) => {
    world ??= await World.open(shapes, { plugin, isStreamed, hasLanes }, await createPair(source));
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

interface WorldParts {
  readonly pair: Pair & { drop(): Promise<void> };
  readonly shapes: readonly TableShape[];
  readonly engine: Engine;
  readonly sessions: readonly pg.Client[];
  readonly isStreamed: boolean;
}

class World {
  readonly #pair: Pair & { drop(): Promise<void> };
  readonly #shapes: readonly TableShape[];
  readonly #engine: Engine;
  readonly #sessions: readonly pg.Client[];
  readonly #isStreamed: boolean;

  private constructor({ pair, shapes, engine, sessions, isStreamed }: WorldParts) {
    this.#pair = pair;
    this.#shapes = shapes;
    this.#engine = engine;
    this.#sessions = sessions;
    this.#isStreamed = isStreamed;
  }

  /** Every third group that is applied in lanes loses its connection when some of them have committed. */
  static failHalfCommitted(): void {
    let passed = 0;
    onFaultPoint((point) =>
      point === "lanes-half-committed" && ++passed % 3 === 0 ? Promise.reject(new ConnectionLost("target")) : undefined,
    );
  }

  static async open(
    shapes: readonly TableShape[],
    { plugin, isStreamed, hasLanes }: { plugin: Plugin; isStreamed: boolean; hasLanes: boolean },
    pair: Pair & { drop(): Promise<void> },
  ): Promise<World> {
    const sql = [TYPES_SQL, ...shapes.map(createSql)].join(";\n");
    if (isStreamed) await streamEverything(pair.source);
    if (hasLanes) World.failHalfCommitted();
    await Promise.all([pair.source.query(sql), pair.target.query(sql)]);
    await pair.source.query(resetSql(shapes));
    const sessions = [await pair.source.connect(), await pair.source.connect()];
    for (const session of sessions) await session.query(`SET lock_timeout = '${LOCK_TIMEOUT}'`);
    // Changes between the snapshot and the load are in the stream only.
    const duringLoad = async (): Promise<void> =>
      void (await pair.source.query(operationSql(shapes, { kind: "insert", table: 0, a: 50, b: 0 })));
    return new World({
      pair,
      shapes,
      engine: await startEngine(pair, { plugin, duringLoad, ...(hasLanes ? { lanes: { count: 3, changesMin: 2 } } : {}) }),
      sessions,
      isStreamed,
    });
  }

  async play(steps: readonly Step[]): Promise<void> {
    await this.#pair.source.query(resetSql(this.#shapes));
    // After a transaction that was streamed in vain a connection streams no more.
    if (this.#engine.inVain.splice(0).length > 0) await this.#engine.sync.betweenConnections(() => Promise.resolve());
    // What is rolled back is read once more, without streaming: half of the histories have nothing of it.
    const isCalm = this.#isStreamed && steps.length % 2 === 0;
    for (const { session, act } of steps) await this.#step({ session, act: isCalm ? (CALM.get(act) ?? act) : act });
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
    onFaultPoint(undefined);
    for (const session of this.#sessions) await session.end();
    await this.#engine.stop();
    await this.#pair.drop();
  }
}

const CALM: ReadonlyMap<Step["act"], Step["act"]> = new Map([
  ["rollback", "commit"],
  ["rollbackTo", "release"],
]);

const SAVEPOINTS = {
  savepoint: "SAVEPOINT outer_one",
  rollbackTo: "ROLLBACK TO SAVEPOINT outer_one",
  release: "RELEASE SAVEPOINT outer_one",
} as const;
