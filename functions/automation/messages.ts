import { z } from "zod";

/** Requests by message, and their answers: the operations of the REST API on the queue `requests`. */

/** The operations that may come by message, by their ids in the API description. */
export const OPERATIONS = [
  "services-list",
  "services-list-by-group",
  "services-get",
  "services-put",
  "services-patch",
  "services-delete",
  "services-start",
  "services-stop",
  "services-check-status",
  "projects-list",
  "projects-get",
  "projects-put",
  "projects-patch",
  "projects-delete",
  "tasks-list",
  "tasks-get",
  "tasks-put",
  "tasks-patch",
  "tasks-delete",
  "tasks-cancel",
  "tasks-command",
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Answers go to queues of this name only: never to one that pgdms itself listens to. */
const replyQueue = z
  .string()
  .regex(/^replies(-[A-Za-z0-9][A-Za-z0-9._-]{0,48})?$/, 'is no queue for answers: its name is "replies" or begins with "replies-"');

const ReplyAddress = z.strictObject({
  queue: replyQueue.describe('Name of the queue for the answer: "replies", or beginning with "replies-".'),
  sessionId: z.string().min(1).max(128).optional().describe("Session of the answer, when the queue has sessions."),
});
export type ReplyAddress = z.infer<typeof ReplyAddress>;

const correlationId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\x21-\x7e]+$/, "has characters other than printable ASCII")
  .describe("Names this request. One that comes again within seven days is answered as before and not run again.");

const Parameters = z.strictObject({
  $expand: z.enum(["output", "command", "output,command"]).optional().describe("What a task shows beside itself."),
  taskType: z.string().max(128).optional().describe("Lists the tasks of this type only."),
  deleteRunningTasks: z.boolean().optional().describe("Cancels what runs, then deletes."),
  $skipToken: z.string().max(4096).optional().describe("Where the next page of a list begins: from its nextLink."),
});

export const RequestMessage = z.strictObject({
  version: z.literal(1),
  correlationId,
  operation: z.enum(OPERATIONS),
  resourceId: z.string().min(1).max(2048).describe("Resource Manager id of the resource; of what holds the list, for a list."),
  body: z.record(z.string(), z.unknown()).optional().describe("The body as the REST API has it."),
  parameters: Parameters.optional().describe("Query parameters of the REST API."),
  ifMatch: z.string().max(256).optional().describe("The operation is done only if the resource has this etag."),
  ifNoneMatch: z.string().max(256).optional().describe('"*": the operation is done only if there is no such resource.'),
  replyTo: ReplyAddress.optional().describe("Where the answer goes. Without it, a refused request is dead-lettered."),
  traceparent: z.string().max(64).optional().describe("W3C trace context to hand on."),
});
export type RequestMessage = z.infer<typeof RequestMessage>;

/** What can be read of a message that is wrong otherwise: whom to answer. */
export const Envelope = z.object({
  correlationId: correlationId.optional().catch(undefined),
  replyTo: ReplyAddress.optional().catch(undefined),
});
export type Envelope = z.infer<typeof Envelope>;

export const ReplyMessage = z.object({
  version: z.literal(1),
  correlationId: z.string().nullable().describe("Of the request."),
  operation: z.string().nullable(),
  resourceId: z.string().nullable(),
  status: z.number().int().min(200).max(599).describe("HTTP status of the same call by REST."),
  body: z.record(z.string(), z.unknown()).optional().describe("Body of the same call by REST."),
});
export type ReplyMessage = z.infer<typeof ReplyMessage>;
