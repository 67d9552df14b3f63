import { once } from "node:events";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { ServiceBusClient } from "@azure/service-bus";
import { expect, test } from "vitest";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { type Broker, startBroker } from "../../local/broker/server.ts";
import { bodiesOf, clientOptions, errorCodeOf, receiveOne } from "./broker-fixture.ts";
import { cleanUpAfterEach, start, startBrokerProcess, stop, temporaryFolder } from "./broker-process.ts";

cleanUpAfterEach();

const processTestTimeoutMs = 30_000;
const clientOf = ({ connectionString }: { connectionString: string }): ServiceBusClient =>
  new ServiceBusClient(connectionString, clientOptions);

async function peekAll(broker: { connectionString: string }, queue: string): Promise<unknown[]> {
  const client = clientOf(broker);
  const messages = await client.createReceiver(queue).peekMessages(100);
  await client.close();
  return messages.map(({ body, state, deliveryCount }) => [body as unknown, state, deliveryCount]);
}

test(
  "a broker that was killed has all messages back, in their states, but no locks",
  async () => {
    const dataDir = temporaryFolder();
    const killed = await startBrokerProcess(dataDir);
    const client = clientOf(killed);
    const sender = client.createSender("requests");
    await sender.sendMessages(["completed", "deferred", "locked", "abandoned", "untouched"].map((body) => ({ body, messageId: body })));
    await sender.scheduleMessages({ body: "scheduled", messageId: "scheduled" }, new Date(Date.now() + 3_600_000));
    const receiver = client.createReceiver("requests");
    await receiver.completeMessage(await receiveOne(receiver));
    const deferred = await receiveOne(receiver);
    await receiver.deferMessage(deferred);
    const locked = await receiveOne(receiver);
    await receiver.abandonMessage(await receiveOne(receiver), { tried: true });
    await stop(killed.child, "SIGKILL");

    const again = await startBrokerProcess(dataDir, killed.port);
    expect(await peekAll(again, "requests")).toEqual([
      ["deferred", "deferred", 0],
      ["locked", "active", 0],
      ["abandoned", "active", 1],
      ["untouched", "active", 0],
      ["scheduled", "scheduled", 0],
    ]);
    // The same client objects go on: they connect anew.
    expect(await errorCodeOf(receiver.completeMessage(locked))).toBe("MessageLockLost");
    for (const taken of await receiver.receiveDeferredMessages(deferred.sequenceNumber ?? [])) await receiver.completeMessage(taken);
    await sender.sendMessages({ body: "a duplicate of before", messageId: "completed" });
    await sender.sendMessages({ body: "new", messageId: "new" });
    const rest = (await peekAll(again, "requests")) as [string][];
    expect(rest.map(([body]) => body)).toEqual(["locked", "abandoned", "untouched", "scheduled", "new"]);
    await client.close();
  },
  processTestTimeoutMs,
);

test(
  "a session, its state and its queue made on demand outlive a killed broker, its lock does not",
  async () => {
    const dataDir = temporaryFolder();
    const killed = await startBrokerProcess(dataDir);
    const client = clientOf(killed);
    await client.createSender("commands-later").sendMessages({ body: "start", sessionId: "task" });
    const lost = await client.acceptNextSession("commands-later");
    await receiveOne(lost);
    await lost.setSessionState({ step: 3 });
    await stop(killed.child, "SIGKILL");

    await startBrokerProcess(dataDir, killed.port);
    const session = await client.acceptNextSession("commands-later");
    expect(session.sessionId).toBe("task");
    expect(await session.getSessionState()).toEqual({ step: 3 });
    expect(await receiveOne(session)).toMatchObject({ body: "start", deliveryCount: 0 });
    expect(await errorCodeOf(lost.renewSessionLock())).toBe("SessionLockLost");
    await client.close();
  },
  processTestTimeoutMs,
);

