import { z } from "zod";
import { SUPPORTED_TASK_TYPES, TASK_TYPES, type TaskType } from "./commands.ts";
import { ConnectionInfo } from "./connection.ts";
import { databaseName, word } from "./words.ts";
import { type ReportedError } from "./errors.ts";
import { type CommandState, type DatabaseState, type MigrationState, type TableState, type TaskState } from "./lifecycle.ts";
import { type Comparison, type CutoverReport, type WalLimitedBy } from "./reports.ts";
import { type Fence, readSetting, settingDefinitions } from "./settings.ts";

/**
 * The bodies of the REST API: what the classic `Microsoft.DataMigration` clients send and read, and beside it our own
 * fields, which those clients pass through untouched. Requests are schemas, answers are types.
 */

/** Every version of the provider that serves these resources; any of them is accepted and none changes the answer. */
export const API_VERSIONS = [
  "2017-11-15-preview",
  "2018-03-15-preview",
  "2018-03-31-preview",
  "2018-04-19",
  "2018-07-15-preview",
  "2021-06-30",
  "2021-10-30-preview",
  "2022-01-30-preview",
  "2022-03-30-preview",
  "2023-07-15-preview",
  "2025-03-15-preview",
  "2025-06-30",
  "2025-09-01-preview",
] as const;

/** The version that the classic client sends. */
export const DEFAULT_API_VERSION = "2018-07-15-preview";

export const RESOURCE_TYPES = {
  service: "Microsoft.DataMigration/services",
  project: "Microsoft.DataMigration/services/projects",
  task: "Microsoft.DataMigration/services/projects/tasks",
} as const;

/** The classic command of a PostgreSQL migration: cut one database over. */
export const CUTOVER_COMMAND = "Migrate.Sync.Complete.Database";

/** Ours: load tables anew while the others are followed. */
export const RELOAD_COMMAND = "Migrate.Sync.Reload.Table";

export const COMMAND_TYPES = [CUTOVER_COMMAND, RELOAD_COMMAND] as const;

/** Ours: begin a migration that failed or was cancelled anew. */
export const RESTART_COMMAND = "Migrate.Sync.Restart.Task";

export const SERVICE_STATES = ["Succeeded", "Stopped"] as const;
export type ServiceState = (typeof SERVICE_STATES)[number];

/** What a service may be sized as. `vCores` bounds how many migrations run at once. */
export const SERVICE_SKUS = [
  { name: "Standard_1vCores", tier: "Standard", size: "1 vCore", family: "vCores", vCores: 1 },
  { name: "Standard_2vCores", tier: "Standard", size: "2 vCores", family: "vCores", vCores: 2 },
  { name: "Standard_4vCores", tier: "Standard", size: "4 vCores", family: "vCores", vCores: 4 },
  { name: "Premium_4vCores", tier: "Premium", size: "4 vCores", family: "vCores", vCores: 4 },
] as const;
export type ServiceSku = (typeof SERVICE_SKUS)[number];

/* ---------------------------------------------------------------- requests */

const tags = z.record(z.string().min(1).max(512), z.string().max(256)).nullish();
/** Stands in the addresses of operations; a half of a surrogate pair could not. */
const location = z
  .string()
  .trim()
  .min(1)
  .max(90)
  .regex(/^[\p{L}\p{N} ()._-]+$/u, "has characters that no name of a location has");

const skuRequest = z.object({
  name: word(SERVICE_SKUS.map((sku) => sku.name)),
  tier: z.string().nullish(),
  size: z.string().nullish(),
  family: z.string().nullish(),
  capacity: z.number().nullish(),
});

const serviceProperties = z.object({
  virtualSubnetId: z.string().max(1024).nullish(),
  virtualNicId: z.string().max(1024).nullish(),
  publicKey: z.string().max(8192).nullish(),
  autoStopDelay: z.string().max(64).nullish(),
  deleteResourcesOnStop: z.boolean().nullish(),
});

export const ServiceRequest = z.object({
  location,
  tags,
  kind: z.string().max(64).nullish(),
  sku: skuRequest.nullish(),
  properties: serviceProperties.nullish(),
});
export type ServiceRequest = z.infer<typeof ServiceRequest>;

export const ServicePatch = ServiceRequest.partial();
export type ServicePatch = z.infer<typeof ServicePatch>;

