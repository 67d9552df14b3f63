import { z } from "zod";
import { ReportedError } from "./errors.ts";
import { COMMAND_STATES, DATABASE_STATES, TABLE_STATES, TASK_EVENTS } from "./lifecycle.ts";

/**
 * The messages from a worker to the control plane, on the queue `reports`; the session is the task's id (heartbeats:
 * `worker:<id>`). Figures are totals, never differences: a report that is lost, doubled or late costs time, not truth.
 */

const count = z.number().int().nonnegative();
const time = z.iso.datetime({ offset: true });

/** What may bound the WAL that a slot holds: the user's budget, the source's own setting, the disk as the user says it is. */
const WAL_LIMITS = ["walBudget", "maxSlotWalKeepSize", "sourceWalDisk"] as const;
export type WalLimitedBy = (typeof WAL_LIMITS)[number];

export const DatabaseProgress = z.object({
  kind: z.literal("database"),
  databaseName: z.string(),
  targetDatabaseName: z.string(),
  state: z.enum(DATABASE_STATES),
  /** What is going on, in words for the page: "building indexes (12 of 40)". */
  step: z.string().optional(),
  startedOn: time.nullable(),
  endedOn: time.nullable(),
  initializationCompleted: z.boolean(),
  fullLoadCompletedTables: count,
  fullLoadLoadingTables: count,
  fullLoadQueuedTables: count,
  fullLoadErroredTables: count,
  fullLoadRows: count,
  fullLoadBytes: count,
  /** Size of all tables on the source as the catalog has it, in bytes; an estimate of what the load moves. */
  fullLoadTotalBytesEstimate: count,
  /** Changes received and not yet applied: a gauge, not a total. */
  pendingChanges: count,
  inserts: count,
  updates: count,
  deletes: count,
  /** From the commit on the source to the commit on the target, in seconds. */
  latencySeconds: z.number().nonnegative(),
  /** WAL between the source's end and what is durable on the target, in bytes. */
  lagBytes: count,
  /** WAL that the slot keeps on the source, in bytes. */
  walHeldBytes: count,
  /** How much WAL may be held before there is harm; null when nothing says so. */
  walLimitBytes: count.nullable().default(null),
  /** What the limit comes from. */
  walLimitedBy: z.enum(WAL_LIMITS).nullable().default(null),
  /** How fast the WAL held grows, smoothed over minutes; negative when it shrinks. Null until it was watched for a while. */
  walGrowthBytesPerSecond: z.number().nullable().default(null),
  /** When the limit is reached if it goes on like this, in seconds; null when it does not grow or has no limit. */
  walFullInSeconds: z.number().nonnegative().nullable().default(null),
  /** What the source says of the slot's WAL: reserved, extended, unreserved or lost (PostgreSQL 13 and later). */
  walStatus: z.string().nullable().default(null),
  /** Age of the snapshot that the load reads, in seconds; null when there is none. */
  snapshotAgeSeconds: z.number().nonnegative().nullable().default(null),
  /** Transactions since the oldest row that the source's vacuum must keep for the load's snapshot or the slot. */
  xminAge: count.nullable().default(null),
  /** The same of the catalogs, which the slot holds back as long as it exists. */
  catalogXminAge: count.nullable().default(null),
  appliedLsn: z.string().nullable(),
});
export type DatabaseProgress = z.infer<typeof DatabaseProgress>;

/** Row counts as text: they are compared, never computed with. Checksums are null when only rows were counted. */
export const Comparison = z.object({
  sourceRows: z.string(),
  targetRows: z.string(),
  sourceChecksum: z.string().nullable(),
  targetChecksum: z.string().nullable(),
  equal: z.boolean(),
});
export type Comparison = z.infer<typeof Comparison>;

export const TableProgress = z.object({
  kind: z.literal("table"),
  databaseName: z.string(),
  schema: z.string(),
  name: z.string(),
  state: z.enum(TABLE_STATES),
  fullLoadStartedOn: time.nullable(),
  fullLoadEndedOn: time.nullable(),
  fullLoadEstFinishTime: time.nullable(),
  fullLoadRows: count,
  fullLoadBytes: count,
  rowsEstimate: count,
  bytesEstimate: count,
  inserts: count,
  updates: count,
  deletes: count,
  dataErrors: count,
  lastModifiedTime: time.nullable(),
  error: ReportedError.optional(),
  comparison: Comparison.optional(),
});
export type TableProgress = z.infer<typeof TableProgress>;

/** The outcome of the checks, warnings of the run, and errors: one row each, the same code and object replaces itself. */
export const Finding = z.object({
  kind: z.literal("finding"),
  databaseName: z.string().optional(),
  /** What it is about (a table, a role, a setting); with code and database the identity of the finding. */
  subject: z.string().default(""),
  error: ReportedError,
  since: time,
  /** True when what it said is over. */
  resolved: z.boolean().default(false),
});
export type Finding = z.infer<typeof Finding>;

/** One object whose definition is not the same on both sides; null where the object is not there. Long definitions are cut. */
const DefinitionDifference = z.object({ kind: z.string(), name: z.string(), source: z.string().nullable(), target: z.string().nullable() });
export type DefinitionDifference = z.infer<typeof DefinitionDifference>;

