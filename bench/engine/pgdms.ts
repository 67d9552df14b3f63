import { open, type FileHandle } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { isTaskOver } from "../../contracts/lifecycle.ts";
import { Client } from "../../local/client.ts";
import { DEFAULT_SERVICE, type Environment, type EnvironmentOptions, startEnvironment } from "../../local/environment.ts";
import { readMigration, troubleOf, type MigrationView } from "../../local/watch.ts";
import { forgetPeak, peakMB, processesOf } from "./meter.ts";
import { type ServerPair } from "./servers.ts";

const POLL_MS = 20;

/** Between two looks at the state of a migration whose log is waited for. */
const WATCH_MS = 5_000;

/** What the bench reads of the worker's log. */
const Line = z.object({
  time: z.iso.datetime(),
  event: z.string().optional(),
  taskId: z.string().optional(),
  databaseName: z.string().optional(),
  phase: z.string().optional(),
  durationMs: z.number().optional(),
  /** The state that a database is in from now on. */
  to: z.string().optional(),
});
type Line = z.infer<typeof Line>;

/** All of pgdms as `npm start` has it, with one worker; whoever measures takes the times of the worker's own log. */
export class Pgdms {
  readonly environment: Environment;
  readonly client: Client;
  #log: WorkerLog;

  private constructor(environment: Environment, signal: AbortSignal) {
    this.environment = environment;
    const scope = { subscription: "bench", resourceGroup: "bench", service: DEFAULT_SERVICE, project: "bench" };
    this.client = new Client(environment.url, scope, signal);
    this.#log = new WorkerLog(this.#worker.logFile);
  }

