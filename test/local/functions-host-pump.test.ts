import { ServiceBusClient, type ServiceBusMessage } from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { azureDefaults } from "../../local/broker/config.ts";
import { startBroker, type Broker } from "../../local/broker/server.ts";
import { createHost, type FunctionsHost } from "../../local/functions-host/host.ts";
import { type HostLogEntry } from "../../local/functions-host/log.ts";
import { bundled } from "./fixtures/bundled.ts";
import { eventually } from "../setup/eventually.ts";

const queue = { ...azureDefaults, maxDeliveryCount: 3 };
const config = {
  queues: [
    { name: "requests", settings: queue },
    { name: "reports", settings: { ...queue, requiresSession: true } },
  ],
  topics: [],
};

let fixture: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  fixture = await bundled("app");
});
afterAll(() => fixture.remove());

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function broker(port = 0, lockDurationOverrideMs?: number): Promise<Broker> {
  const started = await startBroker({ port, config, lockDurationOverrideMs });
  cleanUps.push(() => started.stop());
  return started;
}

async function host({ connectionString }: Broker, serviceBus = {}, logged: HostLogEntry[] = []): Promise<FunctionsHost> {
  const started = createHost({
    root: fixture.root,
    main: fixture.main,
    hostJson: { version: "2.0", extensions: { http: { routePrefix: "" }, serviceBus } },
    settings: { WATCHDOG_CRON: "0 0 0 1 1 *", PLAIN_QUEUE: "requests", ServiceBusConnection: connectionString },
    log: (entry) => void logged.push(entry),
  });
  cleanUps.push(() => started.stop());
  await started.start();
  expect(started.errors).toEqual([]);
  return started;
}

async function send({ connectionString }: Broker, queueName: string, ...messages: ServiceBusMessage[]): Promise<void> {
  const client = new ServiceBusClient(connectionString);
  await client.createSender(queueName).sendMessages(messages);
  await client.close();
}

interface Entry {
  readonly message?: { readonly text: string };
  readonly metadata?: Record<string, unknown>;
  readonly running?: number;
  readonly done?: { readonly text: string };
}
async function entries(functions: FunctionsHost): Promise<Entry[]> {
  const content = (await (await fetch(`${functions.url}/seen`)).json()) as { queue: Entry[] };
  return content.queue;
}
const done = async (functions: FunctionsHost): Promise<string[]> =>
  (await entries(functions)).flatMap((entry) => (entry.done ? [entry.done.text] : []));
const untilDone = (functions: FunctionsHost, count: number): Promise<void> =>
  eventually(async () => expect((await done(functions)).length).toBe(count));

/** What lies in the queue, locked or not. */
async function left({ connectionString }: Broker, queueName: string, subQueueType?: "deadLetter"): Promise<unknown[]> {
  const client = new ServiceBusClient(connectionString);
  const found = await client.createReceiver(queueName, { subQueueType }).peekMessages(10);
  await client.close();
  return found.map(({ body, deadLetterReason, deliveryCount }) => ({ body: body as unknown, deadLetterReason, deliveryCount }));
}

describe("a queue without sessions", () => {
  test("delivers a message with its properties and completes it", async () => {
    const bus = await broker();
    const functions = await host(bus);
    await send(bus, "requests", {
      body: { text: "hi" },
      messageId: "m-1",
      correlationId: "c",
      subject: "s",
      contentType: "application/json",
      applicationProperties: { Kind: "k" },
    });
    await untilDone(functions, 1);
    expect((await entries(functions))[0]).toMatchObject({
      message: { text: "hi" },
      metadata: {
        messageId: "m-1",
        correlationId: "c",
        subject: "s",
        contentType: "application/json",
        deliveryCount: 1,
        sequenceNumber: 1,
        applicationProperties: { kind: "k" },
        enqueuedTimeUtc: expect.stringMatching(/Z$/) as string,
        lockToken: expect.any(String) as string,
      },
    });
    await eventually(async () => expect(await left(bus, "requests")).toEqual([]));
  });

  test("delivers again what the function threw at, and gives up into the dead-letter queue", async () => {
    const bus = await broker();
    const functions = await host(bus);
    await send(bus, "requests", { body: { text: "third time", failures: 2 } }, { body: { text: "never", failures: 99 } });
    await untilDone(functions, 1);
    await eventually(async () =>
      expect(await left(bus, "requests", "deadLetter")).toEqual([
        { body: { text: "never", failures: 99 }, deadLetterReason: "MaxDeliveryCountExceeded", deliveryCount: 3 },
      ]),
    );
    const counts = (await entries(functions))
      .filter(({ message }) => message?.text === "third time")
      .map(({ metadata }) => metadata?.["deliveryCount"]);
    expect(counts).toEqual([1, 2, 3]);
    expect(await left(bus, "requests")).toEqual([]);
  });

  test("runs at most maxConcurrentCalls messages at a time", async () => {
    const bus = await broker();
    const functions = await host(bus, { maxConcurrentCalls: 3 });
    await send(bus, "requests", ...Array.from({ length: 12 }, (_, index) => ({ body: { text: String(index), workMs: 20 } })));
    await untilDone(functions, 12);
    expect(Math.max(...(await entries(functions)).map(({ running = 0 }) => running))).toBe(3);
  });

  test("goes on when the broker comes back after a restart", async () => {
    const bus = await broker();
    const logged: HostLogEntry[] = [];
    const functions = await host(bus, {}, logged);
    await send(bus, "requests", { body: { text: "before" } });
    await untilDone(functions, 1);
    await bus.stop();
    await eventually(() => expect(logged.filter(({ message }) => message.startsWith("cannot receive")).length).toBeGreaterThan(0));
    const again = await broker(bus.port);
    await send(again, "requests", { body: { text: "after" } });
    await untilDone(functions, 2);
  });

  test("lets a message finish that is being worked on when the host stops", async () => {
    const bus = await broker();
    const functions = await host(bus);
    await send(bus, "requests", { body: { text: "long", workMs: 300 } });
    await eventually(async () => expect((await entries(functions)).length).toBe(1));
    const startedMs = Date.now();
    await functions.stop();
    expect(Date.now() - startedMs).toBeLessThan(3_000);
    expect(await left(bus, "requests")).toEqual([]);
  });
});