/** The spellings that the service answers with; requests compare without regard to case. */
const projectProperties = z.object({
  sourcePlatform: word(["PostgreSQL"]),
  targetPlatform: word(["AzureDbForPostgreSQL"]),
  sourceConnectionInfo: ConnectionInfo.nullish(),
  targetConnectionInfo: ConnectionInfo.nullish(),
  databasesInfo: z
    .array(z.object({ sourceDatabaseName: z.string().min(1).max(63) }))
    .max(1000)
    .nullish(),
});

export const ProjectRequest = z.object({ location, tags, properties: projectProperties });
export type ProjectRequest = z.infer<typeof ProjectRequest>;

export const ProjectPatch = z.object({ location: location.optional(), tags, properties: projectProperties.partial().nullish() });
export type ProjectPatch = z.infer<typeof ProjectPatch>;

const settingMap = z
  .record(z.string().max(128), z.string().max(8192))
  .nullish()
  .transform((map) => map ?? {});

/** At most this many databases in one task. */
const SELECTED_DATABASES_MAX = 100;

const selectedDatabase = z.object({
  name: databaseName,
  /** Default: the same name as on the source. */
  targetDatabaseName: databaseName.nullish(),
  selectedTables: z.array(z.object({ name: z.string().min(1).max(260) })).nullish(),
  migrationSetting: settingMap,
  sourceSetting: settingMap,
  targetSetting: settingMap,
});

/** The input of each task type. */
export const TaskInputs = {
  [TASK_TYPES.connectToSource]: z.object({ sourceConnectionInfo: ConnectionInfo }),
  [TASK_TYPES.connectToTarget]: z.object({ sourceConnectionInfo: ConnectionInfo, targetConnectionInfo: ConnectionInfo }),
  [TASK_TYPES.getUserTables]: z.object({
    connectionInfo: ConnectionInfo,
    selectedDatabases: z.array(databaseName).min(1).max(SELECTED_DATABASES_MAX),
  }),
  [TASK_TYPES.migrate]: z.object({
    sourceConnectionInfo: ConnectionInfo,
    targetConnectionInfo: ConnectionInfo,
    selectedDatabases: z.array(selectedDatabase).min(1).max(SELECTED_DATABASES_MAX),
  }),
  [TASK_TYPES.migrateV2]: z.object({
    sourceConnectionInfo: ConnectionInfo,
    targetConnectionInfo: ConnectionInfo,
    selectedDatabases: z.array(selectedDatabase).min(1).max(SELECTED_DATABASES_MAX),
  }),
} as const;
export type TaskInput<T extends TaskType = TaskType> = z.infer<(typeof TaskInputs)[T]>;
export type SelectedDatabaseInput = z.input<typeof selectedDatabase>;
export type ConnectionInput = z.input<typeof ConnectionInfo>;

const clientData = z.record(z.string().max(256), z.string().max(8192)).nullish();

/** The outside of a task request; `input` is parsed by the task type's own schema. */
export const TaskRequest = z.object({
  properties: z.object({ taskType: word(SUPPORTED_TASK_TYPES), input: z.unknown().optional(), clientData }),
});
export type TaskRequest = z.infer<typeof TaskRequest>;

export const TaskPatch = z.object({
  properties: z.object({ taskType: word(SUPPORTED_TASK_TYPES).nullish(), input: z.unknown().optional(), clientData }).nullish(),
});
export type TaskPatch = z.infer<typeof TaskPatch>;

/** The fence of one cutover, spelled as freely as the setting. */
const fenceChoice = z
  .string()
  .max(64)
  .transform((text, context) => {
    const read = readSetting("fence", text);
    if (read.ok) return read.value;
    context.addIssue({ code: "custom", message: read.message.replace(/\.$/, "") });
    return z.NEVER;
  })
  .pipe(z.enum(settingDefinitions.fence.type.values));

export const CommandRequest = z.object({
  commandType: word(COMMAND_TYPES),
  input: z.object({
    databaseName,
    commitTimeStamp: z.iso
      .datetime({ offset: true })
      .nullish()
      .describe("Kept and shown, as in the classic API. A cutover always takes all that is committed before it."),
    /** Of a reload: schema-qualified; a partitioned table means its partitions. */
    tableNames: z.array(z.string().min(1).max(260)).min(1).max(1000).nullish(),
    fence: fenceChoice.nullish().describe("How this cutover fences the source. Left out: as migrationSetting.fence says."),
  }),
});
export type CommandRequest = z.infer<typeof CommandRequest>;