test.each(["SIGTERM", "SIGINT"] as const)(
  "the broker ends promptly on %s although clients are connected",
  async (signal) => {
    const { child, connectionString } = await startBrokerProcess(temporaryFolder());
    const client = clientOf({ connectionString });
    await client.createSender("requests").sendMessages({ body: 1 });
    const subscriber = client.createReceiver("events", "all");
    subscriber.subscribe({ processMessage: () => Promise.resolve(), processError: () => Promise.resolve() });
    const waiting = errorOf(client.acceptNextSession("reports"));
    await client.createReceiver("requests").peekMessages(1);
    const started = performance.now();
    expect(await stop(child, signal)).toBe(0);
    // A few milliseconds on a quiet machine; a connected client would hold it up for ever.
    expect(performance.now() - started).toBeLessThan(3000);
    await client.close();
    void waiting;
  },
  processTestTimeoutMs,
);

const errorOf = (work: Promise<unknown>): Promise<unknown> => work.then(String, (error: unknown) => error);

async function withBroker(dataDir: string, work: (client: ServiceBusClient, broker: Broker) => Promise<void>): Promise<void> {
  const broker = await startBroker({ port: 0, config: pgdmsEntities([]), dataDir, healthPort: 0 });
  const client = clientOf(broker);
  try {
    await work(client, broker);
  } finally {
    await client.close();
    await broker.stop();
  }
}

const holderProgram = `
  import { ServiceBusClient } from "@azure/service-bus";
  const client = new ServiceBusClient(process.argv[1]);
  const session = await client.acceptSession("reports", "task");
  await session.receiveMessages(1);
  console.log("holding");
  setInterval(() => undefined, 1000);
`;

test(
  "a client process that is killed frees its session at once",
  async () => {
    await withBroker(temporaryFolder(), async (client, broker) => {
      await client.createSender("reports").sendMessages({ body: 1, sessionId: "task" });
      const holder = await start(["--input-type=module", "--eval", holderProgram, broker.connectionString]);
      expect(holder.line).toBe("holding");
      expect(await errorCodeOf(client.acceptSession("reports", "task"))).toBe("SessionCannotBeLocked");
      const next = client.acceptNextSession("reports");
      await stop(holder.child, "SIGKILL");
      const killedAt = performance.now();
      expect(await receiveOne(await next)).toMatchObject({ body: 1, deliveryCount: 0 });
      // The lock would have lasted a minute.
      expect(performance.now() - killedAt).toBeLessThan(10_000);
    });
  },
  processTestTimeoutMs,
);

test("the journal shrinks to what is left when the broker starts", async () => {
  const dataDir = temporaryFolder();
  const journal = join(dataDir, "broker-journal.jsonl");
  await withBroker(dataDir, async (client) => {
    const sender = client.createSender("requests");
    await sender.sendMessages(Array.from({ length: 200 }, (_, body) => ({ body, applicationProperties: { text: "x".repeat(200) } })));
    const receiver = client.createReceiver("requests", { receiveMode: "receiveAndDelete" });
    let taken = 0;
    while (taken < 199) taken += (await receiver.receiveMessages(199 - taken, { maxWaitTimeInMs: 1000 })).length;
  });
  const fullBytes = statSync(journal).size;
  await withBroker(dataDir, async (client) => {
    expect(statSync(journal).size).toBeLessThan(fullBytes / 2);
    expect(bodiesOf(await client.createReceiver("requests").peekMessages(10))).toEqual([199]);
  });
  expect(statSync(journal).mode & 0o077).toBe(0);
});

test("a last line that was cut off is dropped, any other damage is reported with its line", async () => {
  const dataDir = temporaryFolder();
  const journal = join(dataDir, "broker-journal.jsonl");
  await withBroker(dataDir, (client) => client.createSender("requests").sendMessages({ body: "kept" }));
  appendFileSync(journal, '{"op":"put","path":"requ');
  await withBroker(dataDir, async (client) => {
    expect(bodiesOf(await client.createReceiver("requests").peekMessages(10))).toEqual(["kept"]);
  });
  writeFileSync(journal, `nonsense\n${readFileSync(journal, "utf8")}`);
  await expect(startBroker({ port: 0, config: pgdmsEntities([]), dataDir })).rejects.toThrow("damaged in line 1");
});

