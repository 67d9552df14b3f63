import { z } from "zod";

/**
 * The closed list of everything that can go wrong, for people: a code that keeps its meaning for ever, whether it mends
 * itself, and what to do. HTTP answers, task errors, table errors, the portal and docs/errors.md all use this list.
 *
 * `retry` says what pgdms does: `backoff` it tries again by itself; `operator` it waits for or needs a person, who can
 * then run the task again; `never` it cannot go on.
 */
interface ErrorDefinition {
  readonly code: string;
  readonly severity: "error" | "warning" | "information";
  readonly retry: "backoff" | "operator" | "never";
  readonly title: string;
  readonly remedy: string;
}

const error = (code: string, retry: ErrorDefinition["retry"], title: string, remedy: string): ErrorDefinition => ({
  code,
  severity: "error",
  retry,
  title,
  remedy,
});
const warning = (code: string, title: string, remedy: string): ErrorDefinition => ({
  code,
  severity: "warning",
  retry: "operator",
  title,
  remedy,
});
const information = (code: string, title: string, remedy: string): ErrorDefinition => ({
  code,
  severity: "information",
  retry: "operator",
  title,
  remedy,
});

const definitions = {
  // Connections: PG10xx
  SourceUnreachable: error(
    "PG1001",
    "backoff",
    "The source server cannot be reached.",
    "Check host name, port, DNS and the firewall: the worker's outbound address must be let in on the source's port.",
  ),
  TargetUnreachable: error(
    "PG1002",
    "backoff",
    "The target server cannot be reached.",
    "Check host name, port, DNS and the firewall or private endpoint: the worker's subnet must be let in on the target's port.",
  ),
  SourceLoginFailed: error(
    "PG1003",
    "operator",
    "The source refused the login.",
    "Check user name and password, and that pg_hba.conf lets this user in from the worker's address.",
  ),
  TargetLoginFailed: error(
    "PG1004",
    "operator",
    "The target refused the login.",
    "Check user name and password, and that the target lets this user in from the worker's address.",
  ),
  SourceTlsFailed: error(
    "PG1005",
    "operator",
    "TLS to the source failed.",
    "Install a certificate that the worker trusts, or set trustServerCertificate, or (on a private network only) encryptConnection to false.",
  ),
  TargetTlsFailed: error(
    "PG1006",
    "operator",
    "TLS to the target failed.",
    "Install a certificate that the worker trusts, or set trustServerCertificate, or (on a private network only) encryptConnection to false.",
  ),
  SourceDatabaseMissing: error(
    "PG1007",
    "operator",
    "The database does not exist on the source.",
    "Correct the name; names are case-sensitive.",
  ),
  TargetDatabaseMissing: error(
    "PG1008",
    "operator",
    "The database does not exist on the target.",
    'Create it, or set migrationSetting.createDatabase to "true".',
  ),
  SecretUnreadable: error(
    "PG1009",
    "operator",
    "The stored password cannot be read.",
    "Give the worker's identity the right to read the secret, or run the task again with the password.",
  ),

  // Checks of source and target: PG11xx
  SourceVersionUnsupported: error("PG1101", "never", "The source's version is not supported.", "Use a source of PostgreSQL 9.4 or later."),
  TargetVersionLower: error(
    "PG1102",
    "never",
    "The target is older than the source.",
    "Use a target whose major version is equal to or later than the source's.",
  ),
  WalLevelNotLogical: error(
    "PG1103",
    "operator",
    "wal_level of the source is not logical.",
    "ALTER SYSTEM SET wal_level = logical; then restart the source (on managed services: set the parameter rds.logical_replication or azure.replication_support / wal_level).",
  ),
  NoFreeReplicationSlot: error(
    "PG1104",
    "operator",
    "The source has no free replication slot.",
    "Raise max_replication_slots (and restart), or drop a slot that is not used: SELECT pg_drop_replication_slot('name').",
  ),
  NoFreeWalSender: error("PG1105", "operator", "The source has no free WAL sender.", "Raise max_wal_senders (and restart)."),
  NoReplicationRight: error(
    "PG1106",
    "operator",
    "The source user may not replicate.",
    "ALTER ROLE the_user REPLICATION; (on RDS: GRANT rds_replication TO the_user).",
  ),
  NoReplicaIdentity: error(
    "PG1107",
    "operator",
    "A table has no usable replica identity, so updates and deletes cannot be followed.",
    "Add a primary key, or ALTER TABLE … REPLICA IDENTITY FULL on the source, or set migrationSetting.tablesWithoutKey to insertsOnly or replicaIdentityFull.",
  ),
  TableMissingOnTarget: error(
    "PG1108",
    "operator",
    "A selected table does not exist on the target.",
    'Restore the schema there (pg_dump -O -s -x), or set migrationSetting.migrateSchema to "true".',
  ),
  ColumnMissingOnTarget: error(
    "PG1109",
    "operator",
    "A column of the source does not exist on the target, or has another type.",
    "Make the target's table fit the source's.",
  ),
  TargetTableNotEmpty: error(
    "PG1110",
    "operator",
    "A target table holds rows already.",
    "Empty it, or set migrationSetting.onExistingRows to truncate, append or keepEqual.",
  ),
  NoSelectRight: error(
    "PG1111",
    "operator",
    "The source user may not read a selected table.",
    "GRANT SELECT on the table (and USAGE on its schema) to the user.",
  ),
  NoPublicationRight: error(
    "PG1112",
    "operator",
    "The source user may not create the publication.",
    "GRANT CREATE ON DATABASE to the user and make it the owner of the tables, or set sourceSetting.plugin to test_decoding.",
  ),
  RowSecurityHidesRows: error(
    "PG1113",
    "operator",
    "Row level security would hide rows from the source user.",
    "ALTER ROLE the_user BYPASSRLS; or use the tables' owner.",
  ),
  LeftoverOfEarlierRun: error(
    "PG1114",
    "operator",
    "An earlier or a running migration left its bookkeeping, slot or publication.",
    "End the other migration, or drop what it left; the message has the statements.",
  ),
  TargetIsSource: error("PG1115", "never", "Source and target are the same database.", "Correct the target's connection."),
  NoReplicaRoleRight: warning(
    "PG1116",
    "The target user may not set session_replication_role; triggers are disabled one by one instead.",
    "Use a user that may, such as azure_pg_admin's members or a superuser.",
  ),
  TargetReadOnly: error(
    "PG1117",
    "operator",
    "The target is read-only.",
    "Use the primary server, and reset default_transaction_read_only.",
  ),
  NoTargetRight: error("PG1118", "operator", "The target user lacks a right that the migration needs.", "Grant it; the message names it."),
  TableMissingOnSource: error(
    "PG1119",
    "operator",
    "A selected table does not exist on the source.",
    "Correct the name; names are schema-qualified and case-sensitive.",
  ),
  SourceInRecovery: error("PG1120", "operator", "The source is a standby.", "Give the address of the primary server."),
  PreparedTransactions: error(
    "PG1121",
    "operator",
    "The source holds prepared transactions.",
    "COMMIT PREPARED or ROLLBACK PREPARED them; the message names them.",
  ),
  SlotProbeFailed: error(
    "PG1122",
    "operator",
    "A logical replication slot cannot be created on the source.",
    "End the transactions that the message names, or let the plugin be loaded.",
  ),
  LongTransaction: warning(
    "PG1123",
    "A transaction has been open for long on the source; creating the slot waits for it.",
    "End it; the message names it.",
  ),
  CheckSkipped: information("PG1124", "A check was left out as asked.", "Remove it from migrationSetting.skipChecks to have it."),
  UnloggedTable: warning(
    "PG1125",
    "An unlogged table is not in the WAL: its rows are loaded, and loaded once more at the cutover; changes are not followed.",
    "ALTER TABLE … SET LOGGED on the source, if it is large: the load at the cutover takes as long as its rows need.",
  ),
  PgDumpUnusable: error(
    "PG1126",
    "operator",
    "The schema cannot be dumped.",
    "Install pg_dump of the source's version or later where the worker runs, or name it in PG_DUMP_PATH.",
  ),
  SchemaRestoreFailed: error(
    "PG1127",
    "operator",
    "The schema could not be made on the target.",
    "Mend what the message names (an extension, a role, a collation), empty the target database and run the task again.",
  ),
  TableInsertsOnly: warning(
    "PG1128",
    "A table has no usable replica identity: its rows are loaded and inserts are followed, updates and deletes are not.",
    "Add a primary key, or set migrationSetting.tablesWithoutKey to replicaIdentityFull.",
  ),
  ReplicaIdentityWillBeFull: information(
    "PG1129",
    "A table has no usable replica identity; REPLICA IDENTITY FULL is set on the source for the migration.",
    "Add a primary key to make its updates and deletes fast.",
  ),
  OutputPluginNotAllowed: error(
    "PG1130",
    "operator",
    "The source does not allow the logical decoding plugin.",
    "Add it to output_plugin_libraries on the source, or choose another with sourceSetting.plugin.",
  ),
  IdentityWithoutEquality: warning(
    "PG1131",
    "A table with REPLICA IDENTITY FULL has columns whose type knows no equality; their rows are found by comparing text.",
    "Add a primary key on the source: it is exact and fast.",
  ),
  WalSenderTimeoutUnfit: warning(
    "PG1132",
    "wal_sender_timeout of the source is very short or off.",
    "ALTER SYSTEM SET wal_sender_timeout = '60s'; then SELECT pg_reload_conf().",
  ),
  SlotWalLimited: warning(
    "PG1133",
    "The source limits the WAL that a slot may keep; past the limit the migration's slot is lost.",
    "ALTER SYSTEM SET max_slot_wal_keep_size = -1 until the cutover, and watch the disk; then SELECT pg_reload_conf().",
  ),
  DecodingMemoryLow: information(
    "PG1134",
    "logical_decoding_work_mem of the source is low: large transactions are spilled to its disk early.",
    "ALTER SYSTEM SET logical_decoding_work_mem = '64MB'; then SELECT pg_reload_conf().",
  ),
  TooFewConnections: error(
    "PG1135",
    "operator",
    "The server has too few connections left for the migration.",
    "Raise max_connections or the role's limit, end idle sessions, or lower fullLoadStreams and indexBuilders.",
  ),
  TooFewLocks: warning(
    "PG1136",
    "max_locks_per_transaction may be too low for the number of tables and indexes.",
    "Raise max_locks_per_transaction (and restart).",
  ),
  SourceNotOneServer: error(
    "PG1137",
    "operator",
    "Two connections to the source do not see the same server and snapshot: there is a pooler or a load balancer between.",
    "Give the address of the primary server itself.",
  ),
  WraparoundNear: warning(
    "PG1138",
    "The source is near transaction id wraparound; a long migration holds its vacuum back.",
    "VACUUM (FREEZE) the oldest tables first.",
  ),
  TargetSpaceNeeded: information(
    "PG1139",
    "What the target must have room for.",
    "Have a quarter more than that free, and room for the WAL of the load.",
  ),
  ExtensionMissing: error(
    "PG1140",
    "operator",
    "An extension of the source cannot be had on the target.",
    "Install it there (on Azure: add it to the server parameter azure.extensions), or migrate without the objects that need it.",
  ),
  ExtensionRisk: warning(
    "PG1141",
    "An extension needs care.",
    "Read the message; test the application against the target before the cutover.",
  ),
  CollationMissing: error(
    "PG1142",
    "operator",
    "A collation that the source uses does not exist on the target.",
    "Create the collation on the target (CREATE COLLATION), or change the columns on the source.",
  ),
  TableWithOids: error(
    "PG1143",
    "operator",
    "A table WITH OIDS: its oid values would not be migrated.",
    "ALTER TABLE … SET WITHOUT OIDS on the source, or copy the oids to a column; to migrate without them, add PG1143 to migrationSetting.skipChecks.",
  ),
  SuperuserObject: error(
    "PG1144",
    "operator",
    "The source has objects that only a superuser can make, and the target user is none.",
    "Drop them on the source, or restore the schema without them and leave migrateSchema off.",
  ),
  LanguageMissing: error(
    "PG1145",
    "operator",
    "A procedural language of the source does not exist on the target.",
    "Rewrite the functions, or restore the schema without them and leave migrateSchema off.",
  ),
  CatalogGrant: warning("PG1146", "Rights on system catalogs are not migrated.", "Grant them again on the target where it allows that."),
  RoleMissingOnTarget: error(
    "PG1147",
    "operator",
    "A role that the schema of the source names does not exist on the target.",
    "CREATE ROLE on the target.",
  ),
  TablespaceIgnored: warning(
    "PG1148",
    "Tables or indexes lie in tablespaces of the source; on the target all goes to the default tablespace.",
    "Nothing to do unless the target has tablespaces of its own: then restore the schema by hand.",
  ),
  NamesDifferByCase: information(
    "PG1149",
    "Tables whose names differ by case only; each is migrated as itself.",
    "Nothing to do; mind the quotes in applications.",
  ),
  SequenceNearEnd: warning("PG1150", "A sequence or an integer key is near its end.", "Widen it to bigint after the cutover."),
  BackgroundWriter: warning(
    "PG1151",
    "Something writes or changes tables by itself during the migration.",
    "Pause it until after the cutover (ALTER EVENT TRIGGER name DISABLE).",
  ),
  EncodingDiffers: warning(
    "PG1152",
    "Source and target have different encodings.",
    "Use a target database of the source's encoding, or make sure that every text can be converted.",
  ),
  LargeObjectsIgnored: warning(
    "PG1153",
    "The source database has large objects; they are not migrated (logical decoding does not carry them).",
    "Copy them by hand after the writes have stopped: pg_dump --large-objects.",
  ),
  CheckFailed: warning("PG1154", "A check could not be made.", "Grant what the message names, or go on if the answer is known."),
  NotOwnerOnTarget: error(
    "PG1155",
    "operator",
    "The target user does not own a table that the migration must alter.",
    "ALTER TABLE … OWNER TO the user, or GRANT the owner's role to it.",
  ),
  PartOfPartitionedTable: warning(
    "PG1156",
    "Only some partitions of a table are selected: indexes and keys of the whole table stay on during the load.",
    "Select the partitioned table to have them built after the load.",
  ),
  AnotherMigrationRuns: warning(
    "PG1157",
    "Another migration of the source database is under way.",
    "Nothing to do when that is meant; else cancel the other task. Each of them keeps WAL on the source.",
  ),
  TargetKeyMissing: error(
    "PG1158",
    "operator",
    "Partitions of the source go to one table of the target that has no key to tell their rows apart.",
    "Give the target's table a primary key, or cut it as the source does.",
  ),
  TooFewLocksForSchema: error(
    "PG1159",
    "operator",
    "The target's table of locks cannot hold the schema, which is made in one transaction.",
    "Raise max_locks_per_transaction on the target and restart it.",
  ),
  ConstraintNotRestorable: error(
    "PG1160",
    "operator",
    "pg_dump cannot carry an exclusion or WITHOUT OVERLAPS constraint of a partitioned table with partitions.",
    "Restore the schema by hand with the constraint added to the whole table, and leave migrateSchema off; or drop it until after the cutover.",
  ),
  TruncateNotFollowed: warning(
    "PG1168",
    "TRUNCATE is not in the change stream of the source: logical decoding has it since PostgreSQL 11.",
    "Use DELETE instead of TRUNCATE on the migrated tables until the cutover, whose comparison refuses a table that was truncated.",
  ),
  TargetDefinitionsDiffer: warning(
    "PG1169",
    "Keys, defaults or other definitions of the target's tables are not those of the source.",
    "Make on the target what is missing there, by the definition that the message shows, or leave it so: nothing of it is needed for the rows.",
  ),

  // The run: PG12xx
  SlotLost: error(
    "PG1201",
    "never",
    "The source removed WAL that the migration still needed; its slot is lost.",
    "Raise max_slot_wal_keep_size on the source, then restart the task (Migrate.Sync.Restart.Task): tables that equal the source are kept.",
  ),
  SlotTimeout: error(
    "PG1202",
    "operator",
    "Creating the slot waited too long for open transactions of the source.",
    "End the transactions that the message names, then run the task again.",
  ),
  LoadFailed: error(
    "PG1203",
    "operator",
    "A table could not be loaded.",
    "Mend what the message names, then restart the task (Migrate.Sync.Restart.Task).",
  ),
  ApplyFailed: error(
    "PG1204",
    "operator",
    "A change of the source could not be applied to the target.",
    "Mend what the message names, then run the task again.",
  ),
  RowMissingOnTarget: error(
    "PG1205",
    "operator",
    "A change of the source names a row that the target does not have.",
    "Something else writes to the target: stop it, and start a new migration.",
  ),
  SourceTableChanged: error(
    "PG1206",
    "operator",
    "The definition of a table was changed on the source during the migration.",
    "Make the same change on the target; the message has the statement. The migration goes on by itself when both fit.",
  ),
  DefinitionNotRestored: error(
    "PG1207",
    "operator",
    "An index, a constraint or a trigger could not be brought back on the target.",
    "Mend what the message names, then run the statement in it.",
  ),
  CutoverDifference: error(
    "PG1208",
    "operator",
    "Source and target differ after the cutover's drain; the cutover was refused and the sync goes on.",
    "Find what wrote to the target or to the source; then cut over again or start a new migration.",
  ),
  WritesAfterCutover: error(
    "PG1209",
    "operator",
    "The source was still written to after the cutover was asked for; the cutover was refused and the sync goes on.",
    "Stop the writes (or set migrationSetting.fence to readOnly), then cut over again.",
  ),
  LostOwnership: error("PG1210", "backoff", "Another worker has taken the migration over.", "Nothing to do."),
  NoProgress: error(
    "PG1211",
    "never",
    "The task was taken up many times without moving forward.",
    "Read the errors before this one; mend the cause and run the task again.",
  ),
  SourceLeftovers: warning(
    "PG1212",
    "The source's clean-up could not be finished.",
    "It is tried again for a week. Or run the statements in the message on the source; its slot keeps WAL from being recycled.",
  ),
  TableError: error("PG1213", "operator", "A table was suspended by an error.", "Mend what the message names, then reload the table."),
  SequencesNotSet: error("PG1214", "operator", "A sequence could not be set on the target.", "Run the statement in the message."),
  SourceInterrupted: warning("PG1215", "The connection to the source broke; it is tried again.", "Nothing to do unless it stays."),
  TargetInterrupted: warning("PG1216", "The connection to the target broke; it is tried again.", "Nothing to do unless it stays."),
  TargetLags: warning(
    "PG1217",
    "The target falls behind its source.",
    "Look at the target's processor and disk; raise its size for the migration, or wait for a quieter hour.",
  ),
  WalHeldBack: warning(
    "PG1218",
    "The slot of the migration holds back much WAL on the source.",
    "Watch the free space of the source's disk; mend what slows the target, or cancel the task, which drops the slot.",
  ),
  TextNotConvertible: error(
    "PG1228",
    "operator",
    "A text of the source cannot be stored in the target's encoding.",
    "Mend the text on the source, or use a target database of the source's encoding; then start a new migration.",
  ),
  WalHalfUsed: warning(
    "PG1230",
    "The WAL held back on the source has passed 50 % of its limit.",
    "Watch it: mend what slows the target, give the source more room for WAL, or load at a quieter hour.",
  ),
  WalNearlyUsed: warning(
    "PG1231",
    "The WAL held back on the source has passed 80 % of its limit.",
    "Give the source more room for WAL now (disk, max_slot_wal_keep_size), or cancel the task, which drops the slot.",
  ),
  WalOverBudget: warning(
    "PG1232",
    "The WAL held back on the source is over walBudgetMB.",
    "Give the source more room for WAL, or cancel the task, which drops the slot.",
  ),
  WalBudgetExceeded: error(
    "PG1233",
    "operator",
    "The WAL held back on the source reached walBudgetMB; the migration was stopped and its slot dropped, as onWalBudget says.",
    "Give the source more room for WAL and raise sourceSetting.walBudgetMB, or load at a quieter hour or with more fullLoadStreams; then start a new migration.",
  ),
  SourceDdlFollowed: information(
    "PG1219",
    "A change of a definition on the source was made on the target as well.",
    "Nothing to do; migrationSetting.followSourceDdl asked for it.",
  ),
  PartitionAdded: error(
    "PG1220",
    "operator",
    "A partition was added on the source during the migration; its rows are not followed.",
    "Reload it (Migrate.Sync.Reload.Table with its name): it joins the migration; then cut over again.",
  ),
  DefinitionsDiffer: warning(
    "PG1234",
    "The definitions of source and target are not the same.",
    "Read the differences in the cutover report; make on the target what is missing there, by the definition that the report shows.",
  ),
  DefinitionsNotCompared: warning(
    "PG1235",
    "The definitions of source and target could not be compared.",
    "Compare what pg_dump --schema-only says of both; the rows were compared all the same.",
  ),
  CommandNotUnderstood: error(
    "PG1298",
    "operator",
    "The worker does not understand a command of the control plane.",
    "Deploy worker and control plane from one release; the command is in the dead-letter queue of the service's commands.",
  ),
  Unexpected: error(
    "PG1299",
    "operator",
    "Something failed that pgdms does not know.",
    "Read the message; if it is not clear, report it with the task's id.",
  ),

  // The API: the codes are the Resource Manager's own words
  InvalidRequest: error("InvalidRequest", "operator", "The request is not valid.", "Correct the fields that the details name."),
  MissingApiVersion: error(
    "MissingApiVersionParameter",
    "operator",
    "The api-version query parameter is missing.",
    "Add ?api-version=2018-07-15-preview or any later version of Microsoft.DataMigration.",
  ),
  InvalidApiVersion: error(
    "InvalidApiVersionParameter",
    "operator",
    "The api-version is not known.",
    "Use one of the versions that the message lists.",
  ),
  ResourceNotFound: error("ResourceNotFound", "operator", "The resource does not exist.", "Check the names in the address."),
  ParentResourceNotFound: error(
    "ParentResourceNotFound",
    "operator",
    "The resource that this one belongs to does not exist.",
    "Create it first.",
  ),
  Conflict: error(
    "Conflict",
    "operator",
    "The resource is in a state that does not allow this.",
    "Read the message; wait or cancel first.",
  ),
  ServiceIsBusy: error(
    "ServiceIsBusy",
    "operator",
    "Tasks are running on the service.",
    "Wait for them, cancel them, or give deleteRunningTasks=true.",
  ),
  PreconditionFailed: error(
    "PreconditionFailed",
    "operator",
    "The resource has changed since it was read.",
    "Read it again and decide again.",
  ),
  PayloadTooLarge: error(
    "RequestEntityTooLarge",
    "operator",
    "The request is too large.",
    "Send less; select tables by pattern with migrationSetting.includeTables.",
  ),
  UnsupportedMediaType: error("UnsupportedMediaType", "operator", "The request body is not JSON.", "Send content-type: application/json."),
  Unauthorized: error("Unauthorized", "operator", "The caller is not known.", "Send a bearer token of the configured tenant and audience."),
  Forbidden: error("AuthorizationFailed", "operator", "The caller may not do this.", "Assign the app role that the message names."),
  TooManyRequests: error("TooManyRequests", "backoff", "Too many requests.", "Wait for as long as Retry-After says."),
  OnlineNeedsPremium: error(
    "SkuNotSupported",
    "operator",
    "Online migrations need the Premium tier.",
    'PATCH the service with sku {"name": "Premium_4vCores", "tier": "Premium"}.',
  ),
  Internal: error(
    "InternalServerError",
    "backoff",
    "The control plane failed.",
    "Try again; if it stays, look up the request id in the logs.",
  ),
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorKind = keyof typeof definitions;

/** The list, by kind; docs/errors.md is made from it. */
export const errors: Readonly<Record<ErrorKind, ErrorDefinition>> = definitions;

/** One error as it travels in reports and as the API shows it. */
export const ReportedError = z.object({
  code: z.string(),
  severity: z.enum(["error", "warning", "information"]).default("error"),
  message: z.string(),
  remedy: z.string().optional(),
  sqlState: z.string().optional(),
  databaseName: z.string().optional(),
  /** Display name of the table, schema-qualified. */
  table: z.string().optional(),
});
export type ReportedError = z.infer<typeof ReportedError>;

interface ErrorDetail {
  /** What exactly, in this case; follows the list's title. */
  readonly detail?: string;
  /** Replaces the list's remedy where this case has a more exact one. */
  readonly remedy?: string;
  readonly sqlState?: string;
  readonly databaseName?: string;
  readonly table?: string;
  readonly cause?: unknown;
}

/** An error of the list, thrown. `message` is the list's title and the detail of this case. */
export class MigrationError extends Error {
  readonly kind: ErrorKind;
  readonly detail: ErrorDetail;

  constructor(kind: ErrorKind, detail: ErrorDetail = {}) {
    super(detail.detail ? `${errors[kind].title} ${detail.detail}` : errors[kind].title, { cause: detail.cause });
    this.name = "MigrationError";
    this.kind = kind;
    this.detail = detail;
  }
}

/** What a report or an answer says of an error of the list. */
export function reported(kind: ErrorKind, detail: ErrorDetail = {}): ReportedError {
  const { code, severity, title, remedy } = errors[kind];
  return {
    code,
    severity,
    message: detail.detail ? `${title} ${detail.detail}` : title,
    remedy: detail.remedy ?? remedy,
    ...(detail.sqlState === undefined ? {} : { sqlState: detail.sqlState }),
    ...(detail.databaseName === undefined ? {} : { databaseName: detail.databaseName }),
    ...(detail.table === undefined ? {} : { table: detail.table }),
  };
}

/** What a report says of anything thrown: errors of the list as themselves, the rest as `Unexpected`. */
export function reportedFrom(thrown: unknown, place: { databaseName?: string; table?: string } = {}): ReportedError {
  if (thrown instanceof MigrationError) return reported(thrown.kind, { ...place, ...thrown.detail });
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const sqlState = thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;
  return reported("Unexpected", { ...place, detail: message, ...(sqlState === undefined ? {} : { sqlState }) });
}
