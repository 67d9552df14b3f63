import { z } from "zod";
import { encodeKey, type RowKey } from "./keys.ts";

/** What a request by message came to; kept for a while, so that one that comes twice is answered twice and run once. */
export const RequestRow = z.object({
  correlationId: z.string().nullable(),
  operation: z.string().nullable(),
  resourceId: z.string().nullable(),
  receivedOn: z.string(),
  /** Null while it runs, or when it was cut short. */
  outcome: z.object({ status: z.number(), body: z.record(z.string(), z.unknown()).optional() }).nullable(),
});
export type RequestRow = z.infer<typeof RequestRow>;

/** Correlation ids know case. */
export const requestKey = (correlationId: string): RowKey => ({ partitionKey: encodeKey(correlationId), rowKey: "request" });

/** A message that was rejected, whatever it said its correlation id was. */
export const rejectionKey = (messageId: string): RowKey => ({ partitionKey: encodeKey(messageId), rowKey: "rejected-message" });
