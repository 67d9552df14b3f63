import { Backlog } from "./backlog.ts";
import { type QueueSettings } from "./config.ts";
import { type Outcome } from "./consumer.ts";
import { Dispatcher, type LockedDelivery } from "./dispatcher.ts";
import { DuplicateDetection } from "./duplicates.ts";
import { BrokerError, asBrokerError, messageLockLost } from "./errors.ts";
import { type JournalRecord } from "./journal-records.ts";
import { type Lock, LockTable } from "./locks.ts";
import { type EntityHost } from "./message-store.ts";
import { type IncomingMessage, type StoredMessage } from "./messages.ts";
import { withApplicationProperties } from "./properties.ts";
import { SessionAccess } from "./session-access.ts";
import { type Requester } from "./sessions.ts";

const deadLetterSuffix = "/$DeadLetterQueue";

/** A queue, a subscription, or the dead-letter queue of either. Knows nothing of AMQP. */
export class Queue {
  readonly path: string;
  readonly settings: QueueSettings;
  /** Undefined for a dead-letter queue, which has none of its own. */
  readonly deadLetters: Queue | undefined;
  readonly receivers: Dispatcher;
  readonly sessions: SessionAccess;
  readonly #host: EntityHost;
  readonly #backlog: Backlog;
  readonly #locks = new LockTable();
  readonly #duplicates: DuplicateDetection;

