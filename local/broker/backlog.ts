import { type QueueSettings } from "./config.ts";
import { MinHeap } from "./heap.ts";
import { type JournalRecord } from "./journal-records.ts";
import { type EntityHost, MessageStore } from "./message-store.ts";
import { type IncomingMessage, type StoredMessage } from "./messages.ts";
import { withApplicationProperties } from "./properties.ts";
import { type Session, SessionTable } from "./sessions.ts";

export interface DeadLetterReason {
  readonly reason?: string | undefined;
  readonly description?: string | undefined;
  readonly properties?: Readonly<Record<string, unknown>> | undefined;
}

/** The messages of a queue and their fate: which can be delivered, which expire, which failed too often. */
export class Backlog {
  readonly sessions: SessionTable | undefined;
  readonly store: MessageStore;
  readonly #settings: QueueSettings;
  readonly #host: EntityHost;
  readonly #moveToDeadLetters: ((message: IncomingMessage) => void) | undefined;
  /** Numbers of the messages that can be delivered, in entities without sessions; else each session has its own. */
  readonly #active = new MinHeap<number>();
  readonly #expiries = new MinHeap<number>();

  /** Without `moveToDeadLetters` (a dead-letter queue) messages neither expire nor fail. */
  constructor(path: string, settings: QueueSettings, host: EntityHost, moveToDeadLetters?: (message: IncomingMessage) => void) {
    this.#settings = settings;
    this.#host = host;
    this.#moveToDeadLetters = moveToDeadLetters;
    this.store = new MessageStore(path, host);
    this.sessions = settings.requiresSession ? new SessionTable() : undefined;
  }

  /** Adds a message that can be delivered at once. */
  add(message: IncomingMessage, enqueuedSequenceNumber: number | undefined): StoredMessage {
    const lifetimeMs = Math.min(message.timeToLiveMs ?? Infinity, this.#settings.defaultTimeToLiveMs);
    const expiryTimeMs = this.#moveToDeadLetters === undefined ? Infinity : this.#host.now() + lifetimeMs;
    const stored = this.store.add(message, { state: "active", expiryTimeMs, enqueuedSequenceNumber });
    this.#track(stored);
    return stored;
  }

  remove(message: StoredMessage): void {
    this.store.remove(message);
    const session = this.#sessionOf(message);
    if (session === undefined) return;
    session.messageCount -= 1;
    this.sessions?.forgetIfEmpty(session);
  }

  /** Back to its old place in the queue; a deferred message stays deferred. */
  makeAvailable(message: StoredMessage): void {
    if (message.state !== "active") return;
    if (message.expiryTimeMs <= this.#host.now()) return this.#expire(message);
    const session = this.#sessionOf(message);
    (session?.active ?? this.#active).push(message.sequenceNumber, message.sequenceNumber);
    if (session !== undefined && session.holder === undefined) this.sessions?.markReady(session);
  }

  /** The next message to deliver (of a session), still in its place. */
  first(session: Session | undefined): StoredMessage | undefined {
    const heap = session?.active ?? this.#active;
    for (let head = heap.head(); head !== undefined; head = heap.head()) {
      const message = this.store.get(head.value);
      if (message !== undefined && message.expiryTimeMs > this.#host.now()) return message;
      heap.pop();
      if (message !== undefined) this.#expire(message);
    }
    return undefined;
  }

  takeFirst(session: Session | undefined): void {
    (session?.active ?? this.#active).pop();
  }

  /** A delivery failed (abandoned, or the lock ran out): back to the queue, or to the dead letters after the last one. */
  fail(message: StoredMessage): void {
    message.deliveryCount += 1;
    const deliveriesMax = this.#settings.maxDeliveryCount;
    if (this.#moveToDeadLetters !== undefined && message.deliveryCount >= deliveriesMax) {
      const description = `Message could not be consumed after ${deliveriesMax} delivery attempts.`;
      return this.deadLetter(message, { reason: "MaxDeliveryCountExceeded", description });
    }
    this.store.updateDeliveryCount(message);
    this.makeAvailable(message);
  }

  deadLetter(message: StoredMessage, { reason, description, properties }: DeadLetterReason): void {
    if (this.#moveToDeadLetters === undefined) return this.makeAvailable(message);
    this.remove(message);
    const changes: Record<string, unknown> = { ...properties };
    if (reason !== undefined) changes["DeadLetterReason"] = reason;
    if (description !== undefined) changes["DeadLetterErrorDescription"] = description;
    const { sections, messageId, sessionId, deliveryCount } = message;
    this.#moveToDeadLetters({ sections: withApplicationProperties(sections, changes), messageId, sessionId, deliveryCount });
  }

  /** Removes what has expired. Locked messages are looked at again when they are released; deferred ones do not expire. */
  expireDue(isLocked: (sequenceNumber: number) => boolean): void {
    for (let head = this.#expiries.head(); head !== undefined && head.key <= this.#host.now(); head = this.#expiries.head()) {
      this.#expiries.pop();
      const message = this.store.get(head.value);
      if (message?.state === "active" && !isLocked(message.sequenceNumber)) this.#expire(message);
    }
  }

  nextExpiryMs(): number {
    return this.#expiries.head()?.key ?? Infinity;
  }

  restore(record: JournalRecord): void {
    if (record.op === "session") this.#restoreSession(record.sessionId, record.state);
    else if (record.op === "put" || record.op === "remove" || record.op === "count" || record.op === "sequence") this.store.restore(record);
  }

  #restoreSession(sessionId: string, state: Buffer | null): void {
    const session = this.sessions?.open(sessionId);
    if (session === undefined) return;
    session.state = state;
    this.sessions?.forgetIfEmpty(session);
  }

  /** After the last `restore`: everything that is not deferred or scheduled can be delivered again. */
  resume(): void {
    for (const message of this.store.peek(0, Infinity, undefined)) {
      if (message.state === "scheduled") continue;
      this.#track(message);
      this.makeAvailable(message);
    }
  }

  snapshot(): JournalRecord[] {
    const path = this.store.path;
    const withState = (this.sessions?.all() ?? []).filter(({ state }) => state !== null);
    return [...this.store.snapshot(), ...withState.map(({ id, state }): JournalRecord => ({ op: "session", path, sessionId: id, state }))];
  }

  #track(message: StoredMessage): void {
    const session = this.#sessionOf(message);
    if (session !== undefined) session.messageCount += 1;
    if (message.expiryTimeMs === Infinity) return;
    this.#expiries.push(message.expiryTimeMs, message.sequenceNumber);
    this.#expiries.compact(this.store.size, (sequenceNumber) => this.store.get(sequenceNumber) !== undefined);
    this.#host.wakeAt(message.expiryTimeMs);
  }

  #expire(message: StoredMessage): void {
    if (!this.#settings.deadLetterOnExpiry) return this.remove(message);
    const description = "The message expired and was dead lettered.";
    this.deadLetter(message, { reason: "TTLExpiredException", description });
  }

  #sessionOf({ sessionId }: StoredMessage): Session | undefined {
    return sessionId === undefined ? undefined : this.sessions?.open(sessionId);
  }
}