  static async start(
    signal: AbortSignal,
    more: Pick<EnvironmentOptions, "workerSettings" | "functionsSettings" | "between"> = {},
  ): Promise<Pgdms> {
    const nodeOptions = process.env["BENCH_WORKER_NODE_OPTIONS"]; // to profile it
    const profiled: Record<string, string> = nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions };
    const workerSettings = { ...profiled, ...more.workerSettings };
    const environment = await startEnvironment({ port: 0, replaceWorkers: false, ...more, workerSettings, signal });
    const pgdms = new Pgdms(environment, signal);
    await pgdms.client.putService();
    await pgdms.client.putProject();
    return pgdms;
  }

  /** A client of another resource group: its service has seats of its own, and the same workers. */
  async clientOf(resourceGroup: string, signal: AbortSignal): Promise<Client> {
    const scope = { subscription: "bench", resourceGroup, service: DEFAULT_SERVICE, project: "bench" };
    const client = new Client(this.environment.url, scope, signal);
    await client.putService();
    await client.putProject();
    return client;
  }

  /** The worker's CPU time and memory. */
  readonly worker = processesOf("pgdms", () => this.#workerPids);

  /** All that a run of ours uses; in Azure the worker does not share its cores with the control plane. */
  readonly parts = [
    this.worker,
    processesOf("control plane", () => this.environment.pids.filter((pid) => !this.#workerPids.includes(pid))),
  ];

  /** The most memory that the worker has had since forgetPeak(). */
  peakMB(): number {
    return peakMB(this.#worker.pid);
  }

  forgetPeak(): void {
    forgetPeak(this.#worker.pid);
  }

  /** Starts a migration. Settings as in docs/settings.md; all others have their defaults. */
  async migrate({ source, target }: ServerPair, names: MigrationNames, settings: MigrationSettings = {}): Promise<BenchMigration> {
    const connection = (port: number) => ({ serverName: "127.0.0.1", port, userName: "postgres", encryptConnection: false });
    const putMs = Date.now();
    const task = await this.client.putMigration(names.task, {
      sourceConnectionInfo: connection(source.port),
      targetConnectionInfo: connection(target.port),
      selectedDatabases: [{ name: names.source, targetDatabaseName: names.target, ...settings }],
    });
    return new BenchMigration(this, names, task.properties.taskId, putMs);
  }

  /** Hands what runs back at a boundary: nobody reads the slots then. */
  async stopWorker(): Promise<void> {
    await this.#worker.stop();
    await this.#log.close();
  }

  async startWorker(): Promise<void> {
    const worker = await this.environment.startWorker();
    this.#log = new WorkerLog(worker.logFile);
  }

  /** Waits for a line of the log of the worker that runs now. */
  logged(isIt: (line: Line) => boolean): Promise<Line> {
    return this.#log.until(isIt);
  }

  /** What the worker that runs now has logged of a task so far. */
  linesOf(taskId: string): readonly Line[] {
    return this.#log.linesOf(taskId);
  }

  async stop(): Promise<void> {
    await this.#log.close();
    await this.environment.stop();
  }

  get #workerPids(): readonly number[] {
    return this.environment.workers.map(({ pid }) => pid);
  }

  get #worker() {
    const [worker] = this.environment.workers;
    if (!worker) throw new Error("no worker runs");
    return worker;
  }
}

interface MigrationNames {
  /** Of the task; one for each run. */
  readonly task: string;
  readonly source: string;
  readonly target: string;
}

interface MigrationSettings {
  readonly migrationSetting?: Readonly<Record<string, string>>;
  readonly sourceSetting?: Readonly<Record<string, string>>;
  readonly targetSetting?: Readonly<Record<string, string>>;
}

/** One migration of one database. */
export class BenchMigration {
  readonly #pgdms: Pgdms;
  readonly #names: MigrationNames;
  readonly taskId: string;
  readonly #putMs: number;

  constructor(pgdms: Pgdms, names: MigrationNames, taskId: string, putMs: number) {
    this.#pgdms = pgdms;
    this.#names = names;
    this.taskId = taskId;
    this.#putMs = putMs;
  }

  /** Seconds from the request to the end of a phase, by the worker's log. */
  async secondsUntil(phase: string): Promise<number> {
    const line = await this.#race(this.#pgdms.logged((each) => this.#isOurs(each) && each.event === "phase.ended" && each.phase === phase));
    return (Date.parse(line.time) - this.#putMs) / 1000;
  }

  /** When the worker that runs now began to connect to the source's changes. */
  async connecting(): Promise<Date> {
    const line = await this.#race(this.#pgdms.logged((each) => this.#isOurs(each) && each.event === "sync.connecting"));
    return new Date(line.time);
  }

  view(): Promise<MigrationView> {
    return readMigration(this.#pgdms.client, this.#names.task, this.#names.source);
  }

  async ready(): Promise<MigrationView> {
    return this.#until(({ phase }) => phase === "sync");
  }

  cutOver(): Promise<unknown> {
    return this.#pgdms.client.cutOver(this.#names.task, this.#names.source);
  }

  /** Waits for the database's COMPLETE. */
  complete(): Promise<MigrationView> {
    return this.#until(({ database }) => database?.migrationState === "COMPLETE");
  }

  /** Waits for the task's end, whatever it is. */
  over(): Promise<MigrationView> {
    return this.#until(({ phase }) => phase === "over", "anyEnd");
  }

  async cancel(): Promise<void> {
    await this.#pgdms.client.cancel(this.#names.task);
    await this.over();
    await this.#pgdms.client.deleteTask(this.#names.task);
  }

  #isOurs({ taskId }: Line): boolean {
    return taskId === this.taskId;
  }

  /**
   * A migration that ends early must not be waited for. It is asked as seldom as a person would, and no more when the work is
   * done: the answers cost what is measured, then and afterwards.
   */
  async #race<T>(work: Promise<T>): Promise<T> {
    const worked = new AbortController();
    const looks = { everyMs: WATCH_MS, signal: worked.signal };
    const failed = this.#until(({ task }) => isTaskOver(task.properties.state), "onlySuccess", looks);
    failed.catch(() => undefined);
    try {
      return await Promise.race([work, failed.then(() => work)]);
    } finally {
      worked.abort();
    }
  }

  /** @throws Error when it ended in another way, or when the signal aborted */
  async #until(
    isThere: (view: MigrationView) => boolean,
    ends: "onlySuccess" | "anyEnd" = "onlySuccess",
    { everyMs, signal }: { readonly everyMs: number; readonly signal?: AbortSignal } = { everyMs: 5 * POLL_MS },
  ): Promise<MigrationView> {
    for (;;) {
      const view = await this.view();
      const { state } = view.task.properties;
      if (ends === "onlySuccess" && isTaskOver(state) && state !== "Succeeded")
        throw new Error(`the migration ended as ${state}: ${troubleOf(view).join("; ")}`);
      if (isThere(view)) return view;
      await sleep(everyMs, undefined, signal && { signal });
    }
  }
}

/** Reads a log file as it grows. Lines that nobody asked for are kept: what is waited for may have happened already. */
class WorkerLog {
  readonly #path: string;
  readonly #lines: Line[] = [];
  #file: FileHandle | undefined;
  #reading: Promise<void> | undefined;
  /** One for all looks: a new one each time took a sixth of a core from what is measured. */
  readonly #buffer = Buffer.alloc(256 * 1024);
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";
  #isClosed = false;

  constructor(path: string) {
    this.#path = path;
  }

  async until(isIt: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      await this.#readOn();
      const found = this.#lines.find(isIt);
      if (found) return found;
      if (this.#isClosed) throw new Error("the worker was stopped while its log was waited for");
      await sleep(POLL_MS);
    }
  }

  linesOf(taskId: string): readonly Line[] {
    return this.#lines.filter((line) => line.taskId === taskId);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reading;
    await this.#file?.close();
    this.#file = undefined;
  }

  /** Several may wait at once, and there is one place in the file. */
  #readOn(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #read(): Promise<void> {
    if (this.#isClosed) return;
    this.#file ??= await open(this.#path);
    const { bytesRead } = await this.#file.read({ buffer: this.#buffer });
    if (bytesRead === 0) return;
    const lines = (this.#rest + this.#decoder.write(this.#buffer.subarray(0, bytesRead))).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const parsed = Line.safeParse(parseJson(line));
      if (parsed.success) this.#lines.push(parsed.data);
    }
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a line of Node's own
  }
}
