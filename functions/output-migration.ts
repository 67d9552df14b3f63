import { isTaskOver, type DatabaseState, type MigrationState } from "../contracts/lifecycle.ts";
import {
  type CutoverReport,
  type DatabaseProgress,
  type Finding,
  type ReportItem,
  type TableProgress,
  unreportedDatabase,
} from "../contracts/reports.ts";
import { displayName } from "../contracts/tables.ts";
import { type DatabaseLevelOutput, type MigrateOutput, type MigrationLevelOutput, type TableLevelOutput } from "../contracts/wire.ts";
import { databaseErrorOutput, errorOutputs, findingView, isTrouble } from "./output-errors.ts";
import { ofKind, type ItemOf, type OutputTask } from "./output-items.ts";

/** In the order migration, databases, tables, errors. */
export function migrateOutput(task: OutputTask, initial: readonly DatabaseProgress[], items: readonly ReportItem[]): MigrateOutput[] {
  const reportedDatabases = new Map(ofKind(items, "database").map((database) => [database.databaseName, database]));
  // A restarted task has some that an earlier run cut over.
  const databases = [...new Map([...initial.map((database) => [database.databaseName, database] as const), ...reportedDatabases]).values()];
  const cutovers = new Map(ofKind(items, "cutoverReport").map((report) => [report.databaseName, report]));
  const findings = ofKind(items, "finding");
  const tables = ofKind(items, "table");
  const endedOn = task.endedOn ?? "";
  return [
    migrationLevel(task, databases, tables, findings, ofKind(items, "migration")[0]),
    ...databases.map((database) => databaseLevel(database, findings, cutovers.get(database.databaseName))),
    ...tables.map(tableLevel),
    ...databases.flatMap(({ databaseName }) => databaseErrorOutput(databaseName, findings, tables, task.errors, endedOn) ?? []),
    ...errorOutputs(task.errors, findings, endedOn),
  ];
}

/** A database that no worker has reported on yet. */
export const initialDatabase = ({ state }: OutputTask, databaseName: string, targetDatabaseName: string): DatabaseProgress => ({
  ...unreportedDatabase(databaseName, targetDatabaseName),
  state: state === "Canceled" ? "CANCELLED" : "UNDEFINED",
});

function migrationLevel(
  task: OutputTask,
  databases: readonly DatabaseProgress[],
  tables: readonly TableProgress[],
  findings: readonly Finding[],
  migration: ItemOf<"migration"> | undefined,
): MigrationLevelOutput {
  const { work } = task;
  return {
    id: task.taskId,
    resultType: "MigrationLevelOutput",
    state: migrationState(task, databases, tables, findings),
    databaseCount: databases.length,
    sourceServer: work.source.serverName,
    sourceServerVersion: migration?.sourceServerVersion ?? null,
    sourceVersion: migration?.sourceServerVersion ?? null,
    sourceServerType: "PostgreSQL",
    targetServer: "target" in work ? work.target.serverName : "",
    targetServerVersion: migration?.targetServerVersion ?? null,
    targetVersion: migration?.targetServerVersion ?? null,
    targetServerType: "AzureDBForPostgresSQL",
    startedOn: migration?.startedOn ?? task.startedOn,
    endedOn: migration?.endedOn ?? task.endedOn,
    findings: findings.filter(({ databaseName }) => databaseName === undefined).map(findingView),
  };
}

/** States of a database before its load has begun. */
const CHECKING: readonly DatabaseState[] = ["UNDEFINED", "CONFIGURING"];

/** The one word for the whole migration. */
export function migrationState(
  { state }: Pick<OutputTask, "state">,
  databases: readonly Pick<DatabaseProgress, "state">[],
  tables: readonly Pick<TableProgress, "state">[],
  findings: readonly Finding[],
): MigrationState {
  if (state === "Succeeded") return "COMPLETE";
  if (state === "Canceled" || state === "Queued") return "UNDEFINED";
  if (isTaskOver(state)) return "FAILED";
  if (findings.some(isTrouble) || tables.some((table) => table.state === "ERROR")) return "ACTION_REQUIRED";
  return databases.every((database) => CHECKING.includes(database.state)) ? "VALIDATING" : "PENDING";
}

function databaseLevel(database: DatabaseProgress, findings: readonly Finding[], cutover: CutoverReport | undefined): DatabaseLevelOutput {
  const { databaseName, inserts, updates, deletes, latencySeconds } = database;
  return {
    id: `db|${databaseName}`,
    resultType: "DatabaseLevelOutput",
    databaseName,
    migrationState: database.state,
    initializationCompleted: database.initializationCompleted,
    startedOn: database.startedOn,
    endedOn: database.endedOn,
    fullLoadCompletedTables: database.fullLoadCompletedTables,
    fullLoadLoadingTables: database.fullLoadLoadingTables,
    fullLoadQueuedTables: database.fullLoadQueuedTables,
    fullLoadErroredTables: database.fullLoadErroredTables,
    incomingChanges: database.pendingChanges,
    appliedChanges: inserts + updates + deletes,
    cdcInsertCounter: inserts,
    cdcUpdateCounter: updates,
    cdcDeleteCounter: deletes,
    latency: Math.round(latencySeconds),
    targetDatabaseName: database.targetDatabaseName,
    step: database.step ?? null,
    fullLoadRows: database.fullLoadRows,
    fullLoadBytes: database.fullLoadBytes,
    fullLoadTotalBytesEstimate: database.fullLoadTotalBytesEstimate,
    latencySeconds,
    lagBytes: database.lagBytes,
    walHeldBytes: database.walHeldBytes,
    walLimitBytes: database.walLimitBytes,
    walLimitedBy: database.walLimitedBy,
    walGrowthBytesPerSecond: database.walGrowthBytesPerSecond,
    walFullInSeconds: database.walFullInSeconds,
    walStatus: database.walStatus,
    snapshotAgeSeconds: database.snapshotAgeSeconds,
    xminAge: database.xminAge,
    catalogXminAge: database.catalogXminAge,
    appliedLsn: database.appliedLsn,
    cutover: cutover ?? null,
    findings: findings.filter((finding) => finding.databaseName === databaseName).map(findingView),
  };
}

function tableLevel(table: TableProgress): TableLevelOutput {
  const { databaseName, schema, name, inserts, updates, deletes } = table;
  return {
    id: `or|${databaseName}|${schema}|${name}`,
    resultType: "TableLevelOutput",
    databaseName,
    tableName: displayName({ schema, name }),
    state: table.state,
    fullLoadStartedOn: table.fullLoadStartedOn,
    fullLoadEndedOn: table.fullLoadEndedOn,
    fullLoadEstFinishTime: table.fullLoadEstFinishTime,
    fullLoadTotalRows: table.fullLoadRows,
    fullLoadTotalVolumeBytes: table.fullLoadBytes,
    cdcInsertCounter: inserts,
    cdcUpdateCounter: updates,
    cdcDeleteCounter: deletes,
    totalChangesApplied: inserts + updates + deletes,
    dataErrorsCounter: table.dataErrors,
    dataErrorsCount: table.dataErrors,
    lastModifiedTime: table.lastModifiedTime,
    schema,
    name,
    rowsEstimate: table.rowsEstimate,
    bytesEstimate: table.bytesEstimate,
    comparison: table.comparison ?? null,
    error: table.error ?? null,
  };
}
