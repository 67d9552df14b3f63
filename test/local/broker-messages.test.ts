import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import rhea from "rhea";
import { expect, test } from "vitest";
import { bodiesOf, errorCodeOf, queueName, receiveOne, useBroker } from "./broker-fixture.ts";

const fixture = useBroker();

test("a message arrives with all its properties", async () => {
  const queue = queueName("plain-*");
  const sent = {
    body: { table: "public.orders", rows: [1, 2, 3] },
    messageId: "id-1",
    correlationId: "correlation",
    contentType: "application/json",
    subject: "subject",
    to: "to",
    replyTo: "reply",
    replyToSessionId: "reply-session",
    partitionKey: "partition",
    timeToLive: 60_000,
    applicationProperties: { text: "ä", whole: 5, negative: -7, fraction: 1.5, yes: true },
  };
  await fixture.client.createSender(queue).sendMessages(sent);
  const receiver = fixture.client.createReceiver(queue);
  const message = await receiveOne(receiver);
  expect(message).toMatchObject(sent);
  expect(message).toMatchObject({ deliveryCount: 0, state: "active" });
  expect(message.sequenceNumber?.toNumber()).toBe(1);
  expect(message.lockedUntilUtc?.getTime()).toBeGreaterThan(Date.now());
  await receiver.completeMessage(message);
});

const bodies = [
  ["data", Buffer.from([0, 1, 255])],
  ["value", { nested: { list: [1, "two"] } }],
  ["sequence", [[1, 2], ["three"]]],
] as const;

test.each(bodies)("an AMQP %s body keeps its kind", async (bodyType, body) => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body, bodyType });
  const receiver = fixture.client.createReceiver(queue, { skipParsingBodyAsJson: true });
  const message = await receiveOne(receiver);
  expect(message._rawAmqpMessage.bodyType).toBe(bodyType);
  expect(message.body).toEqual(body);
  await receiver.completeMessage(message);
});

test("a message without an id gets one, and can be settled", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: 1 });
  const receiver = fixture.client.createReceiver(queue);
  const message = await receiveOne(receiver);
  expect(message.messageId).toMatch(/^[0-9a-f]{32}$/);
  await receiver.completeMessage(message);
});

test("a batch is filled up to the size limit and arrives in order", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  const batch = await sender.createMessageBatch();
  expect(batch.maxSizeInBytes).toBe(262_144);
  while (batch.tryAddMessage({ body: `${batch.count} ${"x".repeat(1000)}` })) continue;
  expect(batch.count).toBeGreaterThan(200);
  await sender.sendMessages(batch);
  const receiver = fixture.client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  const received = [];
  while (received.length < batch.count) received.push(...(await receiver.receiveMessages(batch.count, { maxWaitTimeInMs: 2000 })));
  expect(received.map(({ body }) => Number.parseInt(String(body), 10))).toEqual(Array.from({ length: batch.count }, (_, index) => index));
});

test("a single message over the size limit is refused, and the sender stays usable", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  expect(await errorCodeOf(sender.sendMessages({ body: "x".repeat(300_000) }))).toBe("MessageSizeExceeded");
  await sender.sendMessages({ body: "y".repeat(200_000) });
  const receiver = fixture.client.createReceiver(queue);
  await receiver.completeMessage(await receiveOne(receiver));
});

test("sends at once get their own answers", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  await sender.createMessageBatch(); // opens the link
  const sends = ["x".repeat(300_000), "small", "small", "x".repeat(300_000)].map((body) => sender.sendMessages({ body }));
  const answers = await Promise.allSettled(sends);
  expect(answers.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled", "rejected"]);
  expect(bodiesOf(await fixture.client.createReceiver(queue).peekMessages(10))).toEqual(["small", "small"]);
});

test("an entity that does not exist is reported as such", async () => {
  const sender = fixture.client.createSender("nowhere");
  expect(await errorCodeOf(sender.sendMessages({ body: 1 }))).toBe("MessagingEntityNotFound");
  const receiver = fixture.client.createReceiver("nowhere");
  expect(await errorCodeOf(receiver.receiveMessages(1, { maxWaitTimeInMs: 1000 }))).toBe("MessagingEntityNotFound");
  expect(await errorCodeOf(receiver.peekMessages(1))).toBe("MessagingEntityNotFound");
});

test("names are found without regard to case", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue.toUpperCase()).sendMessages({ body: 1 });
  const receiver = fixture.client.createReceiver(queue);
  await receiver.completeMessage(await receiveOne(receiver));
});

test("a receive on an empty queue ends soon after its wait time, again and again on one link", async () => {
  const receiver = fixture.client.createReceiver(queueName("plain-*"));
  await receiver.receiveMessages(1, { maxWaitTimeInMs: 10 });
  const durationsMs = [];
  for (let round = 0; round < 5; round++) {
    const started = performance.now();
    expect(await receiver.receiveMessages(3, { maxWaitTimeInMs: 50 })).toEqual([]);
    durationsMs.push(performance.now() - started);
  }
  // Without the broker's drain answer the client would wait 200 ms more each time. (The quickest: the machine may be busy.)
  expect(Math.min(...durationsMs)).toBeLessThan(200);
});