test("rules that were changed while the broker ran outlive it", async () => {
  const dataDir = temporaryFolder();
  await withBroker(dataDir, async (client) => {
    const rules = client.createRuleManager("events", "all");
    await rules.deleteRule("$Default");
    await rules.createRule("failures", { sqlExpression: "type = 'failed'" });
  });
  await withBroker(dataDir, async (client) => {
    const sender = client.createSender("events");
    await sender.sendMessages([
      { body: 1, applicationProperties: { type: "done" } },
      { body: 2, applicationProperties: { type: "failed" } },
    ]);
    expect(bodiesOf(await client.createReceiver("events", "all").peekMessages(10))).toEqual([2]);
  });
});

test("the health endpoint answers as the emulator's does", async () => {
  await withBroker(temporaryFolder(), async (_client, { healthPort }) => {
    const response = await fetch(`http://127.0.0.1:${healthPort ?? 0}/health`);
    expect([response.status, await response.json()]).toEqual([200, { status: "healthy" }]);
    expect((await fetch(`http://127.0.0.1:${healthPort ?? 0}/`)).status).toBe(404);
  });
});

test("a connection that speaks something else is dropped, and the others go on", async () => {
  await withBroker(temporaryFolder(), async (client, { port }) => {
    const sender = client.createSender("requests");
    await sender.sendMessages({ body: 1 });
    for (const nonsense of ["GET / HTTP/1.1\r\n\r\n", "AMQP\u0003\u0001\u0000\u0000\u0000\u0000\u0000\u0001nonsense"]) {
      const socket = connect(port, "127.0.0.1").resume();
      socket.write(nonsense);
      await once(socket, "close");
    }
    await sender.sendMessages({ body: 2 });
    expect(bodiesOf(await client.createReceiver("requests").peekMessages(10))).toEqual([1, 2]);
  });
});

test("a second broker on the same port fails before it touches the journal of the first", async () => {
  const dataDir = temporaryFolder();
  await withBroker(dataDir, async (client, { port }) => {
    await expect(startBroker({ port, config: pgdmsEntities([]), dataDir })).rejects.toThrow("EADDRINUSE");
    await client.createSender("requests").sendMessages({ body: "written after that" });
  });
  await withBroker(dataDir, async (client) => {
    expect(bodiesOf(await client.createReceiver("requests").peekMessages(10))).toEqual(["written after that"]);
  });
});

const shortLivedProgram = `
  import { ServiceBusClient } from "@azure/service-bus";
  import { pgdmsEntities } from "./local/broker/entities.ts";
  import { startBroker } from "./local/broker/server.ts";
  const broker = await startBroker({ port: 0, config: pgdmsEntities([]) });
  const client = new ServiceBusClient(broker.connectionString);
  await client.createSender("requests").sendMessages({ body: 1, timeToLive: 60_000 });
  await client.createReceiver("requests").receiveMessages(1);
  await client.close();
  await broker.stop();
  console.log("stopped");
`;

test(
  "a process ends by itself once its client is closed and its broker is stopped",
  async () => {
    const { child, line } = await start(["--import", "tsx", "--input-type=module", "--eval", shortLivedProgram]);
    expect(line).toBe("stopped");
    const stopped = performance.now();
    if (child.exitCode === null) await once(child, "exit");
    expect(child.exitCode).toBe(0);
    // A lock or a time to live of a minute, or a heartbeat, would keep it for longer.
    expect(performance.now() - stopped).toBeLessThan(10_000);
  },
  processTestTimeoutMs,
);
