import { setTimeout as sleep } from "node:timers/promises";
import { ServiceBusClient, type ServiceBusSessionReceiver } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { bodiesOf, clientOptions, errorCodeOf, queueName, receiveOne, shortLockMs, useBroker } from "./broker-fixture.ts";

const fixture = useBroker();
const noRenewal = { maxAutoLockRenewalDurationInMs: 0 };

const send = (queue: string, sessionId: string, ...bodies: unknown[]): Promise<void> =>
  fixture.client.createSender(queue).sendMessages(bodies.map((body) => ({ body, sessionId })));

/** Waits for the next session no longer than given; the client takes the wait from its operation timeout. */
async function withPatience<T>(timeoutInMs: number, work: (client: ServiceBusClient) => Promise<T>): Promise<T> {
  const client = new ServiceBusClient(fixture.broker.connectionString, { retryOptions: { maxRetries: 0, timeoutInMs } });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

test("a session is received in order, by one receiver at a time", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "a", 1, 2, 3);
  const receiver = await fixture.client.acceptSession(queue, "a");
  expect(receiver.sessionId).toBe("a");
  expect(receiver.sessionLockedUntilUtc.getTime() - Date.now()).toBeGreaterThan(50_000);
  expect(await errorCodeOf(fixture.client.acceptSession(queue, "a"))).toBe("SessionCannotBeLocked");
  expect(bodiesOf(await receiver.receiveMessages(3, { maxWaitTimeInMs: 1000 }))).toEqual([1, 2, 3]);
  await receiver.close();
  await (await fixture.client.acceptSession(queue, "a")).close();
});

test("a session without messages can be accepted by name, and gets what is sent later", async () => {
  const queue = queueName("in-sessions-*");
  const receiver = await fixture.client.acceptSession(queue, "empty");
  const received = receiveOne(receiver);
  await send(queue, "other", "not this");
  await send(queue, "empty", "this");
  expect((await received).body).toBe("this");
  await receiver.close();
});

test("closing a session frees it at once, and the uncompleted messages have no failed delivery", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "a", 1, 2);
  const first = await fixture.client.acceptNextSession(queue);
  await first.receiveMessages(2, { maxWaitTimeInMs: 1000 });
  await first.close();
  const second = await fixture.client.acceptNextSession(queue);
  const messages = await second.receiveMessages(2, { maxWaitTimeInMs: 1000 });
  expect(messages.map(({ body, deliveryCount }) => [body as number, deliveryCount])).toEqual([
    [1, 0],
    [2, 0],
  ]);
  await second.close();
});

test("the state of a session is kept until it is cleared", async () => {
  const queue = queueName("in-sessions-*");
  const first = await fixture.client.acceptSession(queue, "a");
  expect(await first.getSessionState()).toBeNull();
  await first.setSessionState({ position: "0/16B3748" });
  await first.close();
  const second = await fixture.client.acceptSession(queue, "a");
  expect(await second.getSessionState()).toEqual({ position: "0/16B3748" });
  await second.setSessionState(null);
  expect(await second.getSessionState()).toBeNull();
  await second.close();
});

test("the wait for the next session ends with a timeout when there is none", async () => {
  const queue = queueName("in-sessions-*");
  const held = await fixture.client.acceptSession(queue, "held");
  await send(queue, "held", 1);
  const started = performance.now();
  expect(await withPatience(600, (client) => errorCodeOf(client.acceptNextSession(queue)))).toBe("ServiceTimeout");
  expect(performance.now() - started).toBeGreaterThan(300);
  await held.close();
});

test("whoever waits for the next session gets it as soon as a message comes", async () => {
  const queue = queueName("in-sessions-*");
  const accepted = fixture.client.acceptNextSession(queue);
  // Something else on the same connection, answered in order: by then the wait has begun.
  await fixture.client.createReceiver(queueName("plain-*")).peekMessages(1);
  await send(queue, "woken", "now");
  const receiver = await accepted;
  expect(receiver.sessionId).toBe("woken");
  expect((await receiveOne(receiver)).body).toBe("now");
  await receiver.close();
});

