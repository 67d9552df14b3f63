import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { workerNodeFlags } from "../../worker/node-flags.ts";
import { startPart, type Part } from "./part.ts";

export interface WorkerPoolOptions {
  readonly root: string;
  readonly logs: string;
  /** What every worker gets, beside its service and its id. */
  readonly env: NodeJS.ProcessEnv;
  readonly perService: number;
  /** A worker that died is replaced, as the platform does it in Azure. */
  readonly replace: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

export interface WorkerPart extends Part {
  readonly workerId: string;
  readonly serviceName: string;
}

/** A stopping worker hands its tasks back at a transaction's end, then closes its connections. */
const graceSeconds = 5;
const stopTimeoutMs = 9_000;
const replaceDelayMs = 1_000;

/** For pg_dump in WebAssembly: making it fast takes longer than it then runs, with 2,000 tables still. */
const DUMP_FLAG = "--liftoff-only";

/** The worker processes of all services. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Map<string, WorkerPart>();
  readonly #starting = new Set<Promise<unknown>>();
  readonly #services = new Set<string>();
  #started = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
  }

  get workers(): readonly WorkerPart[] {
    return [...this.#workers.values()];
  }

  get services(): ReadonlySet<string> {
    return this.#services;
  }

  /** Makes sure that the service has its workers; resolves when they are ready. */
  async serve(serviceName: string): Promise<void> {
    if (this.#services.has(serviceName)) return;
    this.#services.add(serviceName);
    await Promise.all(Array.from({ length: this.#options.perService }, () => this.start(serviceName)));
  }

  /** Ends the workers of a service that is stopped or gone. */
  async leave(serviceName: string): Promise<void> {
    if (!this.#services.delete(serviceName)) return;
    await Promise.all(this.workers.filter((worker) => worker.serviceName === serviceName).map((worker) => worker.stop()));
  }

  /** Starts one more worker of a service. @throws Error with what it said when it did not start */
  async start(serviceName: string): Promise<WorkerPart> {
    const starting = this.#start(serviceName);
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** Sends a signal to a worker; one that dies of it is replaced, if the pool replaces. */
  async kill(workerId: string, signal: NodeJS.Signals): Promise<void> {
    const worker = this.#workers.get(workerId);
    if (!worker) throw new Error(`there is no worker ${workerId}: ${[...this.#workers.keys()].join(", ") || "none runs"}`);
    worker.kill(signal);
    if (signal === "SIGKILL") await worker.exited;
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#starting);
    await Promise.all(this.workers.map((worker) => worker.stop()));
  }

  async #start(serviceName: string): Promise<WorkerPart> {
    const { root, logs, env, signal } = this.#options;
    const workerId = `${serviceName}-${++this.#started}`;
    const part = await startPart({
      name: `worker ${workerId}`,
      args: [DUMP_FLAG, ...workerNodeFlags, join(root, "dist/worker/main.js")],
      env: { ...env, PGDMS_SERVICE: serviceName, WORKER_ID: workerId, STOP_GRACE_SECONDS: String(graceSeconds) },
      cwd: root,
      logFile: join(logs, `worker-${workerId}.log`),
      ready: /"event":"worker\.started"/,
      stopTimeoutMs,
      signal,
    });
    const worker = { ...part, workerId, serviceName };
    this.#workers.set(workerId, worker);
    void part.exited.then((exit) => {
      this.#workers.delete(workerId);
      if (!exit.wasAsked && !signal.aborted) void this.#onDeath(worker, exit.signal ?? `code ${exit.code}`);
    });
    return worker;
  }

  async #onDeath({ workerId, serviceName, logFile }: WorkerPart, ending: string): Promise<void> {
    const { replace, signal, say } = this.#options;
    say(`worker ${workerId} died (${ending})${replace ? " and is replaced" : ""}. Its log: ${logFile}`);
    while (replace && this.#services.has(serviceName) && !signal.aborted) {
      try {
        await sleep(replaceDelayMs, undefined, { signal, ref: false });
        await this.start(serviceName);
        return;
      } catch (error) {
        if (!signal.aborted) say(error instanceof Error ? error.message : String(error));
      }
    }
  }
}
