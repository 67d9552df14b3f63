import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type DatabaseEnd } from "../../worker/database-job.ts";
import { FAULT_POINTS, type FaultPoint, onFaultPoint } from "../../worker/fault-points.ts";
import { ConnectionLost } from "../../worker/postgres/failures.ts";
import { type Pair, type Plugin } from "../fidelity/engine.ts";
import { type Line, lineTo, runMigration, type RunningMigration, through } from "../worker/run-migration.ts";

/** The worker dies; or it lives and never hears that what it wrote was written. */
export type Fault = "crash" | "answer lost";

export interface WalkOptions {
  readonly plugin: Plugin;
  readonly fault: Fault;
  /** The migration is hit at each of them when it gets there, as often as the point is listed. */
  readonly points: readonly FaultPoint[];
  readonly migrationSetting?: Readonly<Record<string, string>>;
  readonly targetSetting?: Readonly<Record<string, string>>;
  /** Writes on the source when READY_TO_COMPLETE is reached for the first time. */
  readonly write: () => Promise<void>;
}

export interface Walked {
  readonly end: DatabaseEnd;
  readonly codes: readonly string[];
  /** Points that the migration did not come by. */
  readonly notHit: readonly FaultPoint[];
  readonly workers: number;
}

/** Which worker it is whose code passes a point: migrations run side by side. */
const workers = new AsyncLocalStorage<FaultyWorker>();
onFaultPoint((point) => workers.getStore()?.pass(point));

class WorkerDied extends Error {}

type Lines = Readonly<Record<"source" | "target", Line>>;

/** A worker whose every connection goes over lines of its own: without them it can do no more than one that is dead. */
class FaultyWorker {
  readonly migration: RunningMigration;
  readonly died: Promise<"died">;
  readonly #walk: Walk;
  readonly #lines: Lines;
  #isDead = false;
  #die: () => void = () => undefined;

  private constructor(walk: Walk, lines: Lines, epoch: number) {
    this.#walk = walk;
    this.#lines = lines;
    this.died = new Promise((resolve) => (this.#die = () => resolve("died")));
    const { pair, options, taskId, recordedEnd } = walk;
    const over = { source: through(pair.source, lines.source), target: through(pair.target, lines.target) };
    const setting = {
      migrationSetting: { tablesWithoutKey: "replicaIdentityFull", ...options.migrationSetting },
      sourceSetting: { plugin: options.plugin },
      targetSetting: options.targetSetting ?? {},
    };
    this.migration = workers.run(this, () => runMigration(over, setting, { taskId, epoch, ended: recordedEnd }));
  }

  static async start(walk: Walk, epoch: number): Promise<FaultyWorker> {
    const [source, target] = await Promise.all([lineTo(walk.pair.source.port), lineTo(walk.pair.target.port)]);
    return new FaultyWorker(walk, { source, target }, epoch);
  }

  pass(point: FaultPoint): Promise<void> | undefined {
    if (this.#isDead) return Promise.reject(new WorkerDied());
    return this.#walk.isHitAt(point) ? this.#fail(point) : undefined;
  }

  async close(): Promise<void> {
    await Promise.all([this.#lines.source.cut(), this.#lines.target.cut()]);
  }

  async #fail(point: FaultPoint): Promise<void> {
    const { fault } = this.#walk.options;
    const side = FAULT_POINTS[point];
    // A worker that does not hear of the end's record is ended; the record is there for the next one.
    const isEndRecorded = side === "service bus" ? fault === "answer lost" : true;
    if (isEndRecorded) this.#walk.recordedEnd = this.migration.toldEnd();
    if (fault === "crash" || side === "service bus") return await this.#crash();
    await this.#lines[side].cut();
    await this.#lines[side].mend();
    throw new ConnectionLost(side);
  }

  async #crash(): Promise<void> {
    this.#isDead = true;
    this.migration.orders.stop();
    await this.close();
    this.#die();
    throw new WorkerDied();
  }
}

/** One migration on its way past the points. */
class Walk {
  readonly pair: Pair;
  readonly options: WalkOptions;
  readonly taskId = randomUUID();
  recordedEnd: DatabaseEnd | undefined;
  readonly #ahead: FaultPoint[];
  #isCutoverAsked = false;

  constructor(pair: Pair, options: WalkOptions) {
    this.pair = pair;
    this.options = options;
    this.#ahead = [...options.points];
  }

  isHitAt(point: FaultPoint): boolean {
    const at = this.#ahead.indexOf(point);
    if (at >= 0) this.#ahead.splice(at, 1);
    return at >= 0;
  }

  async run(): Promise<Walked> {
    for (let epoch = 1; ; epoch++) {
      const worker = await FaultyWorker.start(this, epoch);
      const over = await Promise.race([worker.died, this.#drive(worker)]);
      if (over === "died") continue;
      await worker.close();
      return { ...over, notHit: [...this.#ahead], workers: epoch };
    }
  }

  /** A command without an outcome is delivered again to the worker that takes over. Never comes back for a worker that dies. */
  async #drive({ migration, died }: FaultyWorker): Promise<Awaited<RunningMigration["ended"]>> {
    if (!this.#isCutoverAsked && this.recordedEnd === undefined) {
      if (!(await isReady(migration, Promise.race([migration.ended, died])))) return migration.ended;
      await this.options.write();
      this.#isCutoverAsked = true;
    }
    migration.orders.cutOver({ commandId: "cutover", askedOn: new Date().toISOString() });
    return migration.ended;
  }
}

/** @returns false when it is over before it is ready. */
async function isReady(migration: RunningMigration, over: Promise<unknown>): Promise<boolean> {
  let isOver = false;
  void over.then(() => (isOver = true));
  while (migration.database()?.state !== "READY_TO_COMPLETE") {
    if (isOver) return false;
    await sleep(10);
  }
  return true;
}

/** Runs a whole migration that is hit at the points, by as many workers as it takes. */
export const walk = (pair: Pair, options: WalkOptions): Promise<Walked> => new Walk(pair, options).run();