test("whoever waits for the next session gets one that is closed with messages left", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "a", 1);
  const first = await fixture.client.acceptNextSession(queue);
  const accepted = fixture.client.acceptNextSession(queue);
  await first.close();
  expect((await accepted).sessionId).toBe("a");
  await (await accepted).close();
});

test("a client that stops waiting for a session does not get it", async () => {
  const queue = queueName("in-sessions-*");
  const impatient = new ServiceBusClient(fixture.broker.connectionString, clientOptions);
  // The client leaves this promise pending for ever when it is closed.
  void impatient.acceptNextSession(queue).catch(() => undefined);
  await impatient.createReceiver(queueName("plain-*")).peekMessages(1);
  await impatient.close();
  await send(queue, "a", 1);
  const receiver = await fixture.client.acceptNextSession(queue);
  expect((await receiveOne(receiver)).body).toBe(1);
  await receiver.close();
});

test("the next session is the one that is ready longest, so that none starves", async () => {
  const queue = queueName("in-sessions-*");
  for (const sessionId of ["a", "b", "c"]) await send(queue, sessionId, 1, 2);
  const order: string[] = [];
  for (let round = 0; round < 6; round++) {
    const receiver = await fixture.client.acceptNextSession(queue);
    order.push(receiver.sessionId);
    await receiver.completeMessage(await receiveOne(receiver));
    await receiver.close();
  }
  expect(order).toEqual(["a", "b", "c", "a", "b", "c"]);
});

const misuse = [
  ["a message without a session id", (queue: string) => fixture.client.createSender(queue).sendMessages({ body: 1 }), "GeneralError"],
  ["a receiver without a session", (queue: string) => fixture.client.createReceiver(queue).receiveMessages(1), "GeneralError"],
] as const;

test.each(misuse)("a queue with sessions refuses %s", async (_title, work, code) => {
  expect(await errorCodeOf(work(queueName("in-sessions-*")))).toBe(code);
});

test("a queue without sessions refuses a session receiver", async () => {
  const accept = fixture.client.acceptNextSession(queueName("plain-*"));
  await expect(accept).rejects.toThrow("InvalidOperationError");
});

test("a message of a session can be deferred and received by the session's holder", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "a", 1);
  const receiver = await fixture.client.acceptSession(queue, "a");
  const message = await receiveOne(receiver);
  await receiver.deferMessage(message);
  const [deferred] = message.sequenceNumber === undefined ? [] : await receiver.receiveDeferredMessages(message.sequenceNumber);
  if (deferred === undefined) throw new Error("the deferred message is gone");
  await receiver.completeMessage(deferred);
  expect(await receiver.peekMessages(10)).toEqual([]);
  await receiver.close();
});

test("dead letters of a queue with sessions are received without one", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "a", 1);
  const receiver = await fixture.client.acceptSession(queue, "a");
  await receiver.deadLetterMessage(await receiveOne(receiver), { deadLetterReason: "why", deadLetterErrorDescription: "because" });
  await receiver.close();
  const deadLetters = fixture.client.createReceiver(queue, { subQueueType: "deadLetter" });
  expect(await receiveOne(deadLetters)).toMatchObject({ body: 1, sessionId: "a", deadLetterReason: "why" });
});

test("a message that stays uncompleted for long does not stop the others of its session", async () => {
  const queue = queueName("in-sessions-*");
  await send(queue, "task", "start");
  const receiver = await fixture.client.acceptSession(queue, "task");
  const start = await receiveOne(receiver);
  for (const body of ["cut over", "cancel"]) {
    await send(queue, "task", body);
    const command = await receiveOne(receiver);
    expect(command.body).toBe(body);
    await receiver.completeMessage(command);
  }
  expect(bodiesOf(await receiver.peekMessages(10))).toEqual(["start"]);
  await receiver.completeMessage(start);
  await receiver.close();
});

