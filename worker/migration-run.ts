import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type CutoverCommand, type ReloadCommand, type TaskWork } from "../contracts/commands.ts";
import { reported, type ReportedError } from "../contracts/errors.ts";
import { type DatabaseState, type TaskEvent } from "../contracts/lifecycle.ts";
import { type DatabaseProgress, type ReportItem } from "../contracts/reports.ts";
import { type DatabaseThread, type startDatabaseThread } from "./database-host.ts";
import { type DatabaseJob, type FromDatabase, type ToDatabase } from "./database-job.ts";
import { forgetFigures, showFigures } from "./figures.ts";
import { type Lease } from "./lease.ts";
import { type Logger } from "./log.ts";
import { type SecretSource } from "./secrets.ts";
import { type EndedDatabase, taskOutcome } from "./task-outcome.ts";
import { type DatabaseTrace, type TaskTrace } from "./task-trace.ts";
import { countRetry } from "./telemetry.ts";

/** Before a task whose thread died is handed back, so that a thread that always dies does not spin. */
const AFTER_DEATH_MS_MAX = 5_000;

export type MigrationWork = Extract<TaskWork, { selectedDatabases: { name: string; targetDatabaseName: string }[] }>;

/** Tells the work that changes something from the work that only looks. */
export const isMigration = (work: TaskWork): work is MigrationWork => "target" in work && "selectedDatabases" in work;

/** The command was not carried out here: it stays on the queue for the worker that goes on. */
export class HandedOn extends Error {
  constructor() {
    super("the task goes on at another worker");
    this.name = "HandedOn";
  }
}

export interface MigrationRunOptions {
  readonly work: MigrationWork;
  readonly lease: Lease;
  readonly workerId: string;
  readonly logLevel: string;
  readonly secrets: SecretSource;
  readonly pgDumpPath: string | undefined;
  readonly trace: TaskTrace;
  readonly log: Logger;
  readonly report: (...items: readonly ReportItem[]) => void;
  /** Resolves when everything reported so far was accepted by the broker. */
  readonly flushReports: () => Promise<void>;
  readonly startThread: typeof startDatabaseThread;
}

/** How this worker's part in a migration ended. */
export type MigrationResult =
  | {
      readonly kind: "ended";
      readonly event: Extract<TaskEvent, "succeeded" | "faulted" | "cancelled" | "inputRefused">;
      readonly errors: ReportedError[];
    }
  /** Handed back at a boundary. */
  | { readonly kind: "stopped" }
  /** A thread died; the next taking of the task goes on. */
  | { readonly kind: "died" };

/** A command that a thread has and that has no outcome yet. */
class PendingCommand {
  readonly databaseName: string;
  readonly isReload: boolean;
  readonly outcome: Promise<readonly ReportedError[]>;
  resolve: (errors: readonly ReportedError[]) => void = () => undefined;
  reject: (reason: Error) => void = () => undefined;

  constructor(databaseName: string, isReload: boolean) {
    this.databaseName = databaseName;
    this.isReload = isReload;
    this.outcome = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
  }
}

/** A migration seen from the main thread: one thread a database, and what passes to and from them. */
export class MigrationRun {
  readonly #options: MigrationRunOptions;
  readonly #threads = new Map<string, DatabaseThread>();
  readonly #traces = new Map<string, DatabaseTrace>();
  readonly #ended = new Map<string, EndedDatabase>();
  readonly #commands = new Map<string, PendingCommand>();
  readonly #states = new Map<string, DatabaseState>();
  #facts = { sourceServerVersion: "", targetServerVersion: "", startedOn: new Date().toISOString() };
  #isStopping = false;
  #hasDied = false;
  #isEpochTooLow = false;

  constructor(options: MigrationRunOptions) {
    this.#options = options;
  }

