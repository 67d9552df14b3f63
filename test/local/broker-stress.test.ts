import { type ServiceBusReceivedMessage, type ServiceBusReceiver } from "@azure/service-bus";
import { expect, test } from "vitest";
import { type BrokerConfig, azureDefaults } from "../../local/broker/config.ts";
import { startBroker } from "../../local/broker/server.ts";
import { ServiceBusClient } from "@azure/service-bus";
import { clientOptions, useBroker } from "./broker-fixture.ts";
import { cleanUpAfterEach, temporaryFolder } from "./broker-process.ts";

cleanUpAfterEach();

const messageCount = 3000;
/** More than the unsettled deliveries that the broker or the client can hold (4096 and 2048). */
const oneLinkCount = 5000;
const stressTimeoutMs = 30_000;
const settings = { ...azureDefaults, maxDeliveryCount: 1000 };
const config: BrokerConfig = {
  queues: [
    { name: "plain-*", settings },
    { name: "in-sessions", settings: { ...settings, requiresSession: true } },
  ],
  topics: [],
};
const fixture = useBroker(config);

const randomBelow = (limit: number): number => Math.floor(Math.random() * limit);
const numbers = Array.from({ length: oneLinkCount }, (_, number) => number);

/** Sends the numbers in pieces of random size, singly and as arrays. */
async function produce(client: ServiceBusClient, queue: string, count: number): Promise<void> {
  const sender = client.createSender(queue);
  for (let next = 0; next < count;) {
    const piece = numbers.slice(next, Math.min(count, next + 1 + randomBelow(60)));
    await sender.sendMessages(piece.length === 1 ? { body: next } : piece.map((body) => ({ body })));
    next += piece.length;
  }
}

test(
  "three consumers that receive, abandon, defer and complete at random lose and double nothing",
  async () => {
    const broker = await startBroker({ port: 0, config, dataDir: temporaryFolder() });
    const clients = [1, 2, 3].map(() => new ServiceBusClient(broker.connectionString, clientOptions));
    const completions = new Map<number, number>();

    const settle = async (receiver: ServiceBusReceiver, message: ServiceBusReceivedMessage): Promise<void> => {
      const dice = randomBelow(20);
      if (dice === 0) return receiver.abandonMessage(message);
      if (dice === 1) {
        await receiver.deferMessage(message);
        const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber ?? []);
        if (deferred === undefined) throw new Error("a deferred message is gone");
        await receiver.completeMessage(deferred);
      } else {
        await receiver.completeMessage(message);
      }
      const body = Number(message.body);
      completions.set(body, (completions.get(body) ?? 0) + 1);
    };
    const consume = async (client: ServiceBusClient): Promise<void> => {
      const receiver = client.createReceiver("plain-random", { maxAutoLockRenewalDurationInMs: 0 });
      while (completions.size < messageCount) {
        const messages = await receiver.receiveMessages(1 + randomBelow(50), { maxWaitTimeInMs: 1 + randomBelow(20) });
        // One after another: the client's rhea joins neighbouring dispositions without comparing their outcomes.
        for (const message of messages) await settle(receiver, message);
      }
    };

    await Promise.all([...clients.map(consume), ...clients.slice(0, 1).map((client) => produce(client, "plain-random", messageCount))]);
    expect([...completions.keys()].toSorted((a, b) => a - b)).toEqual(numbers.slice(0, messageCount));
    expect([...completions.values()].filter((count) => count !== 1)).toEqual([]);
    expect(await clients[0]?.createReceiver("plain-random").peekMessages(10)).toEqual([]);
    await Promise.all(clients.map((client) => client.close()));
    await broker.stop();
  },
  stressTimeoutMs,
);

test.each(["peekLock", "receiveAndDelete"] as const)(
  "5,000 messages pass over one link in mode %s, in order",
  async (receiveMode) => {
    const queue = `plain-${receiveMode}`;
    const received: number[] = [];
    const receiver = fixture.client.createReceiver(queue, { receiveMode });
    const all = new Promise<void>((resolve, reject) => {
      receiver.subscribe(
        {
          processMessage: ({ body }) => {
            received.push(Number(body));
            if (received.length === oneLinkCount) resolve();
            return Promise.resolve();
          },
          processError: ({ error }) => Promise.resolve(reject(error)),
        },
        { maxConcurrentCalls: 50 },
      );
    });
    await produce(fixture.client, queue, oneLinkCount);
    await all;
    expect(received).toEqual(numbers);
    await receiver.close();
    expect(await fixture.client.createReceiver(queue).peekMessages(1)).toEqual([]);
  },
  stressTimeoutMs,
);

test("2,500 sends at once over one link are all accepted", async () => {
  const sender = fixture.client.createSender("plain-parallel");
  // More than the client's own window of 2048 would make it fail, so they go in two waves, without waiting for single answers.
  for (const wave of [numbers.slice(0, 1250), numbers.slice(1250, 2500)])
    await Promise.all(wave.map((body) => sender.sendMessages({ body })));
  const receiver = fixture.client.createReceiver("plain-parallel", { receiveMode: "receiveAndDelete" });
  const received = [];
  while (received.length < 2500) received.push(...(await receiver.receiveMessages(500, { maxWaitTimeInMs: 2000 })));
  expect(new Set(received.map(({ body }) => Number(body))).size).toBe(2500);
}, 30_000);

test(
  "workers that take up and leave sessions at random see each session in order",
  async () => {
    const [sessionCount, messagesPerSession] = [20, 15];
    const seen = new Map<string, number[]>();
    let left = sessionCount * messagesPerSession;
    const sender = fixture.client.createSender("in-sessions");
    const work = async (): Promise<void> => {
      const client = new ServiceBusClient(fixture.broker.connectionString, clientOptions);
      while (left > 0) {
        const session = await client.acceptNextSession("in-sessions");
        const messages = await session.receiveMessages(1 + randomBelow(4), { maxWaitTimeInMs: 20 });
        for (const message of messages.filter(({ body }) => body !== "stop").slice(0, 1 + randomBelow(4))) {
          await session.completeMessage(message);
          seen.set(session.sessionId, [...(seen.get(session.sessionId) ?? []), Number(message.body)]);
          left -= 1;
        }
        if (left > 0) await session.close();
        else await sender.sendMessages([1, 2, 3].map((waiter) => ({ body: "stop", sessionId: `stop ${waiter}` })));
      }
      await client.close();
    };
    const workers = [work(), work(), work()];
    for (let body = 0; body < messagesPerSession; body++) {
      await sender.sendMessages(Array.from({ length: sessionCount }, (_, session) => ({ body, sessionId: `task ${session}` })));
    }
    await Promise.all(workers);
    expect(seen.size).toBe(sessionCount);
    for (const order of seen.values()) expect(order).toEqual(numbers.slice(0, messagesPerSession));
  },
  stressTimeoutMs,
);
