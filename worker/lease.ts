import { type ServiceBusSessionReceiver } from "@azure/service-bus";
import { z } from "zod";
import { MigrationError } from "../contracts/errors.ts";
import { type Logger } from "./log.ts";
import { countRetry } from "./telemetry.ts";

/** A lock is renewed when a quarter of it has passed: two renewals may fail, and there is still time for a third. */
const RENEWALS_PER_LOCK = 4;

/** The queue's lock lasts a minute (infra/modules/service-bus.bicep); where it is shorter, it is renewed the sooner. */
const RENEW_INTERVAL_MS_MAX = 15_000;

/**
 * What outlives a worker besides the databases: kept in the session's state, which only the holder of the session's lock
 * can write. The service keeps it until it is set to null, also without messages (manual, "Message session state").
 */
const LeaseState = z.object({
  /** Counts the workers that have held the task. */
  epoch: z.number().int().nonnegative().default(0),
  /** How often it was taken up since it last moved forward. */
  attempts: z.number().int().nonnegative().default(0),
  /** How the databases that are finished ended: what remains when their bookkeeping is gone. */
  ended: z.record(z.string(), z.enum(["COMPLETE", "CANCELLED", "FAILED"])).default({}),
});
export type LeaseState = z.infer<typeof LeaseState>;

/** The right to run one task, as long as its session's lock is renewed. */
export class Lease {
  readonly taskId: string;
  readonly #receiver: ServiceBusSessionReceiver;
  readonly #controller = new AbortController();
  readonly #log: Logger;
  #state: LeaseState;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(receiver: ServiceBusSessionReceiver, state: LeaseState, log: Logger) {
    this.taskId = receiver.sessionId;
    this.#receiver = receiver;
    this.#state = state;
    this.#log = log;
  }

  /** Takes the session up: reads its state, counts this worker in, and keeps the lock from now on. */
  static async take(receiver: ServiceBusSessionReceiver, log: Logger): Promise<Lease> {
    const known = LeaseState.safeParse(toJson(await receiver.getSessionState()));
    const state = known.success ? known.data : LeaseState.parse({});
    const lease = new Lease(receiver, state, log);
    await lease.#write({ epoch: state.epoch + 1, attempts: state.attempts + 1 });
    const lockMs = receiver.sessionLockedUntilUtc.getTime() - Date.now();
    const intervalMs = Math.max(1, Math.min(RENEW_INTERVAL_MS_MAX, lockMs / RENEWALS_PER_LOCK));
    lease.#timer = setInterval(() => void lease.#renew(), intervalMs);
    return lease;
  }

  get epoch(): number {
    return this.#state.epoch;
  }

  get attempts(): number {
    return this.#state.attempts;
  }

  get ended(): LeaseState["ended"] {
    return this.#state.ended;
  }

  /** Aborts when the lock is lost: another worker may have the task, so nothing may be written any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The task has moved forward: it is no task that kills workers. */
  async movedForward(): Promise<void> {
    if (this.#state.attempts > 0) await this.#write({ attempts: 0 });
  }

  /** A database has come to its end; from now on its bookkeeping may go. */
  async databaseEnded(databaseName: string, end: "COMPLETE" | "CANCELLED" | "FAILED"): Promise<void> {
    await this.#write({ ended: { ...this.#state.ended, [databaseName]: end } });
  }

  /** A later epoch was found in a target (the session's state was lost): count on from there. */
  async raiseEpoch(epoch: number): Promise<void> {
    if (epoch >= this.#state.epoch) await this.#write({ epoch: epoch + 1 });
  }

  /** The task is over: nothing needs to be remembered. */
  async forget(): Promise<void> {
    await this.#writing.catch(() => undefined);
    await this.#receiver.setSessionState(null);
  }

  /** Gives the session back so that another worker can have it at once. An orderly hand-over is no failed attempt. */
  async release({ isOrderly }: { isOrderly: boolean }): Promise<void> {
    clearInterval(this.#timer);
    if (isOrderly && !this.signal.aborted) await this.#write({ attempts: Math.max(0, this.#state.attempts - 1) }).catch(() => undefined);
    await this.#receiver.close().catch(() => undefined);
  }

  /** The lock is gone, or must be taken as gone. */
  lose(cause: unknown): void {
    if (this.signal.aborted) return;
    clearInterval(this.#timer);
    this.#log.warn({ event: "lease.lost", err: cause }, "the task's session was lost; stopping all work on it");
    this.#controller.abort(new MigrationError("LostOwnership", { cause }));
  }

  async #renew(): Promise<void> {
    // A process that was paused wakes up with its lock long over: it must not even ask.
    if (this.#isLockOver(undefined)) return this.lose(new Error("the session's lock ran out"));
    try {
      await this.#receiver.renewSessionLock();
    } catch (thrown) {
      // The broker may be away for a moment; the lock is ours until its time is over.
      if (this.#isLockOver(thrown)) this.lose(thrown);
      else {
        countRetry("renew lease");
        this.#log.warn({ event: "lease.renew.retry", err: thrown }, "the session's lock could not be renewed yet");
      }
    }
  }

  #isLockOver(thrown: unknown): boolean {
    const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
    return code === "SessionLockLost" || this.#receiver.isClosed || this.#receiver.sessionLockedUntilUtc.getTime() <= Date.now();
  }

  /** One write after the other; the state in memory is the one last written. */
  async #write(change: Partial<LeaseState>): Promise<void> {
    const write = this.#writing.then(
      () => this.#writeNow(change),
      () => this.#writeNow(change),
    );
    this.#writing = write.catch(() => undefined);
    await write;
  }

  async #writeNow(change: Partial<LeaseState>): Promise<void> {
    const next = { ...this.#state, ...change };
    await this.#receiver.setSessionState(next);
    this.#state = next;
  }
}

/** The SDK gives the state back as it was set, or as bytes. */
function toJson(state: unknown): unknown {
  if (Buffer.isBuffer(state)) return JSON.parse(state.toString("utf8")) as unknown;
  if (typeof state === "string") return JSON.parse(state) as unknown;
  return state ?? {};
}
