import { expect, test } from "vitest";
import fc from "fast-check";
import rhea from "rhea";
import { type QueueSettings, azureDefaults } from "../../local/broker/config.ts";
import { type Consumer, type Outcome } from "../../local/broker/consumer.ts";
import { DeliveryTable } from "../../local/broker/delivery-table.ts";
import { BrokerError } from "../../local/broker/errors.ts";
import { MinHeap } from "../../local/broker/heap.ts";
import { type JournalRecord, journalRecordSchema, toLine } from "../../local/broker/journal-records.ts";
import { type Lock, swapGuid } from "../../local/broker/locks.ts";
import { type StoredMessage, encodeForDelivery, parseMessage } from "../../local/broker/messages.ts";
import { Queue } from "../../local/broker/queue.ts";
import { type RheaDelivery } from "../../local/broker/rhea-internals.ts";
import { splitSections } from "../../local/broker/sections.ts";

/** A queue on a clock that the test turns, with a journal in memory. */
class Bench {
  nowMs = 1_000_000;
  readonly journal: JournalRecord[] = [];
  readonly queue: Queue;

  constructor(settings: Partial<QueueSettings> = {}) {
    this.queue = this.makeQueue(settings);
  }

  makeQueue(settings: Partial<QueueSettings>): Queue {
    const record = (entry: JournalRecord): unknown => this.journal.push(journalRecordSchema.parse(JSON.parse(toLine(entry))));
    const host = { now: () => this.nowMs, record, wakeAt: () => undefined, forward: () => undefined };
    return new Queue("q", { ...azureDefaults, ...settings }, host);
  }

  send(messageId: string, more: { sessionId?: string; scheduledTimeMs?: number; ttl?: number } = {}): void {
    const { sessionId: group_id, scheduledTimeMs, ttl } = more;
    const message_annotations = scheduledTimeMs === undefined ? {} : { "x-opt-scheduled-enqueue-time": new Date(scheduledTimeMs) };
    this.queue.enqueue(parseMessage(rhea.message.encode({ message_id: messageId, group_id, ttl, message_annotations, body: messageId })));
  }

  /** Moves the clock and lets everything happen whose time has come. */
  pass(timeMs: number): void {
    this.nowMs += timeMs;
    this.queue.advance();
  }
}

class Receiver implements Consumer {
  readonly mode = "peek-lock";
  readonly connectionId = "connection";
  readonly linkName = "link";
  left = 0;
  readonly locks: Lock[] = [];
  readonly sessionIds: string[] = [];
  readonly reasons: string[] = [];

  credit(): number {
    return this.left;
  }
  deliver(_message: StoredMessage, locked: { lock: Lock } | undefined): void {
    this.left -= 1;
    if (locked !== undefined) this.locks.push(locked.lock);
  }
  detach(reason: BrokerError): void {
    this.reasons.push(reason.condition);
  }
  accepted(sessionId: string): void {
    this.sessionIds.push(sessionId);
  }
}

const idsOf = (queue: Queue): string[] => queue.peek(0, Infinity, undefined).map(({ messageId }) => messageId);

test("a delivery ends when its lock does, to the millisecond", () => {
  const bench = new Bench({ lockDurationMs: 1000, maxDeliveryCount: 2 });
  const receiver = new Receiver();
  bench.queue.receivers.attach(receiver);
  bench.send("a");
  receiver.left = 1;
  bench.queue.receivers.deliverTo(receiver);
  bench.pass(999);
  expect(bench.queue.renewLocks([receiver.locks[0]?.token ?? ""])).toEqual([bench.nowMs + 1000]);
  bench.pass(999);
  expect(bench.queue.nextDeadlineMs()).toBe(bench.nowMs + 1);
  bench.pass(1);
  expect(() => bench.queue.settle(receiver.locks[0]?.token ?? "", { kind: "complete" })).toThrow(BrokerError);
  receiver.left = 1;
  bench.queue.receivers.deliverTo(receiver);
  bench.pass(1000);
  expect(idsOf(bench.queue)).toEqual([]);
  expect(bench.queue.deadLetters && idsOf(bench.queue.deadLetters)).toEqual(["a"]);
});

