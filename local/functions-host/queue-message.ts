import { type ServiceBusReceivedMessage } from "@azure/service-bus";
import { type RpcTypedData } from "./core-types.ts";
import { type InvocationInput } from "./invoke.ts";

/** A message on its way to a queue-triggered function. */
export interface QueueMessage {
  readonly body: string;
  readonly messageId?: string;
  readonly sequenceNumber?: string;
  /** 1 at the first delivery, as the runtime counts. */
  readonly deliveryCount?: number;
  readonly enqueuedTimeUtc?: Date;
  readonly expiresAtUtc?: Date;
  readonly lockToken?: string;
  readonly correlationId?: string;
  readonly subject?: string;
  readonly sessionId?: string;
  readonly contentType?: string;
  readonly replyTo?: string;
  readonly to?: string;
  readonly applicationProperties?: Readonly<Record<string, unknown>>;
}

/**
 * What the runtime hands to the library. Two traps lie in it, here as in Azure: the library parses every string as JSON if it can, so a message id
 * "123" becomes a number; and it lowers the first letter of every key of the metadata, those of application properties included.
 */
export function toInput({ body, ...metadata }: QueueMessage): InvocationInput {
  const entries = Object.entries(metadata)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => [key.charAt(0).toUpperCase() + key.slice(1), toRpc(value)] as const);
  return { data: { string: body }, triggerMetadata: Object.fromEntries(entries) };
}

function toRpc(value: unknown): RpcTypedData {
  return typeof value === "string" ? { string: value } : { json: JSON.stringify(value) };
}

/** Reads what the SDK received with `skipParsingBodyAsJson`. */
export function fromReceived(message: ServiceBusReceivedMessage): QueueMessage {
  return {
    body: bodyText(message.body),
    messageId: text(message.messageId),
    sequenceNumber: message.sequenceNumber?.toString(),
    deliveryCount: (message.deliveryCount ?? 0) + 1, // the JavaScript SDK counts failed deliveries, the runtime deliveries
    enqueuedTimeUtc: message.enqueuedTimeUtc,
    expiresAtUtc: message.expiresAtUtc,
    lockToken: message.lockToken,
    correlationId: text(message.correlationId),
    subject: message.subject,
    sessionId: message.sessionId,
    contentType: message.contentType,
    replyTo: message.replyTo,
    to: message.to,
    applicationProperties: message.applicationProperties,
  };
}

function bodyText(body: unknown): string {
  if (Buffer.isBuffer(body)) return body.toString("utf8");
  return typeof body === "string" ? body : JSON.stringify(body ?? null);
}

function text(value: string | number | Buffer | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.isBuffer(value) ? value.toString("hex") : String(value);
}