const passwordAgain = z.string().min(1).max(4096).nullish().describe("Required where the task was given one: it was deleted at its end.");

export const RestartRequest = z.object({
  commandType: word([RESTART_COMMAND]),
  input: z.object({ sourcePassword: passwordAgain, targetPassword: passwordAgain }).nullish(),
});
export type RestartRequest = z.infer<typeof RestartRequest>;

/** What tells the commands apart. */
export const AnyCommand = z.object({ commandType: word([...COMMAND_TYPES, RESTART_COMMAND]) });

export const NameCheckRequest = z.object({ name: z.string().max(1024), type: z.string().max(256) });
export type NameCheckRequest = z.infer<typeof NameCheckRequest>;

/* ----------------------------------------------------------------- answers */

/** A list; a missing `nextLink` means the end. */
export interface Page<T> {
  readonly value: readonly T[];
  readonly nextLink?: string;
}

export interface ErrorDetail {
  readonly code: string;
  readonly message: string;
  /** Path of the field in the request body. */
  readonly target?: string;
  readonly details?: readonly ErrorDetail[];
}

/** The body of every 4xx and 5xx answer. */
export interface ErrorBody {
  readonly error: ErrorDetail;
}

type ShownConnection = Omit<ConnectionInfo, "password" | "additionalSettings">;

/** The connection as answers show it: never a password, and nothing that is null. */
export type ConnectionView = { [K in keyof ShownConnection]: Exclude<ShownConnection[K], null> };

export interface Service {
  readonly id: string;
  readonly name: string;
  readonly type: typeof RESOURCE_TYPES.service;
  readonly location: string;
  readonly tags?: Record<string, string>;
  readonly kind: string;
  readonly sku: { readonly name: string; readonly tier: string; readonly size: string; readonly family: string };
  readonly etag?: string;
  readonly properties: {
    readonly provisioningState: ServiceState;
    readonly virtualSubnetId?: string;
    readonly virtualNicId?: string;
    readonly publicKey?: string;
    readonly autoStopDelay?: string;
    readonly deleteResourcesOnStop?: boolean;
  };
}

/** One worker of a service, as its heartbeats tell. */
export interface WorkerView {
  readonly workerId: string;
  readonly softwareVersion: string;
  readonly startedOn: string;
  readonly lastSeenOn: string;
  /** False when it was silent for three heartbeats. */
  readonly alive: boolean;
  readonly stopping: boolean;
  readonly taskIds: readonly string[];
  readonly maxTasks: number;
  readonly rssBytes: number;
}

/** Answer of `checkStatus`. A stopped service answers the first three fields only. */
export interface ServiceStatus {
  readonly status: "Online" | "Offline" | "Stopped";
  readonly provisioningState: ServiceState;
  readonly registeredWorker: boolean;
  readonly agentVersion?: string;
  readonly vmSize?: string;
  readonly workerType?: string;
  readonly supportedTaskTypes?: readonly string[];
  readonly agentConfiguration?: Record<string, string>;
  readonly workers?: readonly WorkerView[];
  readonly runningTasks?: number;
  readonly queuedTasks?: number;
}

export interface Project {
  readonly id: string;
  readonly name: string;
  readonly type: typeof RESOURCE_TYPES.project;
  readonly location: string;
  readonly tags?: Record<string, string>;
  readonly etag?: string;
  readonly properties: {
    readonly sourcePlatform: string;
    readonly targetPlatform: string;
    readonly creationTime: string;
    readonly provisioningState: "Succeeded";
    readonly databasesInfo?: readonly { readonly sourceDatabaseName: string }[];
    readonly sourceConnectionInfo?: ConnectionView;
    readonly targetConnectionInfo?: ConnectionView;
  };
}

/** `ReportableException` of the classic API, and beside it the fields of our closed list of errors. */
export interface ReportableException {
  readonly message: string;
  readonly actionableMessage?: string;
  readonly hResult?: number;
  readonly filePath?: string;
  readonly lineNumber?: string;
  readonly stackTrace?: string;
  readonly code?: string;
  readonly severity?: ReportedError["severity"];
  readonly sqlState?: string;
}

/** The outcome of a check, a warning, or an error: code, severity, message, remedy, place. */
export interface FindingView extends ReportedError {
  /** What it is about: a table, a role, a setting. */
  readonly subject?: string;
  readonly since?: string;
  /** True when what it said is over. */
  readonly resolved?: boolean;
}