test("a session lock that runs out detaches the holder and frees the session for who waits", () => {
  const bench = new Bench({ requiresSession: true, lockDurationMs: 1000 });
  const [holder, waiter, late] = [new Receiver(), new Receiver(), new Receiver()];
  bench.send("a", { sessionId: "s" });
  bench.queue.receivers.acceptNextSession(holder, 5000);
  bench.queue.receivers.acceptNextSession(waiter, 5000);
  bench.queue.receivers.acceptNextSession(late, 500);
  expect([holder.sessionIds, waiter.sessionIds]).toEqual([["s"], []]);
  bench.pass(500);
  expect(late.reasons).toEqual(["com.microsoft:timeout"]);
  bench.queue.sessions.renew("s", holder);
  bench.pass(999);
  expect(waiter.sessionIds).toEqual([]);
  bench.pass(1);
  expect(holder.reasons).toEqual(["com.microsoft:session-lock-lost"]);
  expect(waiter.sessionIds).toEqual(["s"]);
});

test("an id leaves the duplicate detection window when its time is over, not later because of a duplicate", () => {
  const bench = new Bench({ duplicateWindowMs: 1000 });
  bench.send("a");
  bench.pass(999);
  bench.send("a");
  expect(idsOf(bench.queue)).toEqual(["a"]);
  bench.pass(1);
  bench.send("a");
  expect(idsOf(bench.queue)).toEqual(["a", "a"]);
});

test("the time to live begins when a scheduled message becomes active", () => {
  const bench = new Bench({ deadLetterOnExpiry: true });
  bench.send("a", { scheduledTimeMs: bench.nowMs + 5000, ttl: 1000 });
  bench.pass(5000);
  expect(idsOf(bench.queue)).toEqual(["a"]);
  bench.pass(1000);
  expect(idsOf(bench.queue)).toEqual([]);
  expect(bench.queue.deadLetters?.messageCount).toBe(1);
});

test("the smaller time to live counts, that of the message or that of the queue", () => {
  const bench = new Bench({ defaultTimeToLiveMs: 1000 });
  bench.send("brief", { ttl: 500 });
  bench.send("long", { ttl: 5000 });
  bench.pass(500);
  expect(idsOf(bench.queue)).toEqual(["long"]);
  bench.pass(500);
  expect(idsOf(bench.queue)).toEqual([]);
});

test("a message that expires while it is locked expires when the lock is released", () => {
  const bench = new Bench({ defaultTimeToLiveMs: 500, deadLetterOnExpiry: true });
  const receiver = new Receiver();
  receiver.left = 2;
  bench.queue.receivers.attach(receiver);
  bench.send("completed");
  bench.send("abandoned");
  bench.pass(600);
  expect(idsOf(bench.queue)).toEqual(["completed", "abandoned"]);
  const [first, second] = receiver.locks;
  bench.queue.settle(first?.token ?? "", { kind: "complete" });
  bench.queue.settle(second?.token ?? "", { kind: "abandon" });
  expect(idsOf(bench.queue)).toEqual([]);
  expect(bench.queue.deadLetters && idsOf(bench.queue.deadLetters)).toEqual(["abandoned"]);
});

test("receivers with credit take turns", () => {
  const bench = new Bench();
  const receivers = [new Receiver(), new Receiver(), new Receiver()];
  for (const receiver of receivers) {
    receiver.left = 200;
    bench.queue.receivers.attach(receiver);
  }
  for (let index = 0; index < 300; index++) bench.send(`m${index}`);
  expect(receivers.map(({ locks }) => locks.length)).toEqual([100, 100, 100]);
});

type Step = { kind: "send" | "schedule" | "receive" | "pass" } | { kind: "settle"; outcome: Outcome["kind"]; which: number };

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constantFrom("send" as const, "schedule" as const, "receive" as const, "pass" as const) }),
    fc.record({
      kind: fc.constant("settle" as const),
      outcome: fc.constantFrom("complete" as const, "abandon" as const, "defer" as const, "dead-letter" as const),
      which: fc.nat(20),
    }),
  ),
  { maxLength: 60 },
);

/** Carries out the steps. @returns how many messages were sent and completed */
function run(bench: Bench, receiver: Receiver, script: readonly Step[]): { sent: number; completed: number } {
  let [sent, completed] = [0, 0];
  const settle = (outcome: Outcome["kind"], lock: Lock | undefined): void => {
    try {
      bench.queue.settle(lock?.token ?? "", { kind: outcome });
      if (outcome === "complete") completed += 1;
    } catch (error) {
      expect(error).toMatchObject({ condition: "com.microsoft:message-lock-lost" });
    }
  };
  for (const step of script) {
    if (step.kind === "send") bench.send(`m${++sent}`);
    else if (step.kind === "schedule") bench.send(`m${++sent}`, { scheduledTimeMs: bench.nowMs + 700 });
    else if (step.kind === "pass") bench.pass(400);
    else if (step.kind === "settle") settle(step.outcome, receiver.locks.at(-1 - step.which));
    else {
      receiver.left = 2;
      bench.queue.receivers.deliverTo(receiver);
    }
  }
  return { sent, completed };
}

