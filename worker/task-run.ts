import { type ServiceBusReceivedMessage, type ServiceBusSender, type ServiceBusSessionReceiver } from "@azure/service-bus";
import {
  type CleanUpCommand,
  Command,
  type CutoverCommand,
  type HandOnCommand,
  type ReloadCommand,
  type RunCommand,
  UnknownCommand,
} from "../contracts/commands.ts";
import { errors, MigrationError, reported, type ReportedError, reportedFrom } from "../contracts/errors.ts";
import { type ReportItem } from "../contracts/reports.ts";
import { cleanUpLater, leftUnseen } from "./cutover/late-clean-up.ts";
import { startDatabaseThread } from "./database-host.ts";
import { type Lease } from "./lease.ts";
import { type Logger } from "./log.ts";
import { HandedOn, isMigration, MigrationRun, type MigrationWork } from "./migration-run.ts";
import { Reporter } from "./reporter.ts";
import { whenAborted } from "./signals.ts";
import { runSmallTask } from "./small-tasks.ts";
import { type SecretSource } from "./secrets.ts";
import { TaskTrace } from "./task-trace.ts";

/** A task that was taken up so often without moving forward is stopped, so that it cannot kill workers for ever. */
const ATTEMPTS_MAX = 20;

/** A session whose start command does not come has none. */
const FIRST_MESSAGE_MS = 10_000;

/** A database that does not come to a boundary within this, because a server does not answer, is stopped where it is. */
const HAND_ON_MS_MAX = 20_000;

/** Commands of one task that are in hand at once: the start command and those that follow it. */
const MESSAGES_IN_HAND = 32;

export interface TaskRunOptions {
  readonly receiver: ServiceBusSessionReceiver;
  readonly lease: Lease;
  readonly sender: ServiceBusSender;
  readonly workerId: string;
  readonly logLevel: string;
  readonly secrets: SecretSource;
  readonly pgDumpPath: string | undefined;
  /** Told before a task is handed on because this worker has more than its share. */
  readonly onShare: (tasks: number) => void;
  readonly log: Logger;
}

/**
 * One task, from the taking of its session to its end. The start command stays uncompleted on the queue while the task runs:
 * if this worker dies, the next one gets it again.
 */
export class TaskRun {
  readonly #options: TaskRunOptions;
  readonly #reporter: Reporter;
  readonly #done: Promise<void>;
  #resolveDone: () => void = () => undefined;
  #runMessage: ServiceBusReceivedMessage | undefined;
  #trace: TaskTrace | undefined;
  #migration: MigrationRun | undefined;
  #smallTask: AbortController | undefined;
  readonly #waiting: ServiceBusReceivedMessage[] = [];
  readonly #untilEnd: ServiceBusReceivedMessage[] = [];
  #isEnding = false;
  #isCleaning = false;
  #settling: Promise<void> = Promise.resolve();

  constructor(options: TaskRunOptions) {
    this.#options = options;
    const { lease, workerId, sender, log } = options;
    this.#done = new Promise((resolve) => (this.#resolveDone = resolve));
    const traceparent = (): string | undefined => this.#trace?.traceparent;
    this.#reporter = new Reporter({ taskId: lease.taskId, workerId, epoch: lease.epoch, sender, log, signal: lease.signal, traceparent });
  }