export interface CommandView {
  readonly commandType: string;
  readonly commandId?: string;
  readonly state: CommandState;
  readonly input: {
    /** Not of a restart, which is of the whole task. */
    readonly databaseName?: string;
    readonly commitTimeStamp?: string;
    readonly fence?: Fence;
    readonly tableNames?: readonly string[];
  };
  readonly output?: { readonly id: string; readonly errors: readonly ReportableException[] };
  readonly errors?: readonly ErrorDetail[];
}

export interface MigrationLevelOutput {
  readonly id: string;
  readonly resultType: "MigrationLevelOutput";
  readonly state: MigrationState;
  readonly databaseCount: number;
  readonly sourceServer: string;
  readonly sourceServerVersion: string | null;
  readonly sourceVersion: string | null;
  readonly sourceServerType: "PostgreSQL";
  readonly targetServer: string;
  readonly targetServerVersion: string | null;
  readonly targetVersion: string | null;
  readonly targetServerType: "AzureDBForPostgresSQL";
  readonly startedOn: string | null;
  readonly endedOn: string | null;
  /** Findings about no database in particular. */
  readonly findings: readonly FindingView[];
}

export interface DatabaseLevelOutput {
  /** `db|<database>` */
  readonly id: string;
  readonly resultType: "DatabaseLevelOutput";
  readonly databaseName: string;
  readonly migrationState: DatabaseState;
  readonly initializationCompleted: boolean;
  readonly startedOn: string | null;
  readonly endedOn: string | null;
  readonly fullLoadCompletedTables: number;
  readonly fullLoadLoadingTables: number;
  readonly fullLoadQueuedTables: number;
  readonly fullLoadErroredTables: number;
  /** Changes received and not yet applied: a gauge ("Pending changes"). */
  readonly incomingChanges: number;
  /** Total of inserts, updates and deletes applied after the full load. */
  readonly appliedChanges: number;
  readonly cdcInsertCounter: number;
  readonly cdcUpdateCounter: number;
  readonly cdcDeleteCounter: number;
  /** Seconds. */
  readonly latency: number;

  readonly targetDatabaseName: string;
  /** What is going on, in words. */
  readonly step: string | null;
  readonly fullLoadRows: number;
  readonly fullLoadBytes: number;
  readonly fullLoadTotalBytesEstimate: number;
  /** From the commit on the source to the commit on the target; like `latency`, with its fraction. */
  readonly latencySeconds: number;
  readonly lagBytes: number;
  /** WAL that the slot keeps on the source. */
  readonly walHeldBytes: number;
  /** How much WAL may be held before there is harm; null when nothing says so. */
  readonly walLimitBytes: number | null;
  /** What the limit comes from: the smallest counts. */
  readonly walLimitedBy: WalLimitedBy | null;
  /** How fast the WAL held grows, smoothed over minutes; negative when it shrinks. */
  readonly walGrowthBytesPerSecond: number | null;
  /** When the limit is reached if it goes on like this; null when it does not grow or has no limit. */
  readonly walFullInSeconds: number | null;
  /** What the source says of the slot's WAL: reserved, extended, unreserved or lost (PostgreSQL 13 and later). */
  readonly walStatus: string | null;
  /** Age of the snapshot that the load reads. */
  readonly snapshotAgeSeconds: number | null;
  /** Transactions since the oldest row that the source's vacuum must keep for the load's snapshot or the slot. */
  readonly xminAge: number | null;
  /** The same of the catalogs, which the slot holds back as long as it exists. */
  readonly catalogXminAge: number | null;
  readonly appliedLsn: string | null;
  readonly cutover: CutoverReport | null;
  readonly findings: readonly FindingView[];
}

export interface TableLevelOutput {
  /** `or|<database>|<schema>|<table>` */
  readonly id: string;
  readonly resultType: "TableLevelOutput";
  readonly databaseName: string;
  /** Schema-qualified, for people. */
  readonly tableName: string;
  readonly state: TableState;
  readonly fullLoadStartedOn: string | null;
  readonly fullLoadEndedOn: string | null;
  readonly fullLoadEstFinishTime: string | null;
  readonly fullLoadTotalRows: number;
  readonly fullLoadTotalVolumeBytes: number;
  readonly cdcInsertCounter: number;
  readonly cdcUpdateCounter: number;
  readonly cdcDeleteCounter: number;
  readonly totalChangesApplied: number;
  readonly dataErrorsCounter: number;
  readonly dataErrorsCount: number;
  readonly lastModifiedTime: string | null;