test("two workers take all sessions between them, each session in order", async () => {
  const queue = queueName("in-sessions-*");
  const [sessionCount, messagesPerSession] = [12, 5];
  const taken = new Map<string, { worker: number; body: number }[]>();
  let left = sessionCount * messagesPerSession;
  let connected = 0;
  let bothConnected = (): void => undefined;
  const ready = new Promise<void>((resolve) => (bothConnected = resolve));

  const take = async (worker: number, receiver: ServiceBusSessionReceiver): Promise<void> => {
    const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 1000 });
    if (message === undefined || message.body === "stop") return;
    taken.set(receiver.sessionId, [...(taken.get(receiver.sessionId) ?? []), { worker, body: Number(message.body) }]);
    await receiver.completeMessage(message);
    left -= 1;
    // Wakes the workers that wait for a session.
    if (left === 0) await Promise.all([send(queue, "stop 1", "stop"), send(queue, "stop 2", "stop")]);
  };
  const work = async (worker: number): Promise<void> => {
    const client = new ServiceBusClient(fixture.broker.connectionString, clientOptions);
    await client.createReceiver(queueName("plain-*")).peekMessages(1); // connects, so that neither worker comes late
    if (++connected === 2) bothConnected();
    while (left > 0) {
      const receiver = await client.acceptNextSession(queue);
      await take(worker, receiver);
      if (left > 0) await receiver.close();
    }
    await client.close();
  };

  const workers = [work(1), work(2)];
  await ready;
  for (let body = 0; body < messagesPerSession; body++) {
    for (let session = 0; session < sessionCount; session++) await send(queue, `task ${session}`, body);
  }
  await Promise.all(workers);
  expect(taken.size).toBe(sessionCount);
  for (const deliveries of taken.values()) expect(deliveries.map(({ body }) => body)).toEqual([0, 1, 2, 3, 4]);
  const shares = [...taken.values()].flat().map(({ worker }) => worker);
  expect(new Set(shares).size).toBe(2);
}, 20_000);

/** These wait for locks, so they wait at the same time. */
describe.concurrent("session locks that run out", () => {
  test("a session lock that runs out is lost, counts as a failed delivery, and the next receiver gets the messages", async () => {
    const queue = queueName("briefly-in-sessions-*");
    await send(queue, "a", 1);
    const first = await fixture.client.acceptSession(queue, "a", noRenewal);
    const lost = await receiveOne(first);
    const second = await fixture.client.acceptNextSession(queue);
    expect(await receiveOne(second)).toMatchObject({ body: 1, deliveryCount: 1 });
    expect(await errorCodeOf(first.completeMessage(lost))).toBe("SessionLockLost");
    expect(await errorCodeOf(first.renewSessionLock())).toBe("SessionLockLost");
    expect(await errorCodeOf(first.setSessionState("mine"))).toBe("SessionLockLost");
    await second.close();
  });

  test("a session lock that is renewed lasts", async () => {
    const queue = queueName("briefly-in-sessions-*");
    await send(queue, "a", 1);
    const receiver = await fixture.client.acceptSession(queue, "a", noRenewal);
    const message = await receiveOne(receiver);
    for (let round = 0; round < 3; round++) {
      await sleep(shortLockMs / 2);
      await receiver.renewSessionLock();
    }
    await receiver.completeMessage(message);
    await receiver.close();
  });

  test("a receive in progress is told when the session is lost", async () => {
    const queue = queueName("briefly-in-sessions-*");
    const receiver = await fixture.client.acceptSession(queue, "a", noRenewal);
    expect(await errorCodeOf(receiver.receiveMessages(1, { maxWaitTimeInMs: 20_000 }))).toBe("SessionLockLost");
  });
});
