import { type InvocationContext } from "@azure/functions";
import { type Delivery } from "../requests.ts";

/** What the runtime says of a message. Its library makes numbers of texts that look like one, message ids included. */
export function deliveryOf(message: unknown, { triggerMetadata, invocationId }: InvocationContext): Delivery {
  const { messageId, deliveryCount } = triggerMetadata ?? {};
  const isId = typeof messageId === "string" || typeof messageId === "number";
  return { message, messageId: isId ? String(messageId) : invocationId, deliveryCount: Number(deliveryCount ?? 1) };
}
