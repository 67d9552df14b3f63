import { type ErrorBody } from "../../contracts/wire.ts";
import { type ControlPlane } from "../control-plane.ts";
import { eventOf } from "../events/event.ts";
import { publishRecorded, recordEvents } from "../events/outbox.ts";
import { type Log } from "../log.ts";
import { rejectionKey } from "../store/requests.ts";
import { QueueMissing } from "../bus/bus.ts";
import { type Envelope, type ReplyAddress, type ReplyMessage } from "./messages.ts";
import { type Outcome } from "./remembered.ts";

/** Thrown so that the host gives the message back: after the queue's largest delivery count the broker dead-letters it. */
export class RequestRejected extends Error {
  constructor(messageId: string, reason: string) {
    super(`the request ${messageId} is rejected and goes to the dead-letter queue: ${reason}`);
    this.name = "RequestRejected";
  }
}

/** Who sent the message, as far as it says. */
interface Sender {
  readonly correlationId?: Envelope["correlationId"] | null;
  readonly replyTo?: Envelope["replyTo"];
}

/**
 * Tells why a message is rejected: in the log each time it comes, once as an event and in its row, and to whoever waits
 * for an answer.
 * @throws RequestRejected always
 */
export async function reject(
  plane: ControlPlane,
  messageId: string,
  { correlationId = null, replyTo }: Sender,
  outcome: Outcome,
  log: Log,
): Promise<never> {
  const reason = (outcome.body as ErrorBody | undefined)?.error.message ?? `status ${outcome.status}`;
  const key = rejectionKey(messageId);
  if ((await plane.store.requests.get(key)) === undefined) {
    const time = plane.now().toISOString();
    const event = eventOf(
      "pgdms.request.rejected",
      { id: `request/${messageId}`, source: "/requests", subject: `/requests/${encodeURIComponent(messageId)}`, time, severity: "error" },
      { messageId, correlationId, reason },
    );
    const recorded = await recordEvents(plane, key.partitionKey, [event]);
    const nothing = { operation: null, resourceId: null };
    if (replyTo) await answer(plane, replyTo, { version: 1, correlationId, ...nothing, ...outcome }, log);
    await plane.store.requests.upsert(key, { correlationId, ...nothing, receivedOn: time, outcome });
    await publishRecorded(plane, recorded, log);
  }
  throw new RequestRejected(messageId, reason);
}

async function answer(plane: ControlPlane, to: ReplyAddress, reply: ReplyMessage, log: Log): Promise<void> {
  try {
    await plane.bus.reply(to, reply);
  } catch (error) {
    if (!(error instanceof QueueMissing)) throw error;
    log.warn({ event: "request.reply.failed", requestId: reply.correlationId ?? undefined, error: error.message }, "nobody is told");
  }
}