  /** Runs every database to its end. Resolves when all threads are gone. */
  async run(): Promise<MigrationResult> {
    const { work } = this.#options;
    await Promise.all(work.selectedDatabases.map((selected) => this.#runDatabase(selected)));
    this.#settleCommands();
    if (this.#ended.size === work.selectedDatabases.length) return this.#ending();
    if (this.#isStopping && !this.#hasDied) return { kind: "stopped" };
    if (!this.#isEpochTooLow)
      await sleep(randomInt(AFTER_DEATH_MS_MAX / 2, AFTER_DEATH_MS_MAX), undefined, { signal: this.#options.lease.signal });
    return { kind: "died" };
  }

  /** Whether another worker could go on with next to nothing lost: changes are followed, and nothing else is going on. */
  get canMove(): boolean {
    const names = this.#options.work.selectedDatabases.map(({ name }) => name).filter((name) => !this.#ended.has(name));
    const isBusy = this.#isStopping || this.#hasDied || this.#commands.size > 0;
    return !isBusy && names.length > 0 && names.every((name) => this.#states.get(name) === "READY_TO_COMPLETE");
  }

  /** How many databases have a thread now. */
  get databases(): number {
    return this.#threads.size;
  }

  /** Asks one database to cut over; resolves with what stood in the way, empty when it is COMPLETE. */
  cutOver({ databaseName, commandId, fence, traceparent }: CutoverCommand): Promise<readonly ReportedError[]> {
    this.#traces.get(databaseName)?.cutoverAsked(commandId, traceparent);
    if (this.#ended.has(databaseName)) return Promise.resolve(this.#outcomeOf(databaseName));
    return this.#ask(databaseName, { kind: "cutover", commandId, askedOn: new Date().toISOString(), fence });
  }

  /** Asks one database to load tables anew; resolves with what stood in the way, empty when they are followed again. */
  reload({ databaseName, commandId, tableNames }: ReloadCommand): Promise<readonly ReportedError[]> {
    if (this.#ended.has(databaseName)) return Promise.resolve([isOver(databaseName, this.#ended)]);
    return this.#ask(databaseName, { kind: "reload", commandId, tableNames });
  }

  #ask(databaseName: string, order: Extract<ToDatabase, { commandId: string }>): Promise<readonly ReportedError[]> {
    if (this.#isStopping || this.#hasDied) return Promise.reject(new HandedOn());
    const thread = this.#threads.get(databaseName);
    if (!thread) return Promise.resolve([reported("Conflict", { detail: `${databaseName} is none of the task's databases.` })]);
    const known = this.#commands.get(order.commandId);
    if (known) return known.outcome; // sent twice
    const command = new PendingCommand(databaseName, order.kind === "reload");
    this.#commands.set(order.commandId, command);
    thread.tell(order);
    return command.outcome;
  }

  cancel(): void {
    for (const thread of this.#threads.values()) thread.tell({ kind: "cancel" });
  }

  /** Stops at the next boundary; run() resolves soon after. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const thread of this.#threads.values()) thread.tell({ kind: "stop" });
    while (this.#threads.size > 0 && !this.#options.lease.signal.aborted) await sleep(20);
  }

  /** Ends every thread at once: the lease is lost. */
  async kill(): Promise<void> {
    this.#isStopping = true;
    await Promise.all([...this.#threads.values()].map((thread) => thread.kill()));
  }

  /** A command that its thread did not get to has the outcome that the database has; without one it stays on the queue. */
  #settleCommands(): void {
    for (const command of this.#commands.values()) {
      const { databaseName, isReload } = command;
      if (this.#ended.has(databaseName)) command.resolve(isReload ? [isOver(databaseName, this.#ended)] : this.#outcomeOf(databaseName));
      else command.reject(new HandedOn());
    }
    this.#commands.clear();
  }

  #outcomeOf(databaseName: string): readonly ReportedError[] {
    const ended = this.#ended.get(databaseName);
    if (!ended || ended.end === "COMPLETE") return [];
    return [isOver(databaseName, this.#ended)];
  }

  #ending(): MigrationResult {
    const { event, errors } = taskOutcome([...this.#ended.values()]);
    this.#reportMigration(new Date().toISOString());
    return { kind: "ended", event: event as Extract<MigrationResult, { kind: "ended" }>["event"], errors };
  }

  #runDatabase(selected: DatabaseJob["selected"]): Promise<void> {
    const { work, lease, workerId, logLevel, secrets, pgDumpPath, trace, log, startThread } = this.#options;
    this.#traces.set(selected.name, trace.database(selected.name, selected.targetDatabaseName));
    const job: DatabaseJob = {
      taskId: lease.taskId,
      epoch: lease.epoch,
      workerId,
      logLevel,
      source: { ...work.source, databaseName: selected.name },
      target: { ...work.target, databaseName: selected.targetDatabaseName },
      selected,
      earlierTaskIds: work.earlierTaskIds ?? [],
      secrets,
      pgDumpPath,
      ...trace.logFields,
      ended: lease.ended[selected.name],
    };
    return new Promise((resolve) => {
      const thread = startThread(job, {
        onMessage: (message) =>
          void this.#onMessage(selected.name, message).catch((thrown: unknown) => this.#onFailure(selected.name, thrown)),
        onExit: (error) => {
          this.#threads.delete(selected.name);
          forgetFigures(lease.taskId, selected.name);
          if (error || (!this.#ended.has(selected.name) && !this.#isStopping)) {
            this.#hasDied = true;
            log.error({ event: "database.thread.died", databaseName: selected.name, err: error }, "the thread of a database died");
          }
          resolve();
        },
      });
      this.#threads.set(selected.name, thread);
    });
  }

  async #onMessage(databaseName: string, message: FromDatabase): Promise<void> {
    const { lease, report } = this.#options;
    switch (message.kind) {
      case "items":
        report(...message.items);
        this.#traces.get(databaseName)?.items(message.items);
        for (const item of message.items) if (item.kind === "database") this.#showDatabase(databaseName, item);
        return;
      case "servers":
        this.#facts = {
          sourceServerVersion: message.sourceServerVersion,
          targetServerVersion: message.targetServerVersion,
          startedOn: earlier(this.#facts.startedOn, message.startedOn),
        };
        this.#reportMigration(null);
        return;
      case "movedForward":
        await lease.movedForward();
        return;
      case "phase":
        this.#traces.get(databaseName)?.phase(message.phase);
        return;
      case "retried":
        countRetry(message.what);
        return;
      case "commandDone":
        this.#commands.get(message.commandId)?.resolve(message.errors);
        this.#commands.delete(message.commandId);
        return;
      case "ended":
        // What was reported must have arrived before the end is recorded: after that nobody would report it again.
        await this.#options.flushReports();
        await lease.databaseEnded(databaseName, message.end);
        this.#ended.set(databaseName, message);
        this.#threads.get(databaseName)?.tell({ kind: "endRecorded" });
        return;
      case "epochTooLow":
        this.#isEpochTooLow = true;
        await lease.raiseEpoch(message.knownEpoch);
        return;
      case "stopped":
        return;
    }
  }

  #showDatabase(databaseName: string, progress: DatabaseProgress): void {
    this.#states.set(databaseName, progress.state);
    showFigures(this.#options.lease.taskId, progress);
  }

  #onFailure(databaseName: string, thrown: unknown): void {
    this.#options.log.error(
      { event: "database.message.failed", databaseName, err: thrown },
      "a message of a database's thread could not be handled",
    );
    void this.#threads.get(databaseName)?.kill();
  }

  #reportMigration(endedOn: string | null): void {
    this.#options.report({
      kind: "migration",
      ...this.#facts,
      endedOn,
      databaseCount: this.#options.work.selectedDatabases.length,
    });
  }
}

const isOver = (databaseName: string, ended: ReadonlyMap<string, EndedDatabase>): ReportedError =>
  reported("Conflict", { detail: `The migration of ${databaseName} is over: ${ended.get(databaseName)?.end ?? "its worker is gone"}.` });

const earlier = (a: string, b: string): string => (Date.parse(a) <= Date.parse(b) ? a : b);
