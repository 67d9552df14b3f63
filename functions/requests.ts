import { setTimeout as sleep } from "node:timers/promises";
import { readRequest, callOf, type Request } from "./automation/read-request.ts";
import { Envelope, type ReplyMessage } from "./automation/messages.ts";
import { reject, RequestRejected } from "./automation/rejection.ts";
import { onceFor, type Outcome } from "./automation/remembered.ts";
import { QueueMissing } from "./bus/bus.ts";
import { type ControlPlane } from "./control-plane.ts";
import { ApiError, errorBody } from "./http/api-error.ts";
import { type Answer, type Endpoint } from "./http/endpoint.ts";
import { refusalOf } from "./http/refusal.ts";
import { type Log, stackOf } from "./log.ts";

/** One delivery of one message of the queue `requests`. */
export interface Delivery {
  readonly message: unknown;
  readonly messageId: string;
  /** 1 at the first. */
  readonly deliveryCount: number;
}

/**
 * Runs a request that came by message, on the code path of the REST API. Who may send to the queue may do all of it.
 * @throws RequestRejected when it cannot be run, or is refused and nobody waits for the answer; Error when the control
 * plane failed, after a pause, so that the deliveries that are left outlast a short outage
 */
export async function takeRequest(plane: ControlPlane, endpoints: readonly Endpoint[], delivery: Delivery, log: Log): Promise<void> {
  try {
    await answered(plane, endpoints, delivery, log);
  } catch (error) {
    if (error instanceof RequestRejected) throw error;
    log.error({ event: "request.failed", requestId: delivery.messageId, error: stackOf(error) }, "a request by message failed");
    await sleep(pauseMs(delivery.deliveryCount));
    throw error;
  }
}

const PAUSE_MS_MAX = 20_000;

/** A message that is given back comes again at once, ten times in all: in the pauses a failure may pass. */
const pauseMs = (deliveryCount: number): number => Math.min(PAUSE_MS_MAX, 250 * 2 ** Math.min(deliveryCount - 1, 10));

async function answered(
  plane: ControlPlane,
  endpoints: readonly Endpoint[],
  { message: text, messageId }: Delivery,
  log: Log,
): Promise<void> {
  const request = readable(() => readRequest(endpoints, text));
  if ("refusal" in request) return reject(plane, messageId, Envelope.safeParse(text).data ?? {}, request.refusal, log);
  const { message } = request;
  const { correlationId } = message;
  const outcome = await onceFor(plane, message, () => run(plane, request, log));
  log.info({ event: "request.done", requestId: correlationId }, `${message.operation} of ${message.resourceId} answers ${outcome.status}`);
  if (message.replyTo) {
    try {
      await plane.bus.reply(message.replyTo, replyOf(message, outcome));
    } catch (error) {
      if (!(error instanceof QueueMissing)) throw error;
      await reject(plane, messageId, { correlationId }, refused(error.message), log);
    }
  } else if (outcome.status >= 400) await reject(plane, messageId, { correlationId }, outcome, log);
}

function readable(read: () => Request): Request | { refusal: Outcome } {
  try {
    return read();
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return { refusal: outcomeOf(refusal) };
  }
}

async function run(plane: ControlPlane, request: Request, log: Log): Promise<Outcome> {
  try {
    return outcomeOf(await request.endpoint.handle(callOf(plane, request, log)));
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    return outcomeOf(refusal);
  }
}

const outcomeOf = ({ status, body, etag }: Answer): Outcome => ({
  status,
  ...(body === undefined ? {} : { body: { ...body, ...(etag === undefined ? {} : { etag }) } }),
});

const refused = (detail: string): Outcome => outcomeOf({ status: 400, body: errorBody(new ApiError("InvalidRequest", { detail })) });

/** The largest message that Service Bus takes is 256 KiB with its headers (Standard tier). */
const REPLY_BYTES_MAX = 200 * 1024;

function replyOf({ correlationId, operation, resourceId }: Request["message"], outcome: Outcome): ReplyMessage {
  const reply: ReplyMessage = { version: 1, correlationId, operation, resourceId, ...outcome };
  const replyBytes = Buffer.byteLength(JSON.stringify(reply));
  if (replyBytes <= REPLY_BYTES_MAX) return reply;
  const tooLarge = new ApiError("PayloadTooLarge", {
    detail: `The answer would have ${replyBytes} bytes, a message has room for ${REPLY_BYTES_MAX}.`,
    remedy: "Read it by the REST API, or without $expand.",
  });
  return { ...reply, status: 413, body: { ...errorBody(tooLarge) } };
}