describe("a queue with sessions", () => {
  const report = (sessionId: string, text: string, more = {}): ServiceBusMessage => ({ sessionId, body: { text, ...more } });

  test("keeps the order within each session, and runs sessions side by side", async () => {
    const bus = await broker();
    const functions = await host(bus);
    const numbers = Array.from({ length: 10 }, (_, index) => index);
    await send(
      bus,
      "reports",
      ...numbers.flatMap((index) => ["a", "b", "c"].map((session) => report(session, `${session}${index}`, { workMs: 10 }))),
    );
    await untilDone(functions, 30);
    const finished = await done(functions);
    for (const session of ["a", "b", "c"]) {
      expect(finished.filter((text) => text.startsWith(session))).toEqual(numbers.map((index) => `${session}${index}`));
    }
    expect(Math.max(...(await entries(functions)).map(({ running = 0 }) => running))).toBe(3);
    expect((await entries(functions))[0]?.metadata).toMatchObject({ sessionId: "a" });
    await eventually(async () => expect(await left(bus, "reports")).toEqual([]));
  });

  test("works on more sessions than it holds at a time", async () => {
    const bus = await broker();
    const functions = await host(bus, { maxConcurrentSessions: 2, sessionIdleTimeout: "00:00:00.05" });
    await send(bus, "reports", ...Array.from({ length: 9 }, (_, index) => report(`s${index}`, `t${index}`)));
    await untilDone(functions, 9);
    expect(Math.max(...(await entries(functions)).map(({ running = 0 }) => running))).toBeLessThanOrEqual(2);
  });

  test("does not let a later message overtake one that failed", async () => {
    const bus = await broker();
    const functions = await host(bus);
    await send(bus, "reports", report("a", "first", { failures: 2 }), report("a", "second"));
    await untilDone(functions, 2);
    const tried = (await entries(functions)).flatMap(({ message }) => (message ? [message.text] : []));
    expect(tried).toEqual(["first", "first", "first", "second"]);
  });

  test("goes on with the same sessions when the broker comes back after a restart", async () => {
    const bus = await broker();
    const functions = await host(bus);
    await send(bus, "reports", report("a", "before"));
    await untilDone(functions, 1);
    await bus.stop();
    const again = await broker(bus.port);
    await send(again, "reports", report("a", "after"), report("b", "also"));
    await untilDone(functions, 3);
    expect((await done(functions)).sort()).toEqual(["after", "also", "before"]);
  });

  test("starts when the broker comes up after the host", async () => {
    const bus = await broker();
    await bus.stop();
    const functions = await host(bus);
    const later = await broker(bus.port);
    await send(later, "reports", report("a", "late"));
    await send(later, "requests", { body: { text: "late too" } });
    await untilDone(functions, 2);
  });

  test("is left at once when the host stops, and the next host takes over what was not done", async () => {
    const bus = await broker();
    const first = await host(bus, { maxConcurrentSessions: 1 });
    await send(bus, "reports", report("a", "one", { workMs: 200 }), report("a", "two", { workMs: 200 }));
    await eventually(async () => expect((await entries(first)).length).toBe(1));
    const startedMs = Date.now();
    await first.stop();
    expect(Date.now() - startedMs).toBeLessThan(2_000);
    const second = await host(bus);
    await untilDone(second, 1);
    expect(await done(second)).toEqual(["two"]);
    expect((await entries(second))[0]?.metadata).toMatchObject({ deliveryCount: 1 });
  });
});

test("a function that runs longer than the lock of its message gets it once, with sessions and without", async () => {
  const bus = await broker(0, 2_000);
  const functions = await host(bus);
  await send(bus, "requests", { body: { text: "plain", workMs: 4_500 } });
  await send(bus, "reports", { sessionId: "a", body: { text: "ordered", workMs: 4_500 } });
  await untilDone(functions, 2);
  await eventually(async () => expect([await left(bus, "requests"), await left(bus, "reports")]).toEqual([[], []]));
  expect((await entries(functions)).filter(({ message }) => message).length).toBe(2);
});
