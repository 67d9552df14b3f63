import { randomBytes } from "node:crypto";
import { type AmqpHandlers, type IncomingLink, type IncomingTransfer, type OutgoingLink } from "./amqp.ts";
import { ticks } from "./codec.ts";
import { type Consumer } from "./consumer.ts";
import { BrokerError, asBrokerError } from "./errors.ts";
import { manage } from "./management.ts";
import { encodeForDelivery, parseBatch, parseMessage } from "./messages.ts";
import { type Namespace } from "./namespace.ts";
import { type Queue } from "./queue.ts";
import { type ManagementAnswer, type ManagementRequest, decodeRequest, encodeAnswer } from "./requests.ts";
import { type SessionConsumer } from "./sessions.ts";
import { type Topic } from "./topic.ts";

/** The limit of the Standard tier. The client keeps batches below it, single messages it sends anyway. */
const messageSizeMaxBytes = 262_144;
const sessionWaitDefaultMs = 60_000;
const tokenNode = "$cbs";
const managementNode = /\/\$management$/i;
const sessionFilterKey = "com.microsoft:session-filter";

/** Connects links with entities: what an attach asks for, and which queue a transfer belongs to. */
export function linkHandlers(namespace: Namespace, beforeWrite: () => void): AmqpHandlers {
  const replies = new ReplyLinks();
  return {
    beforeWrite,
    onOutgoingLink(link) {
      const { address } = link;
      if (address === tokenNode || managementNode.test(address)) {
        if (address !== tokenNode) namespace.find(address.replace(managementNode, ""));
        replies.add(link);
      } else {
        openReceiver(link, receivableQueue(namespace, address));
      }
    },
    onIncomingLink(link) {
      const { address } = link;
      if (address === tokenNode) openTokenNode(link, replies);
      else if (managementNode.test(address)) openManagement(link, replies, namespace);
      else openSender(link, sendTarget(namespace, address));
    },
  };
}

/** The links on which answers to requests go out. A request names one by the link's name (`$cbs`) or its target (`$management`). */
class ReplyLinks {
  readonly #links = new Map<string, OutgoingLink>();

  add(link: OutgoingLink): void {
    const keys = [link.name, link.replyAddress ?? link.name].map((name) => replyKey(link.peer.id, name));
    for (const key of keys) this.#links.set(key, link);
    link.onClosed = () => keys.forEach((key) => this.#links.delete(key));
    link.accept();
  }

  answer(connectionId: string, request: ManagementRequest, answer: ManagementAnswer): void {
    this.#links.get(replyKey(connectionId, request.replyTo))?.send(encodeAnswer(request, answer), deliveryTag());
  }
}

const replyKey = (connectionId: string, name: string): string => JSON.stringify([connectionId, name]);
const deliveryTag = (): Buffer => randomBytes(16);

/** Every token is good: the broker listens on the loopback address only. */
function openTokenNode(link: IncomingLink, replies: ReplyLinks): void {
  openRequests(link, (request) => replies.answer(link.peer.id, request, { statusCode: 202 }));
}

function openManagement(link: IncomingLink, replies: ReplyLinks, namespace: Namespace): void {
  const entity = namespace.find(link.address.replace(managementNode, ""));
  openRequests(link, (request) => replies.answer(link.peer.id, request, manage(entity, request, link.peer.id)));
}

function openRequests(link: IncomingLink, handle: (request: ManagementRequest) => void): void {
  link.accept(messageSizeMaxBytes);
  link.onTransfer = (transfer) => acceptIf(transfer, () => handle(decodeRequest(transfer.bytes)));
}

function openSender(link: IncomingLink, target: Queue | Topic): void {
  link.accept(messageSizeMaxBytes);
  link.onTransfer = (transfer) => acceptIf(transfer, () => store(transfer, target));
}

/** All messages of a batch, or none. */
function store({ bytes, isBatch }: IncomingTransfer, target: Queue | Topic): void {
  if (bytes.length > messageSizeMaxBytes) {
    throw new BrokerError(
      "amqp:link:message-size-exceeded",
      `The message of ${bytes.length} bytes exceeds the limit of ${messageSizeMaxBytes} bytes.`,
    );
  }
  const messages = isBatch ? parseBatch(bytes) : [parseMessage(bytes)];
  for (const message of messages) target.check(message);
  for (const message of messages) target.enqueue(message);
}

function acceptIf(transfer: IncomingTransfer, handle: () => void): void {
  try {
    handle();
    transfer.accept();
  } catch (error) {
    transfer.reject(asBrokerError(error));
  }
}

function sendTarget(namespace: Namespace, address: string): Queue | Topic {
  const entity = namespace.find(address);
  if (entity.kind === "topic") return entity.topic;
  if (entity.kind === "queue" && entity.queue.deadLetters !== undefined) return entity.queue;
  throw new BrokerError("amqp:not-allowed", `Messages cannot be sent to '${address}'.`);
}

function receivableQueue(namespace: Namespace, address: string): Queue {
  const entity = namespace.find(address);
  if (entity.kind !== "topic") return entity.queue;
  throw new BrokerError("amqp:not-allowed", `'${address}' is a topic: messages are received from its subscriptions.`);
}

function openReceiver(link: OutgoingLink, queue: Queue): void {
  const { sessionFilter } = link;
  link.onOutcome = (tag, outcome, answer) => answer(refusalOf(() => queue.settle(tag.toString("hex"), outcome)));
  if (sessionFilter === undefined) openPlainReceiver(link, queue);
  else openSessionReceiver(link, queue, sessionFilter);
}

function refusalOf(work: () => void): BrokerError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return asBrokerError(error);
  }
}

function openPlainReceiver(link: OutgoingLink, queue: Queue): void {
  const consumer = consumerOf(link);
  queue.receivers.attach(consumer);
  connect(link, queue, consumer);
  link.accept();
}

function openSessionReceiver(link: OutgoingLink, queue: Queue, sessionId: string | null): void {
  const consumer: SessionConsumer = {
    ...consumerOf(link),
    connectionId: link.peer.id,
    linkName: link.name,
    accepted(id, lockedUntilMs) {
      link.accept({ filter: { [sessionFilterKey]: id }, properties: { "com.microsoft:locked-until-utc": ticks(lockedUntilMs) } });
    },
  };
  connect(link, queue, consumer);
  if (sessionId !== null) return queue.receivers.acceptSession(sessionId, consumer);
  const waitMs = link.properties["com.microsoft:timeout"];
  link.hold();
  queue.receivers.acceptNextSession(consumer, typeof waitMs === "number" ? waitMs : sessionWaitDefaultMs);
}

function connect(link: OutgoingLink, queue: Queue, consumer: Consumer): void {
  link.onCredit = () => queue.receivers.deliverTo(consumer);
  link.onClosed = () => queue.receivers.detach(consumer);
}

function consumerOf(link: OutgoingLink): Consumer {
  return {
    mode: link.isPresettled ? "receive-and-delete" : "peek-lock",
    credit: () => link.credit(),
    deliver: (message, locked) =>
      link.send(encodeForDelivery(message, locked?.lockedUntilMs), locked ? Buffer.from(locked.lock.token, "hex") : deliveryTag()),
    detach: (reason) => link.close(reason),
  };
}