  constructor(path: string, settings: QueueSettings, host: EntityHost) {
    this.path = path;
    this.settings = settings;
    this.#host = host;
    this.#duplicates = new DuplicateDetection(path, settings.duplicateWindowMs, host);
    this.deadLetters = path.endsWith(deadLetterSuffix) ? undefined : new Queue(path + deadLetterSuffix, deadLetterSettings(settings), host);
    this.#backlog = new Backlog(
      path,
      settings,
      host,
      this.deadLetters === undefined ? undefined : (message) => this.#moveToDeadLetters(message),
    );
    const { lockDurationMs } = settings;
    this.receivers = new Dispatcher({ backlog: this.#backlog, locks: this.#locks, host, lockDurationMs });
    this.sessions = new SessionAccess({ path, table: this.#backlog.sessions, host, lockDurationMs });
  }

  get messageCount(): number {
    return this.#backlog.store.size;
  }

  /** @throws BrokerError `amqp:not-allowed` when an entity with sessions gets a message without a session id. */
  check({ sessionId }: IncomingMessage): void {
    if (this.#backlog.sessions === undefined || sessionId !== undefined) return;
    throw new BrokerError("amqp:not-allowed", `The SessionId was not set on a message, and the entity '${this.path}' requires sessions.`);
  }

  /** @returns the sequence number; 0 if the message was a duplicate, which is dropped silently, or was forwarded */
  enqueue(message: IncomingMessage): number {
    this.check(message);
    if (this.#duplicates.isDuplicate(message.messageId)) return 0;
    if (message.scheduledTimeMs === undefined || message.scheduledTimeMs <= this.#host.now()) return this.#activate(message);
    return this.#backlog.store.add(message, { state: "scheduled", expiryTimeMs: Infinity }).sequenceNumber;
  }

  #activate(message: IncomingMessage, enqueuedSequenceNumber?: number): number {
    if (this.settings.forwardTo !== undefined) {
      this.#forward(this.settings.forwardTo, { ...message, scheduledTimeMs: undefined });
      return 0;
    }
    const stored = this.#backlog.add(message, enqueuedSequenceNumber);
    this.#offer(stored);
    return stored.sequenceNumber;
  }

  #moveToDeadLetters(message: IncomingMessage): void {
    const { forwardDeadLettersTo } = this.settings;
    if (forwardDeadLettersTo === undefined) this.deadLetters?.enqueue(message);
    else this.#forward(forwardDeadLettersTo, { ...message, deadLetterSource: this.path });
  }

  /** What the other entity does not take is kept here, with the reason. */
  #forward(entityName: string, message: IncomingMessage): void {
    try {
      this.#host.forward(entityName, message);
    } catch (error) {
      const { condition, message: description } = asBrokerError(error);
      const changes = { DeadLetterReason: condition, DeadLetterErrorDescription: description };
      this.deadLetters?.enqueue({ ...message, sections: withApplicationProperties(message.sections, changes) });
    }
  }

  /** @throws BrokerError `com.microsoft:message-not-found` */
  cancelScheduled(sequenceNumbers: readonly number[]): void {
    for (const message of this.#inState(sequenceNumbers, "scheduled")) this.#backlog.store.remove(message);
  }

  peek(fromSequenceNumber: number, count: number, sessionId: string | undefined): StoredMessage[] {
    this.advance();
    return this.#backlog.store.peek(fromSequenceNumber, count, sessionId);
  }

  /** @throws BrokerError `com.microsoft:message-lock-lost`, or `…session-lock-lost` in an entity with sessions. */
  settle(token: string, outcome: Outcome): void {
    this.advance();
    const lock = this.#locks.find(token);
    if (lock === undefined) throw this.#lockLost();
    this.#locks.remove(lock);
    const { message } = lock;
    if (outcome.kind === "complete") return this.#backlog.remove(message);
    if (outcome.kind === "dead-letter") this.#backlog.deadLetter(message, outcome);
    else this.#putBack(message, outcome);
    this.receivers.deliverMessage(message);
  }

  #putBack(message: StoredMessage, outcome: Extract<Outcome, { kind: "abandon" | "defer" }>): void {
    if (outcome.properties !== undefined && Object.keys(outcome.properties).length > 0) {
      message.sections = withApplicationProperties(message.sections, outcome.properties);
      this.#backlog.store.update(message);
    }
    if (outcome.kind === "abandon") return this.#backlog.fail(message);
    message.state = "deferred";
    this.#backlog.store.update(message);
  }

  /** @returns the new ends of the locks. @throws BrokerError `com.microsoft:message-lock-lost` */
  renewLocks(tokens: readonly string[]): number[] {
    this.advance();
    if (this.#backlog.sessions !== undefined)
      throw new BrokerError("amqp:not-allowed", "The lock of a session is renewed, not those of its messages.");
    const locks = tokens.map((token) => this.#locks.find(token));
    return locks.map((lock) => {
      if (lock === undefined) throw messageLockLost();
      this.#locks.renew(lock, this.#lockEndMs());
      return lock.expiryMs;
    });
  }

  /** @throws BrokerError `com.microsoft:message-not-found` when a message is not deferred here or is locked. */
  receiveDeferred(
    sequenceNumbers: readonly number[],
    session: { id: string; requester: Requester } | undefined,
  ): [StoredMessage, LockedDelivery][] {
    this.advance();
    const held =
      this.#backlog.sessions === undefined || session === undefined ? undefined : this.sessions.held(session.id, session.requester);
    return this.#inState(sequenceNumbers, "deferred").map((message) => [message, this.receivers.lock(message, held)]);
  }

  /** Carries out everything whose time has come. */
  advance(): void {
    const nowMs = this.#host.now();
    for (const message of this.#backlog.store.takeDue()) this.#activate(message, message.sequenceNumber);
    this.#failExpired(this.#locks.expired(nowMs));
    this.receivers.endSessions(nowMs);
    this.#backlog.expireDue((sequenceNumber) => this.#locks.isLocked(sequenceNumber));
    this.deadLetters?.advance();
  }

  #failExpired(locks: readonly Lock[]): void {
    for (const lock of locks) {
      this.#locks.remove(lock);
      this.#backlog.fail(lock.message);
    }
    if (locks.length > 0) this.receivers.deliverToAny();
  }

  nextDeadlineMs(): number {
    return Math.min(
      this.#backlog.store.nextScheduledMs(),
      this.#backlog.nextExpiryMs(),
      this.#locks.nextExpiryMs(),
      this.#backlog.sessions?.nextDeadlineMs() ?? Infinity,
      this.deadLetters?.nextDeadlineMs() ?? Infinity,
    );
  }

  restore(record: JournalRecord): void {
    if (record.op === "seen") this.#duplicates.restore(record);
    else this.#backlog.restore(record);
  }

  /** After the last `restore`. */
  resume(): void {
    this.#backlog.resume();
    this.deadLetters?.resume();
  }

  snapshot(): JournalRecord[] {
    return [...this.#backlog.snapshot(), ...this.#duplicates.snapshot(), ...(this.deadLetters?.snapshot() ?? [])];
  }

  #offer(message: StoredMessage): void {
    this.#backlog.makeAvailable(message);
    this.receivers.deliverMessage(message);
  }

  #inState(sequenceNumbers: readonly number[], state: "deferred" | "scheduled"): StoredMessage[] {
    return sequenceNumbers.map((sequenceNumber) => {
      const message = this.#backlog.store.get(sequenceNumber);
      if (message?.state === state && !this.#locks.isLocked(sequenceNumber)) return message;
      throw new BrokerError(
        "com.microsoft:message-not-found",
        `The entity '${this.path}' has no ${state} message with the sequence number ${sequenceNumber}.`,
      );
    });
  }

  #lockLost(): BrokerError {
    if (this.#backlog.sessions === undefined) return messageLockLost();
    return new BrokerError("com.microsoft:session-lock-lost", "The session lock was lost. Request a new session receiver.");
  }

  #lockEndMs(): number {
    const endMs = this.#host.now() + this.settings.lockDurationMs;
    this.#host.wakeAt(endMs);
    return endMs;
  }
}

/** A dead-letter queue has no expiry, no sessions and no delivery limit. */
function deadLetterSettings({ lockDurationMs }: QueueSettings): QueueSettings {
  return {
    lockDurationMs,
    maxDeliveryCount: Infinity,
    defaultTimeToLiveMs: Infinity,
    deadLetterOnExpiry: false,
    requiresSession: false,
    duplicateWindowMs: 0,
  };
}
