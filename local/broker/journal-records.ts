import { z } from "zod";
import { type StoredMessage } from "./messages.ts";
import { ruleSchema } from "./rules.ts";

const bytes = z.base64().transform((text): Buffer => Buffer.from(text, "base64"));
const optionalBytes = bytes.optional();

const messageSchema = z.object({
  sequenceNumber: z.number().int(),
  enqueuedSequenceNumber: z.number().int().optional(),
  messageId: z.string(),
  sessionId: z.string().optional(),
  state: z.enum(["active", "deferred", "scheduled"]),
  deliveryCount: z.number().int(),
  enqueuedTimeMs: z.number(),
  scheduledTimeMs: z.number().optional(),
  timeToLiveMs: z.number().optional(),
  /** JSON has no Infinity: absent means that the message does not expire. */
  expiryTimeMs: z.number().default(Infinity),
  deadLetterSource: z.string().optional(),
  sections: z.object({
    header: optionalBytes,
    annotations: optionalBytes,
    properties: bytes,
    applicationProperties: optionalBytes,
    body: bytes,
  }),
});

/** One line of the journal: what changed in which entity. Locks are not written: after a restart all of them are gone. */
export const journalRecordSchema = z.discriminatedUnion("op", [
  z.object({ op: z.literal("put"), path: z.string(), message: messageSchema }),
  z.object({ op: z.literal("remove"), path: z.string(), sequenceNumber: z.number().int() }),
  z.object({ op: z.literal("count"), path: z.string(), sequenceNumber: z.number().int(), deliveryCount: z.number().int() }),
  z.object({ op: z.literal("sequence"), path: z.string(), last: z.number().int() }),
  z.object({ op: z.literal("seen"), path: z.string(), messageId: z.string(), timeMs: z.number() }),
  z.object({ op: z.literal("session"), path: z.string(), sessionId: z.string(), state: bytes.nullable() }),
  z.object({ op: z.literal("rules"), path: z.string(), rules: z.array(ruleSchema) }),
]);

export type JournalRecord = z.output<typeof journalRecordSchema>;

export const putRecord = (path: string, message: StoredMessage): JournalRecord => ({ op: "put", path, message });

/** The record as a line of JSON: bytes as base64, without the fields that are absent or infinite. */
export function toLine(record: JournalRecord): string {
  return `${JSON.stringify(plain(record), (_key, value: unknown) => (value === Infinity ? undefined : value))}\n`;
}

/** Bytes are turned by hand, since JSON would first make a list of numbers of them. */
function plain(record: JournalRecord): object {
  if (record.op === "session") return { ...record, state: record.state?.toString("base64") ?? null };
  if (record.op !== "put") return record;
  const sections = Object.entries(record.message.sections).map(([name, section]) => [name, section?.toString("base64")]);
  return { ...record, message: { ...record.message, sections: Object.fromEntries(sections) as unknown } };
}
