import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceBusReceivedMessage } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { bodiesOf, errorCodeOf, queueName, receiveOne, shortLockMs, useBroker } from "./broker-fixture.ts";

const fixture = useBroker();
/** The client would otherwise renew locks by itself. */
const noRenewal = { maxAutoLockRenewalDurationInMs: 0 };

test("an abandoned message comes back with a rising count, and goes to the dead letters after the last delivery", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: "poison", applicationProperties: { kept: true } });
  const receiver = fixture.client.createReceiver(queue);
  for (const count of [0, 1, 2]) {
    const message = await receiveOne(receiver);
    expect(message.deliveryCount).toBe(count);
    await receiver.abandonMessage(message, { attempt: count });
  }
  expect(await receiver.receiveMessages(1, { maxWaitTimeInMs: 50 })).toEqual([]);
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  const dead = await receiveOne(deadLetters);
  expect(dead).toMatchObject({ deliveryCount: 3, deadLetterReason: "MaxDeliveryCountExceeded" });
  expect(dead.deadLetterErrorDescription).toContain("3 delivery attempts");
  expect(dead.applicationProperties).toMatchObject({ kept: true, attempt: 2 });
  await deadLetters.completeMessage(dead);
});

test("an abandoned message returns to its old place", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
  const receiver = fixture.client.createReceiver(queue);
  await receiver.abandonMessage(await receiveOne(receiver));
  expect((await receiveOne(receiver)).body).toBe(1);
});

test("a message can be dead-lettered with a reason and further properties", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: "bad", messageId: "m" });
  const receiver = fixture.client.createReceiver(queue);
  const details = { deadLetterReason: "Unreadable", deadLetterErrorDescription: "no version", source: "test" };
  await receiver.deadLetterMessage(await receiveOne(receiver), details);
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  const dead = await receiveOne(deadLetters);
  expect(dead).toMatchObject({ body: "bad", messageId: "m", deadLetterReason: "Unreadable", deadLetterErrorDescription: "no version" });
  expect(dead.applicationProperties).toMatchObject({ source: "test" });
});

test("a message in the dead letters can be abandoned for ever", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: 1 });
  const receiver = fixture.client.createReceiver(queue);
  await receiver.deadLetterMessage(await receiveOne(receiver));
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  for (let round = 0; round < 6; round++) await deadLetters.abandonMessage(await receiveOne(deadLetters));
  expect((await receiveOne(deadLetters)).deliveryCount).toBe(6);
});

test("a handler that throws gets the message again until it is dead-lettered", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: 1 });
  const receiver = fixture.client.createReceiver(queue);
  const counts: (number | undefined)[] = [];
  const subscription = receiver.subscribe({
    processMessage: ({ deliveryCount }) => {
      counts.push(deliveryCount);
      return Promise.reject(new Error("on purpose"));
    },
    processError: () => Promise.resolve(),
  });
  await receiveOne(fixture.client.createReceiver(queue, { subQueueType: "deadLetter" }));
  expect(counts).toEqual([0, 1, 2]);
  await subscription.close();
});

test("no more handlers run at once than asked for", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages(Array.from({ length: 30 }, (_, body) => ({ body })));
  const receiver = fixture.client.createReceiver(queue);
  let [running, most, done] = [0, 0, 0];
  await new Promise<void>((resolve, reject) => {
    receiver.subscribe(
      {
        processMessage: async () => {
          most = Math.max(most, ++running);
          await sleep(5);
          running -= 1;
          if (++done === 30) resolve();
        },
        processError: ({ error }) => Promise.resolve(reject(error)),
      },
      { maxConcurrentCalls: 4 },
    );
  });
  expect(most).toBe(4);
  await receiver.close();
});

test("a deferred message is received by its number only, and can then be settled in every way", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: "later" });
  const receiver = fixture.client.createReceiver(queue);
  const message = await receiveOne(receiver);
  const number = message.sequenceNumber;
  if (number === undefined) throw new Error("a received message has a sequence number");
  const deferred = async (): Promise<ServiceBusReceivedMessage> => {
    const [found] = await receiver.receiveDeferredMessages(number);
    if (found === undefined) throw new Error("the deferred message is gone");
    return found;
  };
  await receiver.deferMessage(message, { why: "order" });
  expect(await receiver.receiveMessages(1, { maxWaitTimeInMs: 50 })).toEqual([]);

  const second = await deferred();
  expect(second).toMatchObject({ body: "later", state: "deferred", applicationProperties: { why: "order" } });
  await receiver.abandonMessage(second);
  const third = await deferred();
  expect(third.deliveryCount).toBe(1);
  expect(await errorCodeOf(deferred())).toBe("MessageNotFound");
  expect((await receiver.renewMessageLock(third)).getTime()).toBeGreaterThan(Date.now());
  await receiver.deferMessage(third);
  await receiver.completeMessage(await deferred());
  expect(await errorCodeOf(deferred())).toBe("MessageNotFound");
});