test("a drain that crosses the last message is answered too", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: 1 });
  const container = rhea.create_container({ reconnect: false });
  const connection = container.connect({ host: "127.0.0.1", port: fixture.broker.port });
  const receiver = connection.open_receiver({ source: queue, credit_window: 0, autoaccept: false });
  const drained = once(receiver, "receiver_drained");
  receiver.add_credit(1);
  await once(receiver, "message");
  // The credit is used up: rhea itself would leave this unanswered, and the client would close the link after 200 ms.
  receiver.drain_credit();
  await drained;
  connection.close();
  await once(connection, "connection_close");
});

test("a message with an id sent before is dropped, singly and within a batch", async () => {
  const queue = queueName("unique-*");
  const sender = fixture.client.createSender(queue);
  await sender.sendMessages({ body: "first", messageId: "a" });
  await sender.sendMessages({ body: "again", messageId: "a" });
  await sender.sendMessages([
    { body: "in a batch", messageId: "b" },
    { body: "again", messageId: "b" },
    { body: "again", messageId: "a" },
  ]);
  const receiver = fixture.client.createReceiver(queue);
  expect(bodiesOf(await receiver.peekMessages(10))).toEqual(["first", "in a batch"]);
});

test("a duplicate is dropped even after the first message was completed", async () => {
  const queue = queueName("unique-*");
  const sender = fixture.client.createSender(queue);
  await sender.sendMessages({ body: "first", messageId: "a" });
  const receiver = fixture.client.createReceiver(queue);
  await receiver.completeMessage(await receiveOne(receiver));
  await sender.sendMessages({ body: "again", messageId: "a" });
  expect(await receiver.peekMessages(10)).toEqual([]);
});

test("a scheduled message comes at its time, with a new number", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  const due = new Date(Date.now() + 300);
  const [scheduled] = await sender.scheduleMessages({ body: "by method" }, due);
  await sender.sendMessages({ body: "by property", scheduledEnqueueTimeUtc: due });
  const receiver = fixture.client.createReceiver(queue);
  const message = await receiveOne(receiver);
  expect(Date.now()).toBeGreaterThanOrEqual(due.getTime());
  expect(message.enqueuedSequenceNumber).toBe(scheduled?.toNumber());
  expect(message.sequenceNumber?.toNumber()).toBeGreaterThan(2);
  expect(message.state).toBe("active");
  expect((await receiveOne(receiver)).body).toBe("by property");
});

test("a scheduled message can be cancelled, once", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  const numbers = await sender.scheduleMessages([{ body: 1 }, { body: 2 }], new Date(Date.now() + 3_600_000));
  const receiver = fixture.client.createReceiver(queue);
  expect(await receiver.receiveMessages(1, { maxWaitTimeInMs: 50 })).toEqual([]);
  expect((await receiver.peekMessages(10)).map(({ state }) => state)).toEqual(["scheduled", "scheduled"]);
  await sender.cancelScheduledMessages(numbers);
  expect(await fixture.client.createReceiver(queue, { receiveMode: "receiveAndDelete" }).peekMessages(10)).toEqual([]);
  expect(await errorCodeOf(sender.cancelScheduledMessages(numbers))).toBe("MessageNotFound");
});

test("peeking shows locked and deferred messages in order, from a number on", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages([1, 2, 3, 4].map((body) => ({ body })));
  const receiver = fixture.client.createReceiver(queue);
  await receiver.deferMessage(await receiveOne(receiver));
  await receiveOne(receiver);
  const all = await receiver.peekMessages(10);
  expect(bodiesOf(all)).toEqual([1, 2, 3, 4]);
  expect(all.map(({ state }) => state)).toEqual(["deferred", "active", "active", "active"]);
  const from = all[2]?.sequenceNumber;
  expect(bodiesOf(await receiver.peekMessages(1, { ...(from && { fromSequenceNumber: from }) }))).toEqual([3]);
});

test("an expired message vanishes", async () => {
  const queue = queueName("plain-*");
  const sender = fixture.client.createSender(queue);
  await sender.sendMessages([{ body: "short", timeToLive: 100 }, { body: "long" }]);
  await sleep(150);
  const receiver = fixture.client.createReceiver(queue);
  expect(bodiesOf(await receiver.peekMessages(10))).toEqual(["long"]);
  expect((await receiveOne(receiver)).body).toBe("long");
});

test("an expired message goes to the dead letters if the queue says so", async () => {
  const queue = queueName("kept-*");
  await fixture.client.createSender(queue).sendMessages({ body: "late", timeToLive: 100 });
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  expect(await receiveOne(deadLetters)).toMatchObject({ body: "late", deadLetterReason: "TTLExpiredException" });
});

test("a queue can forward its messages and its dead letters", async () => {
  await fixture.client.createSender("forwarding").sendMessages({ body: "forwarded" });
  expect((await receiveOne(fixture.client.createReceiver("plain-forwarded"))).body).toBe("forwarded");
  await fixture.client.createSender("refusing").sendMessages({ body: "refused" });
  const refusing = fixture.client.createReceiver("refusing");
  await refusing.abandonMessage(await receiveOne(refusing));
  const refused = await receiveOne(fixture.client.createReceiver("plain-refused"));
  expect(refused).toMatchObject({ body: "refused", deadLetterSource: "refusing", deadLetterReason: "MaxDeliveryCountExceeded" });
});

test("receive-and-delete takes messages away without settling", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
  const receiver = fixture.client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  expect(bodiesOf(await receiver.receiveMessages(2, { maxWaitTimeInMs: 1000 }))).toEqual([1, 2]);
  expect(await receiver.peekMessages(10)).toEqual([]);
});
