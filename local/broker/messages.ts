import { randomUUID } from "node:crypto";
import { type AmqpMap, type Typed, int, long, readList, readMap, string, symbol, timestamp, uint, writeList, writeMap } from "./codec.ts";
import { sectionCode, splitSections } from "./sections.ts";

/** A message's sections as the sender encoded them. The body keeps its kind (data, sequence, value) and the footer. */
export interface MessageSections {
  readonly header?: Buffer | undefined;
  readonly annotations?: Buffer | undefined;
  readonly properties: Buffer;
  readonly applicationProperties?: Buffer | undefined;
  readonly body: Buffer;
}

/** A message as sent: not yet in an entity, so without a sequence number. */
export interface IncomingMessage {
  readonly sections: MessageSections;
  readonly messageId: string;
  readonly sessionId?: string | undefined;
  readonly timeToLiveMs?: number | undefined;
  readonly scheduledTimeMs?: number | undefined;
  readonly deliveryCount?: number;
  readonly deadLetterSource?: string | undefined;
}

export type MessageState = "active" | "deferred" | "scheduled";

/** A message in an entity. */
export interface StoredMessage extends IncomingMessage {
  readonly sequenceNumber: number;
  readonly enqueuedSequenceNumber?: number | undefined;
  readonly enqueuedTimeMs: number;
  /** Infinity if the message does not expire. */
  readonly expiryTimeMs: number;
  state: MessageState;
  /** Deliveries that failed. */
  deliveryCount: number;
  sections: MessageSections;
}

const stateNumbers: Readonly<Record<MessageState, number>> = { active: 0, deferred: 1, scheduled: 2 };
const scheduledTimeKey = "x-opt-scheduled-enqueue-time";
/** Annotations that the broker sets: what a sender (who may forward a received message) put there is dropped. */
const brokerAnnotations = new Set([
  "x-opt-sequence-number",
  "x-opt-enqueued-time",
  "x-opt-locked-until",
  "x-opt-message-state",
  "x-opt-enqueue-sequence-number",
  "x-opt-deadletter-source",
]);

const headerField = { ttl: 2, deliveryCount: 4 } as const;
const propertyField = { messageId: 0, groupId: 10 } as const;

/**
 * Reads what the broker must know of an encoded message.
 * A message without an id gets one, as in the real service: without it the client cannot settle the message.
 * @throws BrokerError `amqp:decode-error`
 */
export function parseMessage(bytes: Buffer): IncomingMessage {
  // The bytes are a view into the socket's read buffer: copied once here, so that a small message does not keep it.
  const sections = splitSections(Buffer.from(bytes));
  const section = (code: number): Buffer | undefined => sections.find((candidate) => candidate.code === code)?.bytes;
  const header = section(sectionCode.header);
  const annotations = section(sectionCode.messageAnnotations);
  const { properties, messageId, sessionId } = identify(section(sectionCode.properties));
  const timeToLiveMs = readList(header)[headerField.ttl]?.value;
  const scheduled = readMap(annotations).find(([key]) => key.value === scheduledTimeKey)?.[1].value;
  return {
    sections: {
      header,
      annotations,
      properties,
      applicationProperties: section(sectionCode.applicationProperties),
      body: Buffer.concat(sections.filter(({ code }) => code >= sectionCode.data).map(({ bytes: part }) => part)),
    },
    messageId,
    sessionId,
    timeToLiveMs: typeof timeToLiveMs === "number" ? timeToLiveMs : undefined,
    scheduledTimeMs: scheduled instanceof Date ? scheduled.getTime() : undefined,
  };
}

function identify(section: Buffer | undefined): { properties: Buffer; messageId: string; sessionId: string | undefined } {
  const fields = readList(section);
  const given = idText(fields[propertyField.messageId]?.value);
  const messageId = given ?? randomUUID().replaceAll("-", "");
  const groupId = fields[propertyField.groupId]?.value;
  const sessionId = typeof groupId === "string" ? groupId : undefined;
  if (given !== undefined && section !== undefined) return { properties: section, messageId, sessionId };
  return { properties: writeList(sectionCode.properties, [string(messageId), ...fields.slice(1)]), messageId, sessionId };
}

/** One text for a message id of any AMQP type (string, ulong, uuid, binary), to compare ids by. */
function idText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "number") return `ulong:${value}`;
  return Buffer.isBuffer(value) ? `bytes:${value.toString("hex")}` : undefined;
}

/** The messages of a batch transfer (format 0x80013700): each data section is one encoded message. */
export function parseBatch(envelope: Buffer): IncomingMessage[] {
  return splitSections(envelope)
    .filter(({ code }) => code === sectionCode.data)
    .map(({ content }) => parseMessage(content));
}

/** The bytes of one delivery: the sender's sections behind a fresh header and fresh annotations. */
export function encodeForDelivery(message: StoredMessage, lockedUntilMs: number | undefined): Buffer {
  const { sections } = message;
  const header = readList(sections.header);
  const fields = Array.from({ length: headerField.deliveryCount }, (_, index) => header[index]);
  return Buffer.concat([
    writeList(sectionCode.header, [...fields, uint(message.deliveryCount)]),
    writeMap(sectionCode.messageAnnotations, annotationsOf(message, lockedUntilMs)),
    sections.properties,
    sections.applicationProperties ?? Buffer.alloc(0),
    sections.body,
  ]);
}

function annotationsOf(message: StoredMessage, lockedUntilMs: number | undefined): AmqpMap {
  const pairs = readMap(message.sections.annotations).filter(([key]) => !brokerAnnotations.has(String(key.value)));
  const set = (key: string, value: Typed): unknown => pairs.push([symbol(key), value]);
  set("x-opt-sequence-number", long(message.sequenceNumber));
  set("x-opt-enqueued-time", timestamp(message.enqueuedTimeMs));
  set("x-opt-message-state", int(stateNumbers[message.state]));
  if (lockedUntilMs !== undefined) set("x-opt-locked-until", timestamp(lockedUntilMs));
  if (message.enqueuedSequenceNumber !== undefined) set("x-opt-enqueue-sequence-number", long(message.enqueuedSequenceNumber));
  if (message.deadLetterSource !== undefined) set("x-opt-deadletter-source", string(message.deadLetterSource));
  return pairs;
}