  /** Resolves when this worker has nothing more to do with the task: it is over, it was handed back, or the lease was lost. */
  async finished(): Promise<void> {
    const { receiver, lease, log } = this.#options;
    const timer = setTimeout(() => void this.#withoutStart(), FIRST_MESSAGE_MS);
    whenAborted(lease.signal, () => void this.#abandonAll());
    receiver.subscribe(
      {
        processMessage: (message) => this.#onMessage(message),
        processError: ({ error }) => {
          log.warn({ event: "task.receive.failed", err: error }, "the task's session gave an error");
          if ("code" in error && error.code === "SessionLockLost") lease.lose(error);
          return Promise.resolve();
        },
      },
      { autoCompleteMessages: false, maxConcurrentCalls: MESSAGES_IN_HAND },
    );
    await this.#done;
    clearTimeout(timer);
  }

  /** Stops at a boundary and gives the task back, for another worker to go on with. */
  async stop(): Promise<void> {
    this.#smallTask?.abort(new Error("the worker stops"));
    await this.#migration?.stop();
    await this.#handBack();
  }

  /** Whether another worker could go on with the task at once. */
  get canMove(): boolean {
    return !this.#isEnding && this.#migration?.canMove === true;
  }

  /** How many databases are being migrated now. */
  get databases(): number {
    return this.#migration?.databases ?? 0;
  }

  /** Commands without a start command are about a task that is over, or that was never sent: nothing of it runs. */
  async #withoutStart(): Promise<void> {
    if (this.#runMessage || this.#isCleaning) return;
    for (const message of this.#waiting.splice(0)) {
      const command = Command.safeParse(message.body).data;
      if (command?.type === "cancel") this.#reporter.report({ kind: "task", event: "cancelled", errors: [] });
      if (command?.type === "cutover" || command?.type === "reload") this.#reporter.report(refused(command.commandId));
      await this.#reporter.flush();
      await this.#settle(message).catch(() => undefined);
    }
    await this.#handBack();
  }

  /** SDK handler: must come back soon; messages are settled when what they ask for is done. */
  async #onMessage(message: ServiceBusReceivedMessage): Promise<void> {
    const parsed = Command.safeParse(message.body);
    if (!parsed.success || parsed.data.taskId !== this.#options.lease.taskId) {
      await this.#refuse(message, parsed.success);
      return;
    }
    const command = parsed.data;
    if (command.type === "run") await this.#onRun(command, message);
    else if (command.type === "cleanUp") void this.#cleanUp(command, message);
    else if (!this.#runMessage) this.#waiting.push(message);
    else await this.#onLaterCommand(command, message);
  }

  /** Nobody would hear of a command in the dead-letter queue: its task or its sender is told. */
  async #refuse(message: ServiceBusReceivedMessage, isCommand: boolean): Promise<void> {
    const { lease, log, receiver } = this.#options;
    log.error({ event: "command.malformed" }, "a command was not understood");
    const known = UnknownCommand.safeParse(message.body).data;
    const isOurs = known?.taskId === lease.taskId;
    const refusal = [reported("CommandNotUnderstood")];
    if (isOurs && known.commandId !== undefined)
      this.#reporter.report({ kind: "command", commandId: known.commandId, state: "Failed", errors: refusal });
    await this.#reporter.flush();
    const isStart = isOurs && known.type === "run" && !this.#runMessage;
    await this.#settle(message, (one) => receiver.deadLetterMessage(one, whyMalformed(isCommand)));
    if (isStart) await this.#end("faulted", refusal);
  }

  async #onRun(command: RunCommand, message: ServiceBusReceivedMessage): Promise<void> {
    if (this.#runMessage) {
      await this.#settle(message); // sent twice: it runs already
      return;
    }
    this.#runMessage = message;
    const { lease, log } = this.#options;
    this.#trace = new TaskTrace(command, lease);
    log.info({ event: "task.taken", taskType: command.work.taskType, epoch: lease.epoch, ...this.#trace.logFields }, "task taken");
    this.#reporter.report({ kind: "task", event: "started", errors: [] });
    if (lease.attempts > ATTEMPTS_MAX)
      await this.#endUnseen(command, reported("NoProgress", { detail: `It was taken up ${ATTEMPTS_MAX} times.` }));
    else void this.#work(command, this.#trace);
    for (const later of this.#waiting.splice(0)) await this.#onMessage(later);
  }

  async #work(command: RunCommand, taskTrace: TaskTrace): Promise<void> {
    const { log } = this.#options;
    try {
      const { work } = command;
      if (isMigration(work)) await this.#migrate(work, taskTrace);
      else await this.#runSmall(work, taskTrace);
    } catch (thrown) {
      if (this.#options.lease.signal.aborted) return;
      log.error({ event: "task.failed", err: thrown }, "the task could not be run");
      await this.#endUnseen(command, reportedFrom(thrown));
    }
  }

  /** What ends without an end of its own may have left something on its sources: said, so that it is seen to later. */
  async #endUnseen({ taskId, work }: RunCommand, why: ReportedError): Promise<void> {
    if (isMigration(work)) this.#reporter.report(...leftUnseen(taskId, work.selectedDatabases));
    await this.#end("faulted", [why]);
  }

  async #runSmall(work: Parameters<typeof runSmallTask>[0], taskTrace: TaskTrace): Promise<void> {
    this.#smallTask = new AbortController();
    const signal = AbortSignal.any([this.#smallTask.signal, this.#options.lease.signal]);
    const startedMs = Date.now();
    const outcome = await runSmallTask(work, this.#options.secrets, signal);
    if (signal.aborted) return;
    taskTrace.smallTask(
      startedMs,
      outcome.errors.map(({ code }) => code),
    );
    this.#reporter.report(...outcome.items);
    await this.#end(outcome.errors.length > 0 ? "failed" : "succeeded", [...outcome.errors]);
  }

  async #migrate(work: MigrationWork, taskTrace: TaskTrace): Promise<void> {
    const { lease, workerId, logLevel, secrets, pgDumpPath, log } = this.#options;
    this.#migration = new MigrationRun({
      work,
      lease,
      workerId,
      logLevel,
      secrets,
      pgDumpPath,
      trace: taskTrace,
      log,
      report: (...items) => this.#reporter.report(...items),
      flushReports: () => this.#reporter.flush(),
      startThread: startDatabaseThread,
    });
    const result = await this.#migration.run();
    if (result.kind === "ended") await this.#end(result.event, result.errors);
    else if (result.kind === "died") await this.#handBack({ isOrderly: false });
    // "stopped": stop() hands the task back
  }

  /** The task is over for some time. A worker that dies on the way leaves the command for the next one. */
  async #cleanUp(command: CleanUpCommand, message: ServiceBusReceivedMessage): Promise<void> {
    this.#isCleaning = true;
    const { lease, secrets, log, sender, workerId } = this.#options;
    const { taskId, signal } = lease;
    const reporter = new Reporter({ taskId, workerId, epoch: command.afterEpoch + lease.epoch, sender, log, signal });
    let isDone = false;
    try {
      reporter.report(...(await cleanUpLater(command, secrets, log)));
      await reporter.flush();
      await this.#settle(message);
      await lease.forget();
      isDone = true;
    } catch (thrown) {
      log.warn({ event: "cleanup.retry", err: thrown }, "the outcome of a clean-up could not be told; it is done again");
    }
    await lease.release({ isOrderly: !isDone });
    this.#resolveDone();
  }

