import { MinHeap } from "./heap.ts";
import { type JournalRecord, putRecord } from "./journal-records.ts";
import { type IncomingMessage, type MessageState, type StoredMessage } from "./messages.ts";

/** What an entity needs of its surroundings. */
export interface EntityHost {
  now(): number;
  record(record: JournalRecord): void;
  /** Calls `advance` of every entity at that time or soon after. Infinity is ignored. */
  wakeAt(timeMs: number): void;
  /** Puts a message into another entity (auto-forwarding). @throws BrokerError when that does not take it */
  forward(entityName: string, message: IncomingMessage): void;
}

export interface Enqueued {
  readonly state: MessageState;
  readonly expiryTimeMs: number;
  readonly enqueuedSequenceNumber?: number | undefined;
}

/** The messages of one entity, in order of their sequence numbers, and those of them that wait for their time. */
export class MessageStore {
  readonly path: string;
  readonly #host: EntityHost;
  /** Numbers only rise, so insertion order is number order. */
  readonly #messages = new Map<number, StoredMessage>();
  readonly #scheduled = new MinHeap<number>();
  #lastSequenceNumber = 0;

  constructor(path: string, host: EntityHost) {
    this.path = path;
    this.#host = host;
  }

  get size(): number {
    return this.#messages.size;
  }

  add(message: IncomingMessage, { state, expiryTimeMs, enqueuedSequenceNumber }: Enqueued): StoredMessage {
    const stored: StoredMessage = {
      ...message,
      sequenceNumber: ++this.#lastSequenceNumber,
      enqueuedSequenceNumber,
      enqueuedTimeMs: this.#host.now(),
      expiryTimeMs,
      state,
      deliveryCount: message.deliveryCount ?? 0,
    };
    this.#insert(stored);
    this.#host.record(putRecord(this.path, stored));
    return stored;
  }

  get(sequenceNumber: number): StoredMessage | undefined {
    return this.#messages.get(sequenceNumber);
  }

  remove(message: StoredMessage): void {
    if (!this.#messages.delete(message.sequenceNumber)) return;
    this.#host.record({ op: "remove", path: this.path, sequenceNumber: message.sequenceNumber });
  }

  /** Writes a changed message down again. */
  update(message: StoredMessage): void {
    this.#host.record(putRecord(this.path, message));
  }

  updateDeliveryCount({ sequenceNumber, deliveryCount }: StoredMessage): void {
    this.#host.record({ op: "count", path: this.path, sequenceNumber, deliveryCount });
  }

  /** Messages from a sequence number on, in order, whatever their state and locks. */
  peek(fromSequenceNumber: number, count: number, sessionId: string | undefined): StoredMessage[] {
    const found: StoredMessage[] = [];
    for (const message of this.#messages.values()) {
      if (found.length >= count) break;
      const wanted = message.sequenceNumber >= fromSequenceNumber && (sessionId === undefined || message.sessionId === sessionId);
      if (wanted) found.push(message);
    }
    return found;
  }

  nextScheduledMs(): number {
    return this.#scheduled.head()?.key ?? Infinity;
  }

  /** Takes out the messages whose time has come, in order of that time. */
  takeDue(): StoredMessage[] {
    const due: StoredMessage[] = [];
    for (let head = this.#scheduled.head(); head !== undefined && head.key <= this.#host.now(); head = this.#scheduled.head()) {
      this.#scheduled.pop();
      const message = this.#messages.get(head.value);
      if (message?.state !== "scheduled") continue;
      this.remove(message);
      due.push(message);
    }
    return due;
  }

  restore(record: Extract<JournalRecord, { op: "put" | "remove" | "count" | "sequence" }>): void {
    switch (record.op) {
      case "put":
        this.#lastSequenceNumber = Math.max(this.#lastSequenceNumber, record.message.sequenceNumber);
        return this.#insert(record.message);
      case "remove":
        this.#messages.delete(record.sequenceNumber);
        return;
      case "count": {
        const message = this.#messages.get(record.sequenceNumber);
        if (message !== undefined) message.deliveryCount = record.deliveryCount;
        return;
      }
      case "sequence":
        this.#lastSequenceNumber = Math.max(this.#lastSequenceNumber, record.last);
    }
  }

  /** All that a restart needs, as few records as possible. */
  snapshot(): JournalRecord[] {
    if (this.#lastSequenceNumber === 0) return [];
    const messages = [...this.#messages.values()].map((message) => putRecord(this.path, message));
    return [{ op: "sequence", path: this.path, last: this.#lastSequenceNumber }, ...messages];
  }

  #insert(message: StoredMessage): void {
    this.#messages.set(message.sequenceNumber, message);
    if (message.state !== "scheduled" || message.scheduledTimeMs === undefined) return;
    this.#scheduled.push(message.scheduledTimeMs, message.sequenceNumber);
    this.#host.wakeAt(message.scheduledTimeMs);
  }
}