/** How the definitions of both sides compare. The counts are exact; the list of differences may have had no room for all. */
const DefinitionsReport = z.object({
  compared: count,
  missing: count,
  different: count,
  onlyOnTarget: count,
  differences: z.array(DefinitionDifference),
});
export type DefinitionsReport = z.infer<typeof DefinitionsReport>;

export const CutoverReport = z.object({
  kind: z.literal("cutoverReport"),
  databaseName: z.string(),
  commandId: z.string(),
  askedOn: time,
  drainedOn: time.nullable(),
  endedOn: time.nullable(),
  markerLsn: z.string().nullable(),
  steps: z.array(z.object({ name: z.string(), durationMs: count })),
  tablesCompared: count,
  tablesDifferent: count,
  sequencesSet: count,
  definitionsRestored: count,
  definitions: DefinitionsReport.optional(),
});
export type CutoverReport = z.infer<typeof CutoverReport>;

export const ReportItem = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("task"), event: z.enum(TASK_EVENTS), errors: z.array(ReportedError).default([]) }),
  z.object({
    kind: z.literal("migration"),
    sourceServerVersion: z.string(),
    targetServerVersion: z.string(),
    startedOn: time,
    endedOn: time.nullable(),
    databaseCount: count,
  }),
  DatabaseProgress,
  TableProgress,
  Finding,
  CutoverReport,
  z.object({
    kind: z.literal("command"),
    commandId: z.uuid(),
    state: z.enum(COMMAND_STATES),
    errors: z.array(ReportedError).default([]),
  }),
  z.object({
    kind: z.literal("connectOutput"),
    side: z.enum(["source", "target"]),
    serverVersion: z.string(),
    serverBrandVersion: z.string(),
    databases: z.array(z.string()),
    findings: z.array(ReportedError),
  }),
  z.object({
    kind: z.literal("tablesOutput"),
    databaseName: z.string(),
    /** The list of one database may need several items; pages count from 0. */
    page: count,
    tables: z.array(z.object({ name: z.string(), hasRows: z.boolean(), sizeBytes: count, rowsEstimate: count, hasKey: z.boolean() })),
    findings: z.array(ReportedError).default([]),
  }),
]);
export type ReportItem = z.infer<typeof ReportItem>;

/**
 * One message about one task. (epoch, sequence) orders all reports of a task: the epoch counts the workers that have
 * held it, the sequence counts the messages of one worker. What is older than what is known is ignored.
 */
export const TaskReport = z.object({
  version: z.literal(1),
  type: z.literal("report"),
  taskId: z.uuid(),
  workerId: z.string(),
  epoch: count,
  sequence: count,
  sentAt: time,
  items: z.array(ReportItem),
  traceparent: z.string().optional(),
});
export type TaskReport = z.infer<typeof TaskReport>;

export const Heartbeat = z.object({
  version: z.literal(1),
  type: z.literal("heartbeat"),
  workerId: z.string(),
  serviceName: z.string(),
  softwareVersion: z.string(),
  startedOn: time,
  sentAt: time,
  /** True once the worker takes no more tasks and is about to end. */
  stopping: z.boolean(),
  taskIds: z.array(z.string()),
  /** Those of them that could go on at another worker at once. */
  movableTaskIds: z.array(z.string()).default([]),
  maxTasks: count,
  rssBytes: count,
});
export type Heartbeat = z.infer<typeof Heartbeat>;

/** All that arrives on the queue `reports`. */
export const ReportMessage = z.discriminatedUnion("type", [TaskReport, Heartbeat]);
export type ReportMessage = z.infer<typeof ReportMessage>;

/** A heartbeat is sent this often; a worker that was silent for three of them counts as gone. */
export const HEARTBEAT_INTERVAL_MS = 10_000;

/** The session of a worker's heartbeats. */
export const heartbeatSession = (workerId: string): string => `worker:${workerId}`;

/** A database that nothing was reported of yet: where a worker begins, and what is shown before it does. */
export const unreportedDatabase = (databaseName: string, targetDatabaseName: string): DatabaseProgress => ({
  kind: "database",
  databaseName,
  targetDatabaseName,
  state: "UNDEFINED",
  startedOn: null,
  endedOn: null,
  initializationCompleted: false,
  fullLoadCompletedTables: 0,
  fullLoadLoadingTables: 0,
  fullLoadQueuedTables: 0,
  fullLoadErroredTables: 0,
  fullLoadRows: 0,
  fullLoadBytes: 0,
  fullLoadTotalBytesEstimate: 0,
  pendingChanges: 0,
  inserts: 0,
  updates: 0,
  deletes: 0,
  latencySeconds: 0,
  lagBytes: 0,
  walHeldBytes: 0,
  walLimitBytes: null,
  walLimitedBy: null,
  walGrowthBytesPerSecond: null,
  walFullInSeconds: null,
  walStatus: null,
  snapshotAgeSeconds: null,
  xminAge: null,
  catalogXminAge: null,
  appliedLsn: null,
});
