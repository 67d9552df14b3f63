import { type SubscriptionConfig, type TopicConfig } from "./config.ts";
import { DuplicateDetection } from "./duplicates.ts";
import { BrokerError } from "./errors.ts";
import { type JournalRecord } from "./journal-records.ts";
import { type EntityHost, MessageStore } from "./message-store.ts";
import { type IncomingMessage } from "./messages.ts";
import { Queue } from "./queue.ts";
import { type Rule, RuleSet, defaultRule } from "./rules.ts";

/** A subscription: a queue behind rules. */
export class Subscription {
  readonly queue: Queue;
  readonly #host: EntityHost;
  #rules: RuleSet;
  /** Only rules that differ from the configured ones are written down, or a later change of the configuration had no effect. */
  #rulesChanged = false;

  constructor(path: string, { settings, rules }: SubscriptionConfig, host: EntityHost) {
    this.queue = new Queue(path, settings, host);
    this.#host = host;
    this.#rules = new RuleSet(rules.length === 0 ? [defaultRule] : rules);
  }

  get rules(): readonly Rule[] {
    return this.#rules.rules;
  }

  addRule(rule: Rule): void {
    this.#rules.add(rule);
    this.#recordRules();
  }

  removeRule(name: string): void {
    this.#rules.remove(name);
    this.#recordRules();
  }

  #recordRules(): void {
    this.#rulesChanged = true;
    this.#host.record({ op: "rules", path: this.queue.path, rules: this.#rules.rules });
  }

  restoreRules(rules: readonly Rule[]): void {
    this.#rules = new RuleSet(rules);
    this.#rulesChanged = true;
  }

  publish(message: IncomingMessage): void {
    for (const sections of this.#rules.copies(message.sections)) this.queue.enqueue({ ...message, sections });
  }

  snapshot(): JournalRecord[] {
    const rules: JournalRecord[] = this.#rulesChanged ? [{ op: "rules", path: this.queue.path, rules: this.#rules.rules }] : [];
    return [...rules, ...this.queue.snapshot()];
  }
}

/** A topic holds only what is scheduled; everything else goes to its subscriptions at once. */
export class Topic {
  readonly path: string;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  readonly #defaultTimeToLiveMs: number;
  readonly #host: EntityHost;
  readonly #store: MessageStore;
  readonly #duplicates: DuplicateDetection;

  constructor({ name, defaultTimeToLiveMs, duplicateWindowMs, subscriptions }: TopicConfig, host: EntityHost) {
    this.path = name;
    this.#defaultTimeToLiveMs = defaultTimeToLiveMs;
    this.#host = host;
    this.#store = new MessageStore(name, host);
    this.#duplicates = new DuplicateDetection(name, duplicateWindowMs, host);
    const make = (config: SubscriptionConfig): Subscription => new Subscription(`${name}/Subscriptions/${config.name}`, config, host);
    this.subscriptions = new Map(subscriptions.map((config) => [config.name.toLowerCase(), make(config)]));
  }

  /** @throws BrokerError when a subscription could not take the message. */
  check(message: IncomingMessage): void {
    for (const { queue } of this.subscriptions.values()) queue.check(message);
  }

  /** @returns the sequence number of a scheduled message; 0 for what went on at once or was a duplicate */
  enqueue(message: IncomingMessage): number {
    this.check(message);
    if (this.#duplicates.isDuplicate(message.messageId)) return 0;
    const nowMs = this.#host.now();
    if (message.scheduledTimeMs !== undefined && message.scheduledTimeMs > nowMs) {
      return this.#store.add(message, { state: "scheduled", expiryTimeMs: Infinity }).sequenceNumber;
    }
    this.#publish(message);
    return 0;
  }

  #publish(message: IncomingMessage): void {
    const timeToLiveMs = Math.min(message.timeToLiveMs ?? Infinity, this.#defaultTimeToLiveMs);
    for (const subscription of this.subscriptions.values()) subscription.publish({ ...message, timeToLiveMs, scheduledTimeMs: undefined });
  }

  /** @throws BrokerError `com.microsoft:message-not-found` */
  cancelScheduled(sequenceNumbers: readonly number[]): void {
    const messages = sequenceNumbers.map((sequenceNumber) => {
      const message = this.#store.get(sequenceNumber);
      if (message !== undefined) return message;
      throw new BrokerError(
        "com.microsoft:message-not-found",
        `The topic '${this.path}' has no scheduled message with the sequence number ${sequenceNumber}.`,
      );
    });
    for (const message of messages) this.#store.remove(message);
  }

  advance(): void {
    for (const message of this.#store.takeDue()) this.#publish(message);
    for (const { queue } of this.subscriptions.values()) queue.advance();
  }

  nextDeadlineMs(): number {
    const queues = [...this.subscriptions.values()].map(({ queue }) => queue.nextDeadlineMs());
    return Math.min(this.#store.nextScheduledMs(), ...queues);
  }

  restore(record: JournalRecord): void {
    if (record.op === "seen") this.#duplicates.restore(record);
    else if (record.op === "put" || record.op === "remove" || record.op === "sequence") this.#store.restore(record);
  }

  resume(): void {
    for (const { queue } of this.subscriptions.values()) queue.resume();
  }

  snapshot(): JournalRecord[] {
    const subscriptions = [...this.subscriptions.values()].flatMap((subscription) => subscription.snapshot());
    return [...this.#store.snapshot(), ...this.#duplicates.snapshot(), ...subscriptions];
  }
}
