import { type Backlog } from "./backlog.ts";
import { type Consumer } from "./consumer.ts";
import { BrokerError, sessionLockLost } from "./errors.ts";
import { type Lock, type LockTable } from "./locks.ts";
import { type EntityHost } from "./message-store.ts";
import { type StoredMessage } from "./messages.ts";
import { type Session, type SessionConsumer, type SessionTable } from "./sessions.ts";

export interface LockedDelivery {
  readonly lock: Lock;
  readonly lockedUntilMs: number;
}

interface DispatcherOptions {
  readonly backlog: Backlog;
  readonly locks: LockTable;
  readonly host: EntityHost;
  readonly lockDurationMs: number;
}

/** Hands the messages of one queue to its receivers, as far as these have credit. */
export class Dispatcher {
  readonly #backlog: Backlog;
  readonly #locks: LockTable;
  readonly #host: EntityHost;
  readonly #lockDurationMs: number;
  readonly #consumers: Consumer[] = [];

  constructor({ backlog, locks, host, lockDurationMs }: DispatcherOptions) {
    this.#backlog = backlog;
    this.#locks = locks;
    this.#host = host;
    this.#lockDurationMs = lockDurationMs;
  }

  /** @throws BrokerError `amqp:not-allowed` when the entity has sessions. */
  attach(consumer: Consumer): void {
    if (this.#backlog.sessions !== undefined) {
      throw this.#notAllowed("It is not possible for an entity that requires sessions to create a non-sessionful message receiver");
    }
    this.#consumers.push(consumer);
  }

  /** @throws BrokerError `com.microsoft:session-cannot-be-locked`, or `amqp:not-allowed` for an entity without sessions. */
  acceptSession(sessionId: string, consumer: SessionConsumer): void {
    const expiryMs = this.#host.now() + this.#lockDurationMs;
    this.#requireSessions().hold(sessionId, consumer, expiryMs);
    this.#host.wakeAt(expiryMs);
    consumer.accepted(sessionId, expiryMs);
  }

  /** Gives the consumer the next unlocked session with messages, or refuses it with `com.microsoft:timeout` after the wait. */
  acceptNextSession(consumer: SessionConsumer, waitMs: number): void {
    const deadlineMs = this.#host.now() + waitMs;
    this.#requireSessions().wait({ consumer, deadlineMs });
    this.#host.wakeAt(deadlineMs);
    this.offerSessions();
  }

  /** The consumer's link is gone. Its session is free at once; messages locked outside a session stay so until their locks end. */
  detach(consumer: Consumer): void {
    const index = this.#consumers.indexOf(consumer);
    if (index >= 0) this.#consumers.splice(index, 1);
    this.#backlog.sessions?.stopWaiting(consumer);
    const session = this.#sessionHeldBy(consumer);
    // A closed session does not count as a failed delivery; one that runs out does.
    if (session !== undefined) this.#releaseSession(session, (message) => this.#backlog.makeAvailable(message));
    this.offerSessions();
  }

  /** Delivers what the consumer's credit allows. */
  deliverTo(consumer: Consumer): void {
    if (this.#backlog.sessions === undefined) return this.deliverToAny();
    const session = this.#sessionHeldBy(consumer);
    if (session !== undefined) this.#deliverSession(session);
  }

  /** The message has become available. */
  deliverMessage({ sessionId }: StoredMessage): void {
    const { sessions } = this.#backlog;
    if (sessions === undefined || sessionId === undefined) return this.deliverToAny();
    const session = sessions.find(sessionId);
    if (session?.holder === undefined) this.offerSessions();
    else this.#deliverSession(session);
  }

  deliverToAny(): void {
    if (this.#backlog.sessions !== undefined) return;
    for (let message = this.#backlog.first(undefined); message !== undefined; message = this.#backlog.first(undefined)) {
      const index = this.#consumers.findIndex((candidate) => candidate.credit() > 0);
      const consumer = this.#consumers[index];
      if (consumer === undefined) return;
      // Whoever is served goes to the end of the row, so that all with credit get their turn.
      this.#consumers.push(...this.#consumers.splice(0, index + 1));
      this.#backlog.takeFirst(undefined);
      this.#deliver(consumer, message, undefined);
    }
  }

  /** Gives ready sessions to those who wait for one. */
  offerSessions(): void {
    const { sessions } = this.#backlog;
    while (sessions?.firstWaiter() !== undefined) {
      const session = sessions.firstReady();
      if (session === undefined) return;
      if (this.#backlog.first(session) === undefined) {
        sessions.markNotReady(session);
        continue;
      }
      const waiter = sessions.takeFirstWaiter();
      if (waiter !== undefined) this.acceptSession(session.id, waiter.consumer);
    }
  }

  lock(message: StoredMessage, session: Session | undefined): LockedDelivery {
    if (session?.holder !== undefined)
      return { lock: this.#locks.lock(message, Infinity, session.id), lockedUntilMs: session.holder.expiryMs };
    const lockedUntilMs = this.#host.now() + this.#lockDurationMs;
    this.#host.wakeAt(lockedUntilMs);
    return { lock: this.#locks.lock(message, lockedUntilMs), lockedUntilMs };
  }

  /** Ends the session locks that ran out, and the waits for a session that lasted long enough. */
  endSessions(nowMs: number): void {
    const { sessions } = this.#backlog;
    if (sessions === undefined) return;
    for (const session of sessions.held()) {
      const { holder } = session;
      if (holder === undefined || holder.expiryMs > nowMs) continue;
      this.#releaseSession(session, (message) => this.#backlog.fail(message));
      holder.consumer.detach(sessionLockLost(session.id));
    }
    for (const { consumer } of sessions.takeTimedOut(nowMs)) {
      consumer.detach(
        new BrokerError(
          "com.microsoft:timeout",
          "The operation did not complete within the allotted time: no unlocked session has messages.",
        ),
      );
    }
    this.offerSessions();
  }

  #deliverSession(session: Session): void {
    for (let message = this.#backlog.first(session); message !== undefined; message = this.#backlog.first(session)) {
      const consumer = session.holder?.consumer;
      if (consumer === undefined || consumer.credit() <= 0) return;
      this.#backlog.takeFirst(session);
      this.#deliver(consumer, message, session);
    }
  }

  #deliver(consumer: Consumer, message: StoredMessage, session: Session | undefined): void {
    if (consumer.mode === "receive-and-delete") {
      this.#backlog.remove(message);
      consumer.deliver(message, undefined);
    } else {
      consumer.deliver(message, this.lock(message, session));
    }
  }

  #releaseSession(session: Session, release: (message: StoredMessage) => void): void {
    const locks = this.#locks.ofSession(session.id);
    this.#backlog.sessions?.release(session);
    for (const lock of locks) {
      this.#locks.remove(lock);
      release(lock.message);
    }
    if (this.#backlog.first(session) !== undefined) this.#backlog.sessions?.markReady(session);
  }

  #sessionHeldBy(consumer: Consumer): Session | undefined {
    return this.#backlog.sessions?.held().find(({ holder }) => holder?.consumer === consumer);
  }

  #requireSessions(): SessionTable {
    const { sessions } = this.#backlog;
    if (sessions === undefined)
      throw this.#notAllowed("A sessionful message receiver cannot be created on an entity that does not require sessions");
    return sessions;
  }

  #notAllowed(problem: string): BrokerError {
    return new BrokerError("amqp:not-allowed", `${problem}. Entity: '${this.#backlog.store.path}'.`);
  }
}
