import { Alarm } from "./alarm.ts";
import { type BrokerConfig, type QueueConfig, type QueueSettings } from "./config.ts";
import { BrokerError, entityNotFound } from "./errors.ts";
import { type Journal } from "./journal.ts";
import { type JournalRecord } from "./journal-records.ts";
import { type EntityHost } from "./message-store.ts";
import { type IncomingMessage } from "./messages.ts";
import { Queue } from "./queue.ts";
import { type Subscription, Topic } from "./topic.ts";

/** What an address stands for. */
export type Entity =
  | { readonly kind: "queue"; readonly queue: Queue }
  | { readonly kind: "subscription"; readonly queue: Queue; readonly subscription: Subscription }
  | { readonly kind: "topic"; readonly topic: Topic };

const forwardHopsMax = 4;
const templateMark = "*";
/** What may stand in the place of a template's star: the characters of an entity name without the slash. */
const templatePart = /^[\w.-]+$/;

/** All entities of the broker, found by name without regard to case. */
export class Namespace implements EntityHost {
  readonly #queues = new Map<string, Queue>();
  readonly #topics = new Map<string, Topic>();
  readonly #templates: readonly QueueConfig[];
  readonly #adjust: (settings: QueueSettings) => QueueSettings;
  readonly #journal: Journal;
  readonly #alarm = new Alarm(() => this.#advance());
  #forwardHops = 0;
  #restoring = true;

  constructor(config: BrokerConfig, journal: Journal, lockDurationOverrideMs?: number) {
    this.#journal = journal;
    this.#adjust = (settings) => ({ ...settings, lockDurationMs: lockDurationOverrideMs ?? settings.lockDurationMs });
    this.#templates = config.queues.filter(({ name }) => name.endsWith(templateMark));
    for (const queue of config.queues) if (!this.#templates.includes(queue)) this.#addQueue(queue.name, queue.settings);
    for (const topic of config.topics) {
      const subscriptions = topic.subscriptions.map((subscription) => ({ ...subscription, settings: this.#adjust(subscription.settings) }));
      this.#topics.set(topic.name.toLowerCase(), new Topic({ ...topic, subscriptions }, this));
    }
    this.#restore();
  }

  now(): number {
    return Date.now();
  }

  record(record: JournalRecord): void {
    if (!this.#restoring) this.#journal.append(record);
  }

  wakeAt(timeMs: number): void {
    if (timeMs !== Infinity) this.#alarm.wakeAt(timeMs);
  }

  forward(entityName: string, message: IncomingMessage): void {
    if (this.#forwardHops >= forwardHopsMax)
      throw new BrokerError("amqp:not-allowed", `A message was forwarded more than ${forwardHopsMax} times.`);
    this.#forwardHops += 1;
    try {
      const entity = this.find(entityName);
      (entity.kind === "topic" ? entity.topic : entity.queue).enqueue(message);
    } finally {
      this.#forwardHops -= 1;
    }
  }

  stop(): void {
    this.#alarm.stop();
    this.#journal.close();
  }

  /**
   * The entity of an address such as `q`, `q/$DeadLetterQueue`, `t` or `t/Subscriptions/s`.
   * @throws BrokerError `amqp:not-found`
   */
  find(address: string): Entity {
    const [path, isDeadLetters] = withoutDeadLetters(address);
    const entity = this.#findMain(path);
    if (entity === undefined) throw entityNotFound(address);
    if (!isDeadLetters) return entity;
    const queue = entity.kind === "topic" ? undefined : entity.queue.deadLetters;
    if (queue === undefined) throw entityNotFound(address);
    return { kind: "queue", queue };
  }

  #findMain(path: string): Entity | undefined {
    const [topicName = "", ...rest] = path.split(/\/subscriptions\//i);
    const topic = this.#topics.get(topicName.toLowerCase());
    if (topic !== undefined && rest.length === 0) return { kind: "topic", topic };
    const subscription = topic?.subscriptions.get(rest.join("").toLowerCase());
    if (subscription !== undefined) return { kind: "subscription", subscription, queue: subscription.queue };
    const queue = this.#queues.get(path.toLowerCase()) ?? this.#queueFromTemplate(path);
    return queue === undefined ? undefined : { kind: "queue", queue };
  }

  #queueFromTemplate(name: string): Queue | undefined {
    const template = this.#templates.find((candidate) => {
      const prefix = candidate.name.slice(0, -templateMark.length).toLowerCase();
      return name.toLowerCase().startsWith(prefix) && templatePart.test(name.slice(prefix.length));
    });
    return template === undefined ? undefined : this.#addQueue(name, template.settings);
  }

  #addQueue(name: string, settings: QueueSettings): Queue {
    if (this.#queues.has(name.toLowerCase())) throw new BrokerError("amqp:not-allowed", `The queue '${name}' is configured twice.`);
    const queue = new Queue(name, this.#adjust(settings), this);
    this.#queues.set(name.toLowerCase(), queue);
    return queue;
  }

  #advance(): void {
    const entities = [...this.#queues.values(), ...this.#topics.values()];
    for (const entity of entities) entity.advance();
    this.wakeAt(Math.min(...entities.map((entity) => entity.nextDeadlineMs())));
  }

  #restore(): void {
    for (const record of this.#journal.read()) this.#restoreRecord(record);
    for (const entity of [...this.#queues.values(), ...this.#topics.values()]) entity.resume();
    this.#restoring = false;
    this.#journal.compact(() => [...this.#queues.values(), ...this.#topics.values()].flatMap((entity) => entity.snapshot()));
    this.#advance();
  }

  /** What belongs to an entity that is no longer configured is dropped. */
  #restoreRecord(record: JournalRecord): void {
    let entity: Entity;
    try {
      entity = this.find(record.path);
    } catch (error) {
      if (error instanceof BrokerError) return;
      throw error;
    }
    if (record.op !== "rules") (entity.kind === "topic" ? entity.topic : entity.queue).restore(record);
    else if (entity.kind === "subscription") entity.subscription.restoreRules(record.rules);
  }
}

const deadLetterPart = /\/(?:\$transfer\/)?\$deadletterqueue$/i;

/** Nothing is ever transferred between namespaces here, so the transfer dead-letter queue is the plain one. */
function withoutDeadLetters(address: string): [path: string, isDeadLetters: boolean] {
  return [address.replace(deadLetterPart, ""), deadLetterPart.test(address)];
}