  /** The two names exactly as the catalog has them. */
  readonly schema: string;
  readonly name: string;
  readonly rowsEstimate: number;
  readonly bytesEstimate: number;
  readonly comparison: Comparison | null;
  readonly error: ReportedError | null;
}

export interface OutputEvent {
  readonly timestampString: string;
  readonly eventTypeString: string;
  readonly eventText: string;
}

export interface DatabaseLevelErrorOutput {
  /** `dberr|<database>` */
  readonly id: string;
  readonly resultType: "DatabaseLevelErrorOutput";
  readonly databaseName: string;
  readonly errorMessage: string;
  readonly events: readonly OutputEvent[];
}

export interface ErrorOutput {
  /** `err|0001` */
  readonly id: string;
  readonly resultType: "ErrorOutput";
  readonly error: ReportableException;
  readonly events: readonly OutputEvent[];
}

/** In the order migration, databases, tables, errors. */
export type MigrateOutput = MigrationLevelOutput | DatabaseLevelOutput | TableLevelOutput | DatabaseLevelErrorOutput | ErrorOutput;

interface ConnectOutput {
  readonly id: string;
  readonly databases: readonly string[];
  /** Errors and warnings of the checks; `findings` has the same and the passed information too. */
  readonly validationErrors: readonly ReportableException[];
  readonly findings: readonly FindingView[];
}

export interface ConnectToSourceOutput extends ConnectOutput {
  readonly sourceServerVersion: string;
  readonly sourceServerBrandVersion: string;
}

export interface ConnectToTargetOutput extends ConnectOutput {
  readonly targetServerVersion: string;
  readonly targetServerBrandVersion: string;
}

export interface UserTable {
  /** Schema-qualified. */
  readonly name: string;
  readonly hasRows: boolean;
  readonly sizeBytes: number;
  readonly rowsEstimate: number;
  readonly hasKey: boolean;
}

export interface UserTablesOutput {
  readonly id: string;
  readonly databaseName: string;
  readonly tables: readonly UserTable[];
  readonly validationErrors: readonly ReportableException[];
  readonly findings: readonly FindingView[];
}

export type TaskOutput = MigrateOutput | ConnectToSourceOutput | ConnectToTargetOutput | UserTablesOutput;

/** The input as answers show it: as given, with defaults filled in and without passwords. */
export interface TaskInputView {
  readonly sourceConnectionInfo?: ConnectionView;
  readonly targetConnectionInfo?: ConnectionView;
  readonly connectionInfo?: ConnectionView;
  /** Names for GetUserTables, objects for a migration. */
  readonly selectedDatabases?: readonly (string | SelectedDatabaseView)[];
}

export interface SelectedDatabaseView {
  readonly name: string;
  readonly targetDatabaseName: string;
  readonly selectedTables?: readonly { readonly name: string }[];
  readonly migrationSetting: Record<string, string>;
  readonly sourceSetting: Record<string, string>;
  readonly targetSetting: Record<string, string>;
}

export interface Task {
  readonly id: string;
  readonly name: string;
  readonly type: typeof RESOURCE_TYPES.task;
  /** Not in lists. */
  readonly etag?: string;
  readonly properties: {
    readonly taskId: string;
    readonly taskType: TaskType;
    readonly state: TaskState;
    readonly createdOn: string;
    readonly isCloneable: boolean;
    readonly clientData?: Record<string, string>;
    readonly input: TaskInputView;
    /** Only with `$expand=output`. */
    readonly output?: readonly TaskOutput[];
    readonly errors: readonly ErrorDetail[];
    /** Only with `$expand=command`. */
    readonly commands?: readonly CommandView[];
    /** Why a queued task does not run yet; null when it does or has. */
    readonly waitingFor: string | null;
    readonly startedOn: string | null;
    readonly endedOn: string | null;
  };
}

export interface NameCheck {
  readonly nameAvailable: boolean;
  readonly reason?: "AlreadyExists" | "Invalid";
  readonly message?: string;
}

/** What an asynchronous operation says when polled. */
export interface OperationStatus {
  readonly id: string;
  readonly name: string;
  readonly status: "Running" | "Succeeded" | "Failed" | "Canceled";
  readonly error?: ErrorDetail;
}
