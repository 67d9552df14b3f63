import { type CutoverReport } from "../../../contracts/reports.ts";
import {
  type DatabaseLevelOutput,
  type FindingView,
  type MigrationLevelOutput,
  type TableLevelOutput,
  type UserTable,
} from "../../../contracts/wire.ts";

/** Bodies in the API's shapes for states of a migration that are slow or hard to reach with real servers. */

export const iso = (timeMs: number): string => new Date(timeMs).toISOString();

export function migrationOutput(part: Partial<MigrationLevelOutput>): MigrationLevelOutput {
  return {
    id: "7b1d7c0e-0f3d-4f86-8d1b-3a3c0a8b2c02",
    resultType: "MigrationLevelOutput",
    state: "PENDING",
    databaseCount: 1,
    sourceServer: "pg-lists.corp.example.net",
    sourceServerVersion: "13.10",
    sourceVersion: "13.10",
    sourceServerType: "PostgreSQL",
    targetServer: "pgflex-lists.postgres.database.azure.com",
    targetServerVersion: "16.4",
    targetVersion: "16.4",
    targetServerType: "AzureDBForPostgresSQL",
    startedOn: iso(Date.now() - 900_000),
    endedOn: null,
    findings: [],
    ...part,
  };
}

export function databaseOutput(part: Partial<DatabaseLevelOutput> & { databaseName: string }): DatabaseLevelOutput {
  return {
    id: `db|${part.databaseName}`,
    resultType: "DatabaseLevelOutput",
    targetDatabaseName: part.databaseName,
    migrationState: "RUNNING",
    initializationCompleted: false,
    startedOn: iso(Date.now() - 900_000),
    endedOn: null,
    fullLoadCompletedTables: 0,
    fullLoadLoadingTables: 0,
    fullLoadQueuedTables: 0,
    fullLoadErroredTables: 0,
    incomingChanges: 0,
    appliedChanges: 0,
    cdcInsertCounter: 0,
    cdcUpdateCounter: 0,
    cdcDeleteCounter: 0,
    latency: 0,
    step: null,
    fullLoadRows: 0,
    fullLoadBytes: 0,
    fullLoadTotalBytesEstimate: 0,
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
    cutover: null,
    findings: [],
    ...part,
  };
}

export function tableOutput(databaseName: string, name: string, part: Partial<TableLevelOutput>): TableLevelOutput {
  return {
    id: `or|${databaseName}|public|${name}`,
    resultType: "TableLevelOutput",
    databaseName,
    tableName: `public.${name}`,
    schema: "public",
    name,
    state: "BEFORE_LOAD",
    fullLoadStartedOn: null,
    fullLoadEndedOn: null,
    fullLoadEstFinishTime: null,
    fullLoadTotalRows: 0,
    fullLoadTotalVolumeBytes: 0,
    cdcInsertCounter: 0,
    cdcUpdateCounter: 0,
    cdcDeleteCounter: 0,
    totalChangesApplied: 0,
    dataErrorsCounter: 0,
    dataErrorsCount: 0,
    lastModifiedTime: null,
    rowsEstimate: 0,
    bytesEstimate: 0,
    comparison: null,
    error: null,
    ...part,
  };
}

export const sourceFindings: readonly FindingView[] = [
  {
    code: "PG1103",
    severity: "error",
    message: "wal_level of the source is not logical. It is replica.",
    remedy: "ALTER SYSTEM SET wal_level = logical; -- then restart the source",
    subject: "wal_level",
  },
  {
    code: "PG1123",
    severity: "warning",
    message:
      "A transaction has been open for long on the source; creating the slot waits for it. Process 4711 (nightly_report), open for 2 h 11 min.",
    remedy: "SELECT pg_terminate_backend(4711);",
    subject: "4711",
  },
  {
    code: "PG1124",
    severity: "information",
    message: "A check was left out as asked. PG1125.",
    remedy: "Remove it from migrationSetting.skipChecks to have it.",
    subject: "PG1125",
  },
];

export const userTables: readonly UserTable[] = [
  { name: "public.list_items", hasRows: true, sizeBytes: 9_663_676_416, rowsEstimate: 81_200_000, hasKey: true },
  { name: "public.lists", hasRows: true, sizeBytes: 734_003_200, rowsEstimate: 4_000_000, hasKey: true },
  { name: "public.users", hasRows: true, sizeBytes: 104_857_600, rowsEstimate: 500_000, hasKey: true },
  { name: "public.audit_log", hasRows: true, sizeBytes: 3_221_225_472, rowsEstimate: 40_100_000, hasKey: false },
  { name: "public.tags", hasRows: true, sizeBytes: 8_388_608, rowsEstimate: 61_240, hasKey: true },
  { name: "public.import_staging", hasRows: false, sizeBytes: 8192, rowsEstimate: 0, hasKey: false },
  { name: "billing.invoices", hasRows: true, sizeBytes: 2_147_483_648, rowsEstimate: 12_400_000, hasKey: true },
  { name: "billing.payments", hasRows: true, sizeBytes: 1_073_741_824, rowsEstimate: 9_800_000, hasKey: true },
];

export function cutoverReport(databaseName: string, part: Partial<CutoverReport>): CutoverReport {
  const askedMs = Date.now() - 120_000;
  return {
    kind: "cutoverReport",
    databaseName,
    commandId: "6f4c3b1e-2f8a-4d0b-9d55-0b3f5a1f7a10",
    askedOn: iso(askedMs),
    drainedOn: iso(askedMs + 1_200),
    endedOn: iso(askedMs + 41_500),
    markerLsn: "2A/7F001CB8",
    steps: [
      { name: "marker written", durationMs: 14 },
      { name: "changes drained", durationMs: 1_186 },
      { name: "both sides compared", durationMs: 28_400 },
      { name: "sequences set", durationMs: 210 },
      { name: "constraints and triggers restored", durationMs: 9_120 },
      { name: "statistics gathered", durationMs: 2_470 },
      { name: "slot and publication dropped", durationMs: 100 },
    ],
    tablesCompared: 8,
    tablesDifferent: 0,
    sequencesSet: 6,
    definitionsRestored: 23,
    definitions: {
      compared: 214,
      missing: 1,
      different: 1,
      onlyOnTarget: 1,
      differences: [
        { kind: "table", name: "public.load_notes", source: null, target: "TABLE" },
        { kind: "column", name: "public.lists.title", source: "character varying(80) NOT NULL", target: "character varying(200) NOT NULL" },
        {
          kind: "trigger",
          name: "stamp on public.users",
          source: "CREATE TRIGGER stamp BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE PROCEDURE public.stamp()",
          target: null,
        },
      ],
    },
    ...part,
  };
}