const messageStates = (queue: Queue): unknown[] =>
  queue
    .peek(0, Infinity, undefined)
    .map(({ messageId, state, deliveryCount, sequenceNumber }) => ({ messageId, state, deliveryCount, sequenceNumber }));

test("whatever is done, no message is lost or doubled, and the journal tells the same", () => {
  fc.assert(
    fc.property(steps, (script) => {
      const settings = { lockDurationMs: 1000, maxDeliveryCount: 3 };
      const bench = new Bench(settings);
      const receiver = new Receiver();
      bench.queue.receivers.attach(receiver);
      const { sent, completed } = run(bench, receiver, script);
      const here = [...idsOf(bench.queue), ...(bench.queue.deadLetters ? idsOf(bench.queue.deadLetters) : [])];
      expect(new Set(here).size).toBe(here.length);
      expect(here.length + completed).toBe(sent);

      const before = [...bench.journal];
      const again = bench.makeQueue(settings);
      for (const record of before) (record.path === "q" ? again : again.deadLetters)?.restore(record);
      again.resume();
      const state = (queue: Queue): unknown => [queue, queue.deadLetters].map((each) => each && messageStates(each));
      expect(state(again)).toEqual(state(bench.queue));
    }),
    { numRuns: 300 },
  );
});

test("a heap gives its keys in order", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (keys) => {
      const heap = new MinHeap<number>();
      for (const key of keys) heap.push(key, key);
      const popped = Array.from({ length: keys.length }, () => heap.pop()?.value);
      expect(popped).toEqual(keys.toSorted((a, b) => a - b));
      expect(heap.pop()).toBeUndefined();
    }),
  );
});

test("a delivered message keeps the bytes that the sender encoded", () => {
  const { types } = rhea;
  const application_properties = { long: types.wrap_long(5), byte: types.wrap_byte(1), time: new Date(0), float: types.wrap_float(1.5) };
  const sent = rhea.message.encode({
    message_id: "id",
    durable: true,
    ttl: 1000,
    application_properties,
    body: rhea.message.data_section(Buffer.alloc(300, 7)) as unknown,
  });
  const stored: StoredMessage = {
    ...parseMessage(sent),
    sequenceNumber: 9,
    enqueuedTimeMs: 5,
    expiryTimeMs: Infinity,
    state: "active",
    deliveryCount: 2,
  };
  const delivered = encodeForDelivery(stored, 77);
  const kept = (bytes: Buffer): string[] =>
    splitSections(bytes)
      .filter(({ code }) => code >= 0x73)
      .map(({ bytes: part }) => part.toString("hex"));
  expect(kept(delivered)).toEqual(kept(sent));
  expect({ ...rhea.message.decode(delivered) }).toMatchObject({
    durable: true,
    ttl: 1000,
    delivery_count: 2,
    message_annotations: { "x-opt-sequence-number": 9, "x-opt-locked-until": new Date(77) },
  });
});

test("what is not an AMQP message is refused", () => {
  for (const bytes of [Buffer.from("hello"), Buffer.from([0, 0x53, 0x75, 0xa0, 9, 1]), Buffer.from([0, 0x53])]) {
    expect(() => parseMessage(bytes)).toThrow("not an AMQP message");
  }
});

test("a delivery tag and the lock token that the client shows differ in byte order only", () => {
  const tag = Buffer.from("00112233445566778899aabbccddeeff", "hex");
  expect(swapGuid(tag).toString("hex")).toBe("33221100554477668899aabbccddeeff");
  expect(swapGuid(swapGuid(tag))).toEqual(tag);
});

test("a delivery that is held for long does not use up the room of those behind it", () => {
  const table = new DeliveryTable(10);
  const delivery = (id: number): RheaDelivery => ({
    id,
    tag: "",
    state: undefined,
    settled: false,
    remote_settled: false,
    update: () => undefined,
  });
  const finish = (id: number): void => {
    const found = table.by_id(id);
    if (found === undefined) throw new Error(`delivery ${id} is gone`);
    Object.assign(found, { settled: true, remote_settled: true });
    table.mayBeFinished(found);
    table.pop_if(({ settled, remote_settled }) => settled && remote_settled);
  };
  table.push(delivery(0));
  for (let id = 1; id <= 100; id++) {
    table.push(delivery(id));
    finish(id);
  }
  expect(table.available()).toBe(9);
  finish(0);
  expect(table.available()).toBe(10);
});
