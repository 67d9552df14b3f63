import { describe, expect, test } from "vitest";
import { type OutputTask } from "../../functions/output-items.ts";
import { migrationState } from "../../functions/output-migration.ts";
import { outputOf } from "../../functions/output.ts";
import { type ConnectionReference } from "../../contracts/connection.ts";
import { type Finding, type ReportItem } from "../../contracts/reports.ts";
import { database, table } from "./fixtures/worker.ts";

const server = (serverName: string): ConnectionReference => ({
  serverName,
  port: 5432,
  databaseName: "listdb",
  userName: "u",
  credential: { kind: "none" },
  encryptConnection: true,
  trustServerCertificate: false,
});

const task: OutputTask = {
  taskId: "7b1d7c0e-0f3d-4f86-8d1b-3a3c0a8b2c02",
  path: { subscriptionId: "s", resourceGroup: "g", service: "dms", project: "pp", task: "migrate-listdb" },
  state: "Running",
  work: {
    taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
    source: server("pg-src.example.net"),
    target: server("pg-tgt.example.net"),
    selectedDatabases: [
      { name: "listdb", targetDatabaseName: "listdb", selectedTables: [], migrationSetting: {}, sourceSetting: {}, targetSetting: {} },
    ],
  },
  errors: [],
  startedOn: "2026-03-01T10:05:09Z",
  endedOn: null,
};

const finding = (more: Partial<Finding> = {}): Finding => ({
  kind: "finding",
  databaseName: "listdb",
  subject: "public.list_items",
  since: "2026-03-01T10:06:30.118Z",
  resolved: false,
  error: {
    code: "PG1203",
    severity: "error",
    message: "duplicate key value",
    table: "public.list_items",
    sqlState: "23505",
    remedy: "Empty the table.",
  },
  ...more,
});