  async #onLaterCommand(command: Exclude<Command, RunCommand | CleanUpCommand>, message: ServiceBusReceivedMessage): Promise<void> {
    this.#options.log.info({ event: "command.received", type: command.type }, "command received");
    if (command.type === "handOn") {
      void this.#handOn(command, message).catch((thrown: unknown) => this.#options.lease.lose(thrown));
      return;
    }
    if (command.type === "cancel") {
      // Settled at the task's end: a worker that stops or dies before leaves the wish for the next one.
      this.#untilEnd.push(message);
      this.#smallTask?.abort(new Error("cancelled"));
      if (this.#smallTask) await this.#end("cancelled", []);
      else this.#migration?.cancel();
      return;
    }
    void this.#carryOut(command, message);
  }

  /** The message goes first: the next worker must not be told the same. What has begun meanwhile keeps the task here. */
  async #handOn({ workerId, share }: HandOnCommand, message: ServiceBusReceivedMessage): Promise<void> {
    await this.#settle(message);
    if (workerId !== this.#options.workerId || !this.canMove) return;
    this.#options.log.info({ event: "task.handedOn", share }, "another worker has more room: the task is handed on");
    this.#options.onShare(share);
    const timer = setTimeout(() => void this.#migration?.kill(), HAND_ON_MS_MAX);
    await this.stop();
    clearTimeout(timer);
  }

  /** The command is settled once it has an outcome: a worker that dies in the middle leaves it for the next one. */
  async #carryOut(command: CutoverCommand | ReloadCommand, message: ServiceBusReceivedMessage): Promise<void> {
    const { lease, log } = this.#options;
    try {
      if (!this.#migration) throw new MigrationError("Conflict", { detail: "The task is no migration." });
      this.#reporter.report({ kind: "command", commandId: command.commandId, state: "Running", errors: [] });
      const failures = await (command.type === "cutover" ? this.#migration.cutOver(command) : this.#migration.reload(command));
      const isDone = failures.length === 0;
      this.#reporter.report({
        kind: "command",
        commandId: command.commandId,
        state: isDone ? "Succeeded" : "Failed",
        errors: [...failures],
      });
      await this.#reporter.flush();
      await this.#settle(message);
    } catch (thrown) {
      // Not settled: the worker that goes on gets the command again.
      if (lease.signal.aborted || this.#isEnding || thrown instanceof HandedOn) return;
      log.warn({ event: "command.failed", err: thrown }, errors.Unexpected.title);
      this.#reporter.report({ kind: "command", commandId: command.commandId, state: "Failed", errors: [reportedFrom(thrown)] });
      await this.#settle(message);
    }
  }

  /** The task is over: say so, then take its messages from the queue, then forget it. In this order a crash repeats, never loses. */
  async #end(
    event: "succeeded" | "failed" | "faulted" | "cancelled" | "inputRefused",
    taskErrors: readonly ReportedError[],
  ): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { lease, log } = this.#options;
    try {
      this.#reporter.report({ kind: "task", event, errors: [...taskErrors] });
      await this.#reporter.flush();
      if (this.#runMessage) await this.#settle(this.#runMessage);
      for (const message of this.#untilEnd) await this.#settle(message);
      // Only now: a worker that found the start command but no state would take the task for a new one.
      await lease.forget();
      log.info({ event: "task.ended", outcome: event }, "task ended");
      await lease.release({ isOrderly: false });
    } catch (thrown) {
      if (!lease.signal.aborted)
        log.error({ event: "task.end.failed", err: thrown }, "the task's end could not be recorded; the next worker does it");
      await lease.release({ isOrderly: true });
    }
    this.#resolveDone();
  }

  async #handBack({ isOrderly }: { isOrderly: boolean } = { isOrderly: true }): Promise<void> {
    if (this.#isEnding) return this.#done;
    this.#isEnding = true;
    // What was learned goes out before another worker takes over, if the broker lets it.
    await Promise.race([this.#reporter.flush().catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 2_000))]);
    await this.#options.lease.release({ isOrderly });
    this.#resolveDone();
  }

  async #abandonAll(): Promise<void> {
    this.#isEnding = true;
    this.#smallTask?.abort(this.#options.lease.signal.reason);
    await this.#migration?.kill();
    await this.#options.lease.release({ isOrderly: false });
    this.#resolveDone();
  }

  /**
   * One settlement after the other: the AMQP library (rhea 3.0.5) joins dispositions of neighbouring deliveries that are
   * given in one turn, without looking whether they say the same. A dead-lettered message could be completed by that.
   */
  async #settle(
    message: ServiceBusReceivedMessage,
    settle: (message: ServiceBusReceivedMessage) => Promise<void> = (one) => this.#options.receiver.completeMessage(one),
  ): Promise<void> {
    const settled = this.#settling.then(() => settle(message));
    this.#settling = settled.catch(() => undefined);
    await settled;
  }
}

const refused = (commandId: string): ReportItem => ({
  kind: "command",
  commandId,
  state: "Failed",
  errors: [reported("Conflict", { detail: "The task is over." })],
});

const whyMalformed = (isCommand: boolean): { deadLetterReason: string; deadLetterErrorDescription: string } => ({
  deadLetterReason: "MalformedCommand",
  deadLetterErrorDescription: isCommand ? "the task id is not the session's" : "the body is no command of a version that this worker knows",
});
