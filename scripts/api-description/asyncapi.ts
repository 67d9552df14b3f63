import { type z } from "zod";
import { OPERATIONS, ReplyMessage, RequestMessage } from "../../functions/automation/messages.ts";
import { PgdmsEvent } from "../../functions/events/event.ts";
import { schemaOf, type JsonSchema } from "./request-schemas.ts";

const DIALECT = "https://json-schema.org/draft/2020-12/schema";

/** The schemas of the messages of automation, by the names of their files. */
export function messageSchemas(): Record<string, JsonSchema> {
  return {
    "request.json": named(RequestMessage, "A request by message"),
    "reply.json": named(ReplyMessage, "The answer to a request by message"),
    "event.json": named(PgdmsEvent, "An event: CloudEvents 1.0, structured mode, JSON"),
  };
}

const named = (schema: z.ZodType, title: string): JsonSchema => ({ $schema: DIALECT, title, ...schemaOf(schema) });

/** Types of events, with what they tell. */
const tells: Readonly<Record<PgdmsEvent["type"], string>> = {
  "pgdms.service.stateChanged": "A service was made, started or stopped.",
  "pgdms.service.deleted": "A service was deleted.",
  "pgdms.task.stateChanged": "A task was made, began, is being cancelled, or ended. Severity error: it failed.",
  "pgdms.task.deleted": "A task was deleted.",
  "pgdms.database.stateChanged": "A database passed from one state of its migration to the next.",
  "pgdms.database.readyToCutover": "A database is loaded and caught up: it may be cut over.",
  "pgdms.database.cutoverFinished": "A cutover succeeded, or was refused; then the sync goes on.",
  "pgdms.error": "Something went wrong with a database or a table, or is no longer wrong.",
  "pgdms.warning": "Something should be looked at: lag, WAL held back on the source, a connection that breaks; or it is over.",
  "pgdms.request.rejected": "A message of the queue of requests cannot be run, and goes to the dead-letter queue.",
};

/** The description of the queues and the topic of automation: AsyncAPI 3.0. */
export function asyncApiDocument(): JsonSchema {
  return {
    asyncapi: "3.0.0",
    info: {
      title: "pgdms automation",
      version: "1",
      description: "Requests by message, their answers, and events. docs/automation.md tells how to use them.",
      license: { name: "MIT" },
    },
    defaultContentType: "application/json",
    servers: {
      bus: {
        host: "{namespace}.servicebus.windows.net",
        protocol: "amqps",
        description: "Azure Service Bus; automation logs in with Microsoft Entra ID.",
        variables: { namespace: { description: "Name of the namespace, an output of the deployment." } },
      },
    },
    channels: {
      requests: { address: "requests", description: "Queue.", messages: { request: { $ref: "#/components/messages/request" } } },
      replies: {
        address: "{queue}",
        description: "Queue that the caller made and named in replyTo.",
        parameters: { queue: { description: 'Its name: "replies", or beginning with "replies-".' } },
        messages: { reply: { $ref: "#/components/messages/reply" } },
      },
      events: {
        address: "events",
        description: "Topic. Application properties type, subject, severity and source are there to filter by.",
        messages: { event: { $ref: "#/components/messages/event" } },
      },
    },
    operations: {
      request: {
        action: "receive",
        channel: { $ref: "#/channels/requests" },
        summary: "pgdms takes a request",
        description: `Operations: ${OPERATIONS.join(", ")}.`,
        messages: [{ $ref: "#/channels/requests/messages/request" }],
        reply: { channel: { $ref: "#/channels/replies" }, messages: [{ $ref: "#/channels/replies/messages/reply" }] },
      },
      tell: {
        action: "send",
        channel: { $ref: "#/channels/events" },
        summary: "pgdms tells what happened",
        description: Object.entries(tells)
          .map(([type, text]) => `- \`${type}\`: ${text}`)
          .join("\n"),
        messages: [{ $ref: "#/channels/events/messages/event" }],
      },
    },
    components: {
      messages: {
        request: { name: "request", contentType: "application/json", payload: payload("request.json") },
        reply: { name: "reply", contentType: "application/json", payload: payload("reply.json") },
        event: {
          name: "event",
          contentType: "application/cloudevents+json",
          headers: {
            type: "object",
            properties: Object.fromEntries(["type", "subject", "severity", "source"].map((name) => [name, { type: "string" }])),
          },
          payload: payload("event.json"),
        },
      },
    },
  };
}

const payload = (file: string): JsonSchema => ({
  schemaFormat: "application/schema+json;version=draft-2020-12",
  schema: { $ref: `./schemas/${file}` },
});
