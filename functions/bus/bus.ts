import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type TokenCredential } from "@azure/identity";
import {
  isServiceBusError,
  RetryMode,
  ServiceBusClient,
  type ServiceBusMessage,
  type ServiceBusMessageBatch,
  type ServiceBusSender,
} from "@azure/service-bus";
import { commandsQueue, messageIdOf, type Command } from "../../contracts/commands.ts";
import { type ReplyAddress, type ReplyMessage } from "../automation/messages.ts";
import { type Config } from "../config.ts";
import { type PgdmsEvent } from "../events/event.ts";
import { tracedSend } from "../telemetry.ts";

/** Sends what the control plane has to say. Receiving is the Functions host's work. */
export interface Bus {
  /**
   * Sends a command to the worker that owns the task's session. Sending it twice delivers it once.
   * @throws QueueMissing when the service has no queue; Error when Service Bus could not be reached for some seconds
   */
  sendCommand(serviceName: string, command: Command): Promise<void>;
  /** Publishes events on their topic, in their order. @throws Error when Service Bus could not be reached for some seconds */
  publish(events: readonly PgdmsEvent[]): Promise<void>;
  /**
   * Sends the answer to a request that came by message.
   * @throws QueueMissing when the caller's queue does not exist; Error as above
   */
  reply(to: ReplyAddress, reply: ReplyMessage): Promise<void>;
  close(): Promise<void>;
}

/** There is no such queue: no worker can serve the service, or nobody waits for the answer. */
export class QueueMissing extends Error {
  constructor(queue: string, options?: ErrorOptions) {
    super(`the queue ${queue} does not exist`, options);
    this.name = "QueueMissing";
  }
}

/** Callers wait for a send: give up after a few seconds and leave the rest to the watchdog. */
const retryOptions = { maxRetries: 2, retryDelayInMs: 300, maxRetryDelayInMs: 2000, mode: RetryMode.Exponential, timeoutInMs: 5000 };
const SEND_ATTEMPTS_MAX = 3;
const SEND_DELAY_MS = 300;
const MESSAGE_ID_CHARS_MAX = 128;

export function openBus(serviceBus: Config["serviceBus"], eventsTopic: string, credential: () => TokenCredential): Bus {
  let client: ServiceBusClient | undefined;
  const senders = new Map<string, ServiceBusSender>();
  const connect = (): ServiceBusClient =>
    "connectionString" in serviceBus
      ? new ServiceBusClient(serviceBus.connectionString, { retryOptions })
      : new ServiceBusClient(serviceBus.namespace, credential(), { retryOptions });

  const senderOf = (queue: string): ServiceBusSender => {
    const known = senders.get(queue);
    if (known && !known.isClosed) return known;
    client ??= connect();
    const sender = client.createSender(queue);
    senders.set(queue, sender);
    return sender;
  };

  return {
    async sendCommand(serviceName, command) {
      const queue = commandsQueue(serviceName);
      await tracedSend(serviceName, command, async (body) => {
        const message = { body, messageId: messageIdOf(command), sessionId: command.taskId, contentType: "application/json" };
        await retrying(queue, () => senderOf(queue).sendMessages(message));
      });
    },
    async publish(events) {
      const messages = events.map(eventMessage);
      const publish = async (): Promise<void> => {
        for (const batch of await batches(senderOf(eventsTopic), messages)) await senderOf(eventsTopic).sendMessages(batch);
      };
      await retrying(eventsTopic, publish, 1); // nobody waits for an event: the watchdog has time
    },
    async reply({ queue, sessionId }, reply) {
      const message: ServiceBusMessage = {
        body: reply,
        messageId: `reply-${reply.correlationId ?? randomUUID()}`,
        contentType: "application/json",
        ...(reply.correlationId === null ? {} : { correlationId: reply.correlationId }),
        ...(reply.operation === null ? {} : { subject: reply.operation }),
        ...(sessionId === undefined ? {} : { sessionId }),
      };
      await retrying(queue, () => senderOf(queue).sendMessages(message));
    },
    async close() {
      senders.clear();
      await client?.close();
      client = undefined;
    },
  };
}

/** What subscriptions filter by stands outside the body, which filters cannot read. */
const eventMessage = (event: PgdmsEvent): ServiceBusMessage => ({
  body: event,
  messageId: event.id.slice(-MESSAGE_ID_CHARS_MAX),
  contentType: "application/cloudevents+json; charset=utf-8",
  subject: event.type,
  applicationProperties: { type: event.type, subject: event.subject, severity: event.severity, source: event.source },
});

/** As few messages to Service Bus as their size allows. */
async function batches(sender: ServiceBusSender, messages: readonly ServiceBusMessage[]): Promise<ServiceBusMessageBatch[]> {
  const filled: ServiceBusMessageBatch[] = [];
  for (const message of messages) {
    if (filled.at(-1)?.tryAddMessage(message)) continue;
    const batch = await sender.createMessageBatch();
    if (!batch.tryAddMessage(message)) throw new Error(`the event ${String(message.messageId)} is too large for a message`);
    filled.push(batch);
  }
  return filled;
}

/** The SDK does not retry a refused connection, whatever its options say. */
async function retrying(queue: string, send: () => Promise<void>, attemptsMax = SEND_ATTEMPTS_MAX): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (isServiceBusError(error) && error.code === "MessagingEntityNotFound") throw new QueueMissing(queue, { cause: error });
      if (attempt === attemptsMax) throw error;
      await sleep(SEND_DELAY_MS * attempt);
    }
  }
}
