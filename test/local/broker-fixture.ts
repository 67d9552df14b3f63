import { randomUUID } from "node:crypto";
import { ServiceBusClient, type ServiceBusReceivedMessage, type ServiceBusReceiver } from "@azure/service-bus";
import { afterAll, beforeAll } from "vitest";
import { type BrokerConfig, azureDefaults } from "../../local/broker/config.ts";
import { type Broker, startBroker } from "../../local/broker/server.ts";

/** Long enough that a busy machine gets a renewal done in half of it. */
export const shortLockMs = 1500;

const lowDeliveries = { ...azureDefaults, maxDeliveryCount: 3 };

/** Templates, so that each test has entities of its own. */
const testEntities: BrokerConfig = {
  queues: [
    { name: "plain-*", settings: lowDeliveries },
    { name: "briefly-locked-*", settings: { ...lowDeliveries, lockDurationMs: shortLockMs } },
    { name: "unique-*", settings: { ...lowDeliveries, duplicateWindowMs: 60_000 } },
    { name: "kept-*", settings: { ...lowDeliveries, deadLetterOnExpiry: true } },
    { name: "in-sessions-*", settings: { ...lowDeliveries, requiresSession: true } },
    { name: "briefly-in-sessions-*", settings: { ...lowDeliveries, requiresSession: true, lockDurationMs: shortLockMs } },
    { name: "forwarding", settings: { ...lowDeliveries, forwardTo: "plain-forwarded", forwardDeadLettersTo: "plain-forwarded" } },
    { name: "refusing", settings: { ...lowDeliveries, maxDeliveryCount: 1, forwardDeadLettersTo: "plain-refused" } },
  ],
  topics: [],
};

/** A queue name that no other test uses. */
export const queueName = (template: string): string => template.replace("*", randomUUID().slice(0, 8));

export const clientOptions = { retryOptions: { maxRetries: 1, retryDelayInMs: 100, timeoutInMs: 15_000 } };

export interface BrokerFixture {
  readonly broker: Broker;
  readonly client: ServiceBusClient;
}

/** One broker and one client for all tests of a file. */
export function useBroker(config: BrokerConfig = testEntities): BrokerFixture {
  let broker: Broker | undefined;
  let client: ServiceBusClient | undefined;
  beforeAll(async () => {
    broker = await startBroker({ port: 0, config });
    client = new ServiceBusClient(broker.connectionString, clientOptions);
  });
  afterAll(async () => {
    await client?.close();
    await broker?.stop();
  });
  return {
    get broker() {
      if (broker === undefined) throw new Error("the broker has not started");
      return broker;
    },
    get client() {
      if (client === undefined) throw new Error("the broker has not started");
      return client;
    },
  };
}

/** The next message; fails the test if there is none within the wait. */
export async function receiveOne(receiver: ServiceBusReceiver, maxWaitTimeInMs = 10_000): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs });
  if (message === undefined) throw new Error(`no message arrived within ${maxWaitTimeInMs} ms`);
  return message;
}

/** The error code of a rejection; fails the test if there is none. */
export async function errorCodeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return typeof error === "object" && error !== null && "code" in error ? String(error.code) : String(error);
  }
  throw new Error("an error was expected");
}

export const bodiesOf = (messages: readonly { body: unknown }[]): unknown[] => messages.map(({ body }) => body);