test("a deferred message can be dead-lettered, or taken away at once", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages([{ body: 1 }, { body: 2 }]);
  const receiver = fixture.client.createReceiver(queue);
  const numbers = [];
  for (let index = 0; index < 2; index++) {
    const message = await receiveOne(receiver);
    if (message.sequenceNumber !== undefined) numbers.push(message.sequenceNumber);
    await receiver.deferMessage(message);
  }
  const [first, second] = numbers;
  if (first === undefined || second === undefined) throw new Error("two messages were deferred");
  for (const message of await receiver.receiveDeferredMessages(first)) {
    await receiver.deadLetterMessage(message, { deadLetterReason: "why", deadLetterErrorDescription: "because" });
  }
  const taker = fixture.client.createReceiver(queue, { receiveMode: "receiveAndDelete" });
  expect((await taker.receiveDeferredMessages(second)).map(({ body }) => Number(body))).toEqual([2]);
  expect(await receiver.peekMessages(10)).toEqual([]);
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  expect(await receiveOne(deadLetters)).toMatchObject({ body: 1, deadLetterReason: "why", deadLetterErrorDescription: "because" });
});

test("a message can be settled after its receiver was closed, as long as its lock lasts", async () => {
  const queue = queueName("plain-*");
  await fixture.client.createSender(queue).sendMessages({ body: 1 });
  const receiver = fixture.client.createReceiver(queue);
  const message = await receiveOne(receiver);
  const other = fixture.client.createReceiver(queue);
  await receiver.close();
  expect(await other.receiveMessages(1, { maxWaitTimeInMs: 50 })).toEqual([]);
  await other.completeMessage(message);
  expect(await other.peekMessages(1)).toEqual([]);
});

/** These wait for locks, so they wait at the same time. */
describe.concurrent("locks that run out", () => {
  test("a lock that runs out counts as a failed delivery, and a late settlement is refused", async () => {
    const queue = queueName("briefly-locked-*");
    await fixture.client.createSender(queue).sendMessages([1, 2, 3, 4].map((body) => ({ body })));
    const receiver = fixture.client.createReceiver(queue, noRenewal);
    const [first, second, third, fourth] = await receiver.receiveMessages(4, { maxWaitTimeInMs: 2000 });
    if (!first || !second || !third || !fourth) throw new Error("four messages were sent");
    const again = await receiveOne(receiver);
    expect(again).toMatchObject({ body: 1, deliveryCount: 1 });
    expect(await errorCodeOf(receiver.completeMessage(first))).toBe("MessageLockLost");
    expect(await errorCodeOf(receiver.abandonMessage(second))).toBe("MessageLockLost");
    expect(await errorCodeOf(receiver.deferMessage(third))).toBe("MessageLockLost");
    expect(await errorCodeOf(receiver.deadLetterMessage(fourth))).toBe("MessageLockLost");
    await receiver.completeMessage(again);
    expect(bodiesOf(await receiver.peekMessages(10))).toEqual([2, 3, 4]);
  });

  test("settlements of neighbours at once get their own answers", async () => {
    const queue = queueName("briefly-locked-*");
    await fixture.client.createSender(queue).sendMessages([{ body: "lost" }, { body: "kept" }]);
    const receiver = fixture.client.createReceiver(queue, noRenewal);
    const [lost, kept] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 2000 });
    if (!lost || !kept) throw new Error("two messages were sent");
    await sleep(shortLockMs / 2);
    await receiver.renewMessageLock(kept);
    expect(await receiveOne(receiver)).toMatchObject({ body: "lost", deliveryCount: 1 });
    const answers = await Promise.allSettled([receiver.completeMessage(lost), receiver.completeMessage(kept)]);
    expect(answers).toMatchObject([{ status: "rejected", reason: { code: "MessageLockLost" } }, { status: "fulfilled" }]);
    expect(bodiesOf(await receiver.peekMessages(10))).toEqual(["lost"]);
  });

  test("a lock can be renewed while it lasts", async () => {
    const queue = queueName("briefly-locked-*");
    await fixture.client.createSender(queue).sendMessages({ body: 1 });
    const receiver = fixture.client.createReceiver(queue, noRenewal);
    const message = await receiveOne(receiver);
    for (let round = 0; round < 3; round++) {
      await sleep(shortLockMs / 2);
      await receiver.renewMessageLock(message);
    }
    await receiver.completeMessage(message);
    expect(await errorCodeOf(receiver.renewMessageLock(message))).toBe("MessageLockLost");
  });

  test("a handler that takes longer than two locks runs once, since the client renews", async ({ expect }) => {
    const queue = queueName("briefly-locked-*");
    await fixture.client.createSender(queue).sendMessages({ body: 1 });
    const receiver = fixture.client.createReceiver(queue);
    let calls = 0;
    await new Promise<void>((resolve, reject) => {
      receiver.subscribe({
        processMessage: async () => {
          calls += 1;
          await sleep(2.2 * shortLockMs);
          resolve();
        },
        processError: ({ error }) => Promise.resolve(reject(error)),
      });
    });
    await expect.poll(() => receiver.peekMessages(1)).toEqual([]);
    expect(calls).toBe(1);
    await receiver.close();
  });
});
