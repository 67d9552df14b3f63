import rhea from "rhea";
import { z } from "zod";
import { type Typed, int, string, wrap } from "./codec.ts";
import { BrokerError } from "./errors.ts";

/** A request to `$cbs` or to an entity's `$management`. */
export interface ManagementRequest {
  readonly operation: string;
  readonly messageId: unknown;
  readonly replyTo: string;
  readonly linkName: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ManagementAnswer {
  readonly statusCode: number;
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  readonly error?: BrokerError;
}

const requestSchema = z.object({
  message_id: z.unknown(),
  reply_to: z.string(),
  application_properties: z.looseObject({ operation: z.string(), "associated-link-name": z.string().optional() }),
  body: z.unknown(),
});

const bodySchema = z.record(z.string(), z.unknown());

/** @throws BrokerError `com.microsoft:argument-error` */
export function decodeRequest(bytes: Buffer): ManagementRequest {
  const parsed = requestSchema.safeParse({ ...rhea.message.decode(bytes) });
  if (!parsed.success)
    throw new BrokerError("com.microsoft:argument-error", `The management request is not understood: ${z.prettifyError(parsed.error)}`);
  const { message_id: messageId, reply_to: replyTo, application_properties: properties, body } = parsed.data;
  const fields = bodySchema.safeParse(body);
  const { operation, "associated-link-name": linkName } = properties;
  return { operation, messageId, replyTo, linkName, body: fields.success ? fields.data : {} };
}

/** The names of the status fields differ between `$cbs` (with a hyphen) and `$management` (the client tests `statusCode`). */
export function encodeAnswer({ messageId }: ManagementRequest, { statusCode, body, error }: ManagementAnswer): Buffer {
  const description = error?.message ?? (statusCode === 202 ? "Accepted" : "OK");
  const properties: Record<string, Typed> = {
    statusCode: int(statusCode),
    statusDescription: string(description),
    "status-code": int(statusCode),
    "status-description": string(description),
  };
  if (error !== undefined) properties["errorCondition"] = wrap(error.condition);
  return rhea.message.encode({ correlation_id: messageId, application_properties: properties, body: body ?? null });
}

const statusCodes: Partial<Record<BrokerError["condition"], number>> = {
  "amqp:not-found": 404,
  "amqp:not-implemented": 501,
  "amqp:internal-error": 500,
  "com.microsoft:entity-already-exists": 409,
  "com.microsoft:message-lock-lost": 410,
  "com.microsoft:session-lock-lost": 410,
  "com.microsoft:session-cannot-be-locked": 410,
  "com.microsoft:message-not-found": 404,
  "com.microsoft:timeout": 408,
};

export const failure = (error: BrokerError): ManagementAnswer => ({ statusCode: statusCodes[error.condition] ?? 400, error });
