import { z } from "zod";
import { longArray, longValue, timestamp, timestampArray, uuid } from "./codec.ts";
import { type Outcome } from "./consumer.ts";
import { BrokerError, asBrokerError } from "./errors.ts";
import { swapGuid } from "./locks.ts";
import { encodeForDelivery, parseMessage } from "./messages.ts";
import { type Entity } from "./namespace.ts";
import { type Queue } from "./queue.ts";
import { type ManagementAnswer, type ManagementRequest, failure } from "./requests.ts";
import { decodeRule, encodeRule } from "./rule-descriptions.ts";
import { type Requester } from "./sessions.ts";
import { type Subscription } from "./topic.ts";

const sequenceNumber = z.unknown().transform(longValue).pipe(z.number().int());
const sequenceNumbers = z.array(sequenceNumber);
const sessionId = z.string();
const count = z.number().int().min(0);
const binary = z.instanceof(Buffer);
/** Requests carry lock tokens in the order that the client shows them in; inside, a token is the delivery tag. */
const lockTokens = z.array(binary.transform((bytes) => swapGuid(bytes).toString("hex")));
const empty: ManagementAnswer = { statusCode: 204 };

type Operation = (entity: Entity, body: ManagementRequest["body"], requester: Requester) => ManagementAnswer["body"] | ManagementAnswer;

const operations: Readonly<Record<string, Operation>> = {
  "peek-message": peekMessage,
  "renew-lock": renewLock,
  "schedule-message": scheduleMessage,
  "cancel-scheduled-message": cancelScheduledMessage,
  "receive-by-sequence-number": receiveBySequenceNumber,
  "update-disposition": updateDisposition,
  "renew-session-lock": renewSessionLock,
  "get-session-state": getSessionState,
  "set-session-state": setSessionState,
  "get-message-sessions": getMessageSessions,
  "enumerate-rules": enumerateRules,
  "add-rule": addRule,
  "remove-rule": removeRule,
};

/** Carries out a request to an entity's `$management` node; a failure becomes an answer. */
export function manage(entity: Entity, request: ManagementRequest, connectionId: string): ManagementAnswer {
  try {
    const operation = operations[request.operation.replace("com.microsoft:", "")];
    if (operation === undefined)
      throw new BrokerError("amqp:not-implemented", `The operation '${request.operation}' is not supported by the local broker.`);
    const answer = operation(entity, request.body, { connectionId, linkName: request.linkName });
    return answer !== undefined && isAnswer(answer) ? answer : { statusCode: 200, body: answer };
  } catch (error) {
    if (error instanceof z.ZodError) return failure(new BrokerError("com.microsoft:argument-error", z.prettifyError(error)));
    return failure(asBrokerError(error));
  }
}

const isAnswer = (answer: object): answer is ManagementAnswer => "statusCode" in answer;

const peekSchema = z.object({ "from-sequence-number": sequenceNumber, "message-count": count, "session-id": sessionId.nullish() });

function peekMessage(entity: Entity, body: unknown): ManagementAnswer["body"] | ManagementAnswer {
  const { "from-sequence-number": from, "message-count": messageCount, "session-id": session } = peekSchema.parse(body);
  const messages = queueOf(entity).peek(from, messageCount, session ?? undefined);
  return messages.length === 0 ? empty : { messages: messages.map((message) => ({ message: encodeForDelivery(message, undefined) })) };
}

function renewLock(entity: Entity, body: unknown): ManagementAnswer["body"] {
  const { "lock-tokens": tokens } = z.object({ "lock-tokens": lockTokens }).parse(body);
  return { expirations: timestampArray(queueOf(entity).renewLocks(tokens)) };
}

const scheduleSchema = z.object({ messages: z.array(z.looseObject({ message: binary })) });

function scheduleMessage(entity: Entity, body: unknown): ManagementAnswer["body"] {
  const target = entity.kind === "topic" ? entity.topic : entity.queue;
  const messages = scheduleSchema.parse(body).messages.map(({ message }) => parseMessage(message));
  for (const message of messages) target.check(message);
  return { "sequence-numbers": longArray(messages.map((message) => target.enqueue(message))) };
}

function cancelScheduledMessage(entity: Entity, body: unknown): undefined {
  const target = entity.kind === "topic" ? entity.topic : entity.queue;
  target.cancelScheduled(z.object({ "sequence-numbers": sequenceNumbers }).parse(body)["sequence-numbers"]);
}

