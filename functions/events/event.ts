import { z } from "zod";
import { SUPPORTED_TASK_TYPES } from "../../contracts/commands.ts";
import { ReportedError } from "../../contracts/errors.ts";
import { DATABASE_STATES, TASK_STATES } from "../../contracts/lifecycle.ts";
import { SERVICE_STATES } from "../../contracts/wire.ts";

/** What the control plane tells on the topic `events`: CloudEvents 1.0, structured mode, JSON. */

const SEVERITIES = ["information", "warning", "error"] as const;
type Severity = (typeof SEVERITIES)[number];

/** An event of one type. Events may gain fields in `data`; they never change the meaning of one. */
const event = <T extends string, D extends z.ZodType>(type: T, data: D) =>
  z.object({
    specversion: z.literal("1.0"),
    /** The same when the event comes twice. */
    id: z.string().min(1),
    /** Resource Manager id of the service, or `/requests`. */
    source: z.string().min(1),
    type: z.literal(type),
    /** Resource Manager id of what changed; of a database: the task's, then `/databases/<name>`, the name percent-encoded. */
    subject: z.string().min(1),
    /** When it happened. Events may overtake each other: this is their order. */
    time: z.iso.datetime({ offset: true }),
    datacontenttype: z.literal("application/json"),
    severity: z.enum(SEVERITIES),
    /** W3C trace context of the request that made the task. */
    traceparent: z.string().optional(),
    data,
  });

const serviceData = z.object({ resourceId: z.string() });
const taskData = z.object({ resourceId: z.string(), taskId: z.uuid() });
const taskType = z.enum(SUPPORTED_TASK_TYPES);
const databaseData = taskData.extend({ databaseName: z.string() });

/** A finding of a running task: it is told when it is raised and when it is over. */
const trouble = taskData.extend({
  databaseName: z.string().optional(),
  status: z.enum(["raised", "resolved"]),
  /** What it is about: a table, a slot, a setting. */
  about: z.string(),
  error: ReportedError,
});

export const PgdmsEvent = z.discriminatedUnion("type", [
  event(
    "pgdms.service.stateChanged",
    serviceData.extend({ state: z.enum(SERVICE_STATES), previousState: z.enum(SERVICE_STATES).nullable() }),
  ),
  event("pgdms.service.deleted", serviceData),
  event(
    "pgdms.task.stateChanged",
    taskData.extend({
      taskType,
      state: z.enum(TASK_STATES),
      /** The last state that was told; null for a new task. */
      previousState: z.enum(TASK_STATES).nullable(),
      errors: z.array(ReportedError),
    }),
  ),
  event("pgdms.task.deleted", taskData.extend({ taskType })),
  event(
    "pgdms.database.stateChanged",
    databaseData.extend({
      targetDatabaseName: z.string(),
      state: z.enum(DATABASE_STATES),
      previousState: z.enum(DATABASE_STATES).nullable(),
    }),
  ),
  event(
    "pgdms.database.readyToCutover",
    databaseData.extend({
      targetDatabaseName: z.string(),
      /** Changes received and not yet applied. */
      pendingChanges: z.number().int(),
      latencySeconds: z.number(),
    }),
  ),
  event(
    "pgdms.database.cutoverFinished",
    databaseData.extend({ commandId: z.uuid(), succeeded: z.boolean(), errors: z.array(ReportedError) }),
  ),
  event("pgdms.error", trouble),
  event("pgdms.warning", trouble),
  event(
    "pgdms.request.rejected",
    z.object({
      messageId: z.string(),
      correlationId: z.string().nullable(),
      /** What is wrong with the message, and what to do. */
      reason: z.string(),
    }),
  ),
]);
export type PgdmsEvent = z.infer<typeof PgdmsEvent>;
export type EventType = PgdmsEvent["type"];
export type EventData<T extends EventType> = Extract<PgdmsEvent, { type: T }>["data"];

interface Occasion {
  readonly id: string;
  readonly source: string;
  readonly subject: string;
  /** Any ISO 8601 time with an offset. */
  readonly time: string;
  readonly severity?: Severity;
  readonly traceparent?: string | undefined;
}

/** Puts an event into its envelope. */
export function eventOf<T extends EventType>(type: T, { severity = "information", ...occasion }: Occasion, data: EventData<T>): PgdmsEvent {
  const { id, source, subject, time, traceparent } = occasion;
  return {
    specversion: "1.0",
    id,
    source,
    type,
    subject,
    time,
    datacontenttype: "application/json",
    severity,
    ...(traceparent === undefined ? {} : { traceparent }),
    data,
  } as PgdmsEvent; // type and data belong together by T, which the union cannot see
}