describe("the output of a migration", () => {
  test("in the middle of the full load is what the classic service showed, and more", () => {
    const items: ReportItem[] = [
      {
        kind: "migration",
        sourceServerVersion: "12.19",
        targetServerVersion: "16.4",
        startedOn: "2026-03-01T10:05:10Z",
        endedOn: null,
        databaseCount: 1,
      },
      database(),
      table("users"),
    ];
    expect(outputOf(task, items)).toEqual([
      {
        id: "7b1d7c0e-0f3d-4f86-8d1b-3a3c0a8b2c02",
        resultType: "MigrationLevelOutput",
        state: "PENDING",
        databaseCount: 1,
        sourceServer: "pg-src.example.net",
        sourceServerVersion: "12.19",
        sourceVersion: "12.19",
        sourceServerType: "PostgreSQL",
        targetServer: "pg-tgt.example.net",
        targetServerVersion: "16.4",
        targetVersion: "16.4",
        targetServerType: "AzureDBForPostgresSQL",
        startedOn: "2026-03-01T10:05:10Z",
        endedOn: null,
        findings: [],
      },
      {
        id: "db|listdb",
        resultType: "DatabaseLevelOutput",
        databaseName: "listdb",
        migrationState: "RUNNING",
        initializationCompleted: false,
        startedOn: "2026-03-01T10:05:12Z",
        endedOn: null,
        fullLoadCompletedTables: 1,
        fullLoadLoadingTables: 1,
        fullLoadQueuedTables: 1,
        fullLoadErroredTables: 0,
        incomingChanges: 42,
        appliedChanges: 0,
        cdcInsertCounter: 0,
        cdcUpdateCounter: 0,
        cdcDeleteCounter: 0,
        latency: 9,
        targetDatabaseName: "listdb",
        step: null,
        fullLoadRows: 315_000,
        fullLoadBytes: 31_500_000,
        fullLoadTotalBytesEstimate: 85_700_000,
        latencySeconds: 9.4,
        lagBytes: 1024,
        walHeldBytes: 4096,
        walLimitBytes: 1024 ** 3,
        walLimitedBy: "maxSlotWalKeepSize",
        walGrowthBytesPerSecond: 2048.5,
        walFullInSeconds: 524_000,
        walStatus: "reserved",
        snapshotAgeSeconds: 61.5,
        xminAge: 12,
        catalogXminAge: 15,
        appliedLsn: "0/16B3748",
        cutover: null,
        findings: [],
      },
      {
        id: "or|listdb|public|users",
        resultType: "TableLevelOutput",
        databaseName: "listdb",
        tableName: "public.users",
        state: "COMPLETED",
        fullLoadTotalRows: 5000,
        fullLoadTotalVolumeBytes: 500_000,
        fullLoadStartedOn: "2026-03-01T10:05:20Z",
        fullLoadEstFinishTime: null,
        fullLoadEndedOn: "2026-03-01T10:05:22Z",
        cdcInsertCounter: 0,
        cdcUpdateCounter: 0,
        cdcDeleteCounter: 0,
        totalChangesApplied: 0,
        dataErrorsCounter: 0,
        dataErrorsCount: 0,
        lastModifiedTime: "2026-03-01T10:05:22Z",
        schema: "public",
        name: "users",
        rowsEstimate: 5000,
        bytesEstimate: 500_000,
        comparison: null,
        error: null,
      },
    ]);
  });

  test("before any report has every database with every counter at nought", () => {
    const [migration, listdb, ...rest] = outputOf({ ...task, state: "Queued", startedOn: null }, []);
    expect(migration).toMatchObject({ state: "UNDEFINED", sourceServerVersion: null, startedOn: null });
    expect(listdb).toMatchObject({
      migrationState: "UNDEFINED",
      incomingChanges: 0,
      cdcInsertCounter: 0,
      fullLoadQueuedTables: 0,
      latency: 0,
    });
    expect(rest).toEqual([]);
  });

  test("ends with one error item for each database in trouble and one for each error of the task", () => {
    const broken = table("list_items", {
      state: "ERROR",
      error: { code: "PG1213", severity: "error", message: "suspended", sqlState: "22003" },
    });
    const error = {
      code: "PG1203",
      severity: "error" as const,
      message: "A table could not be loaded.",
      remedy: "Empty the target tables.",
      databaseName: "listdb",
    };
    const output = outputOf({ ...task, state: "Faulted", endedOn: "2026-03-01T10:06:31Z", errors: [error] }, [
      database({ state: "FAILED" }),
      broken,
      finding(),
      finding({ subject: "other", resolved: true }),
    ]);
    expect(output.map((item) => item.id)).toEqual([task.taskId, "db|listdb", "or|listdb|public|list_items", "dberr|listdb", "err|0001"]);
    expect(output[0]).toMatchObject({ state: "FAILED" });
    expect(output[1]).toMatchObject({
      findings: [
        { code: "PG1203", subject: "public.list_items", resolved: false },
        { subject: "other", resolved: true },
      ],
    });
    expect(output[3]).toEqual({
      id: "dberr|listdb",
      resultType: "DatabaseLevelErrorOutput",
      databaseName: "listdb",
      errorMessage: "A table could not be loaded.",
      events: [
        { timestampString: "2026-03-01T10:06:31Z", eventTypeString: "Error", eventText: "A table could not be loaded." },
        {
          timestampString: "2026-03-01T10:06:30.118Z",
          eventTypeString: "Error",
          eventText: "public.list_items: duplicate key value (SQLSTATE 23505)",
        },
        { timestampString: "2026-03-01T10:05:22Z", eventTypeString: "Error", eventText: "public.list_items: suspended (SQLSTATE 22003)" },
      ],
    });
    expect(output[4]).toMatchObject({
      error: { message: "A table could not be loaded.", actionableMessage: "Empty the target tables.", hResult: -2146233088 },
    });
  });
});

describe("the one word for the whole migration", () => {
  const state = (of: OutputTask["state"], ...databases: Parameters<typeof migrationState>[1]) =>
    migrationState({ state: of }, databases, [], []);

  test("follows the task, its databases and what needs a person", () => {
    expect(state("Queued")).toBe("UNDEFINED");
    expect(state("Running", { state: "CONFIGURING" })).toBe("VALIDATING");
    expect(state("Running", { state: "CONFIGURING" }, { state: "RUNNING" })).toBe("PENDING");
    expect(state("Running", { state: "READY_TO_COMPLETE" })).toBe("PENDING");
    expect(state("Succeeded", { state: "COMPLETE" })).toBe("COMPLETE");
    expect([state("Failed"), state("Faulted"), state("FailedInputValidation")]).toEqual(["FAILED", "FAILED", "FAILED"]);
    expect(state("Canceled")).toBe("UNDEFINED");
    expect(migrationState({ state: "Running" }, [{ state: "RUNNING" }], [{ state: "ERROR" }], [])).toBe("ACTION_REQUIRED");
    expect(migrationState({ state: "Running" }, [{ state: "RUNNING" }], [], [finding()])).toBe("ACTION_REQUIRED");
    expect(migrationState({ state: "Running" }, [{ state: "RUNNING" }], [], [finding({ resolved: true })])).toBe("PENDING");
  });
});