const receiveSchema = z.object({ "sequence-numbers": sequenceNumbers, "receiver-settle-mode": count, "session-id": sessionId.nullish() });
const receiveAndDelete = 0;

function receiveBySequenceNumber(entity: Entity, body: unknown, requester: Requester): ManagementAnswer["body"] {
  const { "sequence-numbers": numbers, "receiver-settle-mode": mode, "session-id": id } = receiveSchema.parse(body);
  const queue = queueOf(entity);
  const deliveries = queue.receiveDeferred(numbers, typeof id === "string" ? { id, requester } : undefined);
  return {
    messages: deliveries.map(([message, { lock, lockedUntilMs }]) => {
      if (mode === receiveAndDelete) queue.settle(lock.token, { kind: "complete" });
      return { "lock-token": uuid(swapGuid(Buffer.from(lock.token, "hex"))), message: encodeForDelivery(message, lockedUntilMs) };
    }),
  };
}

const dispositionSchema = z.object({
  "disposition-status": z.enum(["completed", "abandoned", "suspended", "defered"]),
  "lock-tokens": lockTokens,
  "deadletter-reason": z.string().nullish(),
  "deadletter-description": z.string().nullish(),
  "properties-to-modify": z.record(z.string(), z.unknown()).nullish(),
});

function updateDisposition(entity: Entity, body: unknown): undefined {
  const disposition = dispositionSchema.parse(body);
  for (const token of disposition["lock-tokens"]) queueOf(entity).settle(token, outcomeOf(disposition));
}

function outcomeOf(disposition: z.output<typeof dispositionSchema>): Outcome {
  const properties = disposition["properties-to-modify"] ?? undefined;
  switch (disposition["disposition-status"]) {
    case "completed":
      return { kind: "complete" };
    case "abandoned":
      return { kind: "abandon", properties };
    case "defered":
      return { kind: "defer", properties };
    case "suspended": {
      const { "deadletter-reason": reason, "deadletter-description": description } = disposition;
      return { kind: "dead-letter", reason: reason ?? undefined, description: description ?? undefined, properties };
    }
  }
}

const sessionSchema = z.object({ "session-id": sessionId });

function renewSessionLock(entity: Entity, body: unknown, requester: Requester): ManagementAnswer["body"] {
  return { expiration: timestamp(queueOf(entity).sessions.renew(sessionSchema.parse(body)["session-id"], requester)) };
}

function getSessionState(entity: Entity, body: unknown, requester: Requester): ManagementAnswer["body"] {
  return { "session-state": queueOf(entity).sessions.state(sessionSchema.parse(body)["session-id"], requester) };
}

function setSessionState(entity: Entity, body: unknown, requester: Requester): undefined {
  const { "session-id": id, "session-state": state } = sessionSchema.extend({ "session-state": binary.nullish() }).parse(body);
  queueOf(entity).sessions.setState(id, state ? Buffer.from(state) : null, requester);
}

const pageSchema = z.object({ skip: count.default(0), top: count });

function getMessageSessions(entity: Entity, body: unknown): ManagementAnswer["body"] | ManagementAnswer {
  const { skip, top } = pageSchema.parse(body);
  const ids = queueOf(entity)
    .sessions.ids()
    .slice(skip, skip + top);
  return ids.length === 0 ? empty : { skip: skip + ids.length, "sessions-ids": ids };
}

/** Past the end the answer must be 204, or the client asks for ever. */
function enumerateRules(entity: Entity, body: unknown): ManagementAnswer["body"] | ManagementAnswer {
  const { skip, top } = pageSchema.parse(body);
  const rules = subscriptionOf(entity).rules.slice(skip, skip + top);
  return rules.length === 0 ? empty : { rules: rules.map((rule) => ({ "rule-description": encodeRule(rule) })) };
}

function addRule(entity: Entity, body: ManagementRequest["body"]): undefined {
  subscriptionOf(entity).addRule(decodeRule(body["rule-name"], body["rule-description"]));
}

function removeRule(entity: Entity, body: unknown): undefined {
  subscriptionOf(entity).removeRule(z.object({ "rule-name": z.string() }).parse(body)["rule-name"]);
}

function queueOf(entity: Entity): Queue {
  if (entity.kind !== "topic") return entity.queue;
  throw new BrokerError("amqp:not-allowed", `'${entity.topic.path}' is a topic: messages are read from its subscriptions.`);
}

function subscriptionOf(entity: Entity): Subscription {
  if (entity.kind === "subscription") return entity.subscription;
  throw new BrokerError("amqp:not-allowed", "Only a subscription has rules.");
}
