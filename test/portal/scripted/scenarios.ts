import { type TaskState } from "../../../contracts/lifecycle.ts";
import { type CommandView, type ErrorDetail, type MigrateOutput, type TableLevelOutput } from "../../../contracts/wire.ts";
import { cutoverReport, databaseOutput, iso, migrationOutput, tableOutput, userTables } from "./outputs.ts";

/** One migration at one moment. */
export interface Moment {
  readonly state: TaskState;
  readonly output: readonly MigrateOutput[];
  readonly errors?: readonly ErrorDetail[];
  readonly commands?: readonly CommandView[];
  readonly waitingFor?: string | null;
}

/** What a migration says `elapsedMs` after the server was started. */
export type Scenario = (elapsedMs: number) => Moment;

/** What a rate of that shape has moved by then: totals never go back. */
const moved = (elapsedMs: number): number => elapsedMs + (0.35 * 9_000 * (1 - Math.cos((2 * Math.PI * elapsedMs) / 9_000))) / (2 * Math.PI);

const database = "listdb";
const beganMs = Date.now() - 900_000;

/** Uneven on purpose: rates that never change would hide what the estimates do with those that do. */
const wave = (elapsedMs: number, periodMs: number): number => 1 + 0.35 * Math.sin((2 * Math.PI * elapsedMs) / periodMs);

const total = userTables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

const loading: Scenario = (elapsedMs) => {
  const bytes = total * 0.42 + moved(elapsedMs) * 52_000;
  const tables = userTables.map(({ name, sizeBytes, rowsEstimate }, index) => {
    const done = index === 1 || index === 2 || index === 4;
    const isLoading = !done && (index === 0 || index === 3 || index === 6);
    const share = done ? 1 : isLoading ? Math.min(0.97, 0.3 + 0.09 * index + elapsedMs / 900_000) : 0;
    return table(name, {
      state: done ? "COMPLETED" : isLoading ? "FULL_LOAD" : "BEFORE_LOAD",
      fullLoadStartedOn: done || isLoading ? iso(beganMs + index * 4_000) : null,
      fullLoadEndedOn: done ? iso(beganMs + 60_000 + index * 9_000) : null,
      fullLoadEstFinishTime: isLoading ? iso(Date.now() + 400_000 + index * 60_000) : null,
      fullLoadTotalRows: Math.round(rowsEstimate * share),
      fullLoadTotalVolumeBytes: Math.round(sizeBytes * share),
      rowsEstimate,
      bytesEstimate: sizeBytes,
    });
  });
  const output = databaseOutput({
    databaseName: database,
    step: "copying tables (3 of 8 done)",
    fullLoadCompletedTables: 3,
    fullLoadLoadingTables: 3,
    fullLoadQueuedTables: 2,
    fullLoadRows: Math.round(bytes / 118),
    fullLoadBytes: Math.round(bytes),
    fullLoadTotalBytesEstimate: total,
    incomingChanges: 48_200 + Math.round(elapsedMs * 0.9),
    latency: 412,
    latencySeconds: 412 + elapsedMs / 1000,
    lagBytes: 1_288_490_188 + elapsedMs * 310,
    walHeldBytes: 1_610_612_736 + elapsedMs * 320,
    walLimitBytes: 2_684_354_560,
    walLimitedBy: "maxSlotWalKeepSize",
    walGrowthBytesPerSecond: 320_000,
    walFullInSeconds: 3_355,
    snapshotAgeSeconds: 900 + elapsedMs / 1000,
    appliedLsn: "29/0001FA40",
    findings: [
      {
        code: "PG1107",
        severity: "warning",
        message:
          "A table has no usable replica identity, so updates and deletes cannot be followed. Inserts only, as tablesWithoutKey asks.",
        remedy: "ALTER TABLE public.audit_log REPLICA IDENTITY FULL;",
        databaseName: database,
        table: "public.audit_log",
        since: iso(beganMs),
      },
    ],
  });
  return { state: "Running", output: [migrationOutput({ startedOn: iso(beganMs) }), output, ...tables] };
};

const synced = (elapsedMs: number): TableLevelOutput[] =>
  userTables.map(({ name, sizeBytes, rowsEstimate }, index) => {
    const inserts = Math.round(1_900 / (index + 1) + (elapsedMs / 40) * (index === 0 ? 1 : 0.1));
    const updates = Math.round(inserts * 0.4);
    const deletes = Math.round(inserts * 0.06);
    return table(name, {
      state: "COMPLETED",
      fullLoadStartedOn: iso(beganMs + index * 4_000),
      fullLoadEndedOn: iso(beganMs + 60_000 + index * 9_000),
      fullLoadTotalRows: rowsEstimate,
      fullLoadTotalVolumeBytes: sizeBytes,
      rowsEstimate,
      bytesEstimate: sizeBytes,
      cdcInsertCounter: inserts,
      cdcUpdateCounter: updates,
      cdcDeleteCounter: deletes,
      totalChangesApplied: inserts + updates + deletes,
      lastModifiedTime: iso(Date.now() - 800 * index),
    });
  });

function syncedDatabase(elapsedMs: number, tables: readonly TableLevelOutput[], part: Parameters<typeof databaseOutput>[0]) {
  const sum = (value: (one: TableLevelOutput) => number) => tables.reduce((all, one) => all + value(one), 0);
  return databaseOutput({
    migrationState: "READY_TO_COMPLETE",
    initializationCompleted: true,
    fullLoadCompletedTables: tables.length,
    fullLoadRows: sum(({ fullLoadTotalRows }) => fullLoadTotalRows),
    fullLoadBytes: total,
    fullLoadTotalBytesEstimate: total,
    incomingChanges: Math.round(24 + 20 * Math.sin(elapsedMs / 2_500)),
    appliedChanges: sum(({ totalChangesApplied }) => totalChangesApplied),
    cdcInsertCounter: sum(({ cdcInsertCounter }) => cdcInsertCounter),
    cdcUpdateCounter: sum(({ cdcUpdateCounter }) => cdcUpdateCounter),
    cdcDeleteCounter: sum(({ cdcDeleteCounter }) => cdcDeleteCounter),
    latency: 0,
    latencySeconds: 0.32 * wave(elapsedMs, 7_000),
    lagBytes: Math.round(61_000 * wave(elapsedMs, 7_000)),
    walHeldBytes: Math.round(16_777_216 + 900_000 * Math.sin(elapsedMs / 20_000)),
    appliedLsn: "2A/7F001CB8",
    ...part,
  });
}

const ready: Scenario = (elapsedMs) => {
  const tables = synced(elapsedMs);
  const other = syncedDatabase(elapsedMs, [], {
    databaseName: "billing",
    targetDatabaseName: "billing_prod",
    incomingChanges: 0,
    fullLoadRows: 1_204_551,
    fullLoadBytes: 640_000_000,
  });
  return {
    state: "Running",
    output: [migrationOutput({ databaseCount: 2 }), syncedDatabase(elapsedMs, tables, { databaseName: database }), other, ...tables],
  };
};

const fenced: Scenario = (elapsedMs) => ready(elapsedMs);

const cuttingOver: Scenario = (elapsedMs) => {
  const tables = synced(0);
  const { steps } = cutoverReport(database, {});
  const cutover = cutoverReport(database, {
    endedOn: null,
    steps: steps.slice(0, 2),
    tablesCompared: 0,
    sequencesSet: 0,
    definitionsRestored: 0,
  });
  const output = syncedDatabase(elapsedMs, tables, {
    databaseName: database,
    migrationState: "COMPLETING",
    step: "comparing both sides (5 of 8 tables)",
    incomingChanges: 0,
    cutover,
  });
  return { state: "Running", output: [migrationOutput({}), output, ...tables], commands: [command("Running")] };
};

const command = (state: CommandView["state"]): CommandView => ({
  commandType: "Migrate.Sync.Complete.Database",
  commandId: "6f4c3b1e-2f8a-4d0b-9d55-0b3f5a1f7a10",
  state,
  input: { databaseName: database },
});

const refused: Scenario = (elapsedMs) => {
  const errors = [
    {
      message:
        "The source was still written to after the cutover was asked for; the cutover was refused and the sync goes on. 14 changes of public.list_items.",
      actionableMessage: "Stop the writes (or set migrationSetting.fence to readOnly), then cut over again.",
      code: "PG1209",
      severity: "error" as const,
    },
  ];
  return { ...ready(elapsedMs), commands: [{ ...command("Failed"), output: { id: "x", errors } }] };
};

const complete: Scenario = () => {
  const tables = synced(0).map((one): TableLevelOutput => {
    const rows = String(one.fullLoadTotalRows + one.cdcInsertCounter - one.cdcDeleteCounter);
    const checksum = (BigInt(rows) * 2654435761n).toString(16).padStart(16, "0").slice(-16);
    return { ...one, comparison: { sourceRows: rows, targetRows: rows, sourceChecksum: checksum, targetChecksum: checksum, equal: true } };
  });
  const output = syncedDatabase(0, tables, {
    databaseName: database,
    migrationState: "COMPLETE",
    endedOn: iso(Date.now() - 78_000),
    incomingChanges: 0,
    lagBytes: 0,
    latencySeconds: 0,
    walHeldBytes: 0,
    cutover: cutoverReport(database, {}),
  });
  return {
    state: "Succeeded",
    output: [migrationOutput({ state: "COMPLETE", endedOn: iso(Date.now() - 78_000) }), output, ...tables],
    commands: [command("Succeeded")],
  };
};

const failed: Scenario = () => {
  const message = 'duplicate key value violates unique constraint "list_items_pkey"';
  const error = {
    code: "PG1203",
    severity: "error" as const,
    message: `A table could not be loaded. ${message}`,
    remedy: "Mend what the message names, empty the target tables and run the task again.",
    sqlState: "23505",
    databaseName: database,
    table: "public.list_items",
  };
  const tables = [
    table("public.users", {
      state: "COMPLETED",
      fullLoadTotalRows: 500_000,
      fullLoadStartedOn: iso(beganMs),
      fullLoadEndedOn: iso(beganMs + 9_000),
    }),
    table("public.list_items", { state: "ERROR", fullLoadTotalRows: 1_200, fullLoadStartedOn: iso(beganMs), dataErrorsCounter: 1, error }),
  ];
  const output = databaseOutput({
    databaseName: database,
    migrationState: "FAILED",
    endedOn: iso(beganMs + 60_000),
    fullLoadCompletedTables: 1,
    fullLoadErroredTables: 1,
    fullLoadRows: 501_200,
    fullLoadBytes: 105_906_176,
    fullLoadTotalBytesEstimate: total,
    findings: [error],
  });
  return {
    state: "Faulted",
    errors: [{ code: "PG1203", message: "Migration of database listdb failed.", details: [{ code: "23505", message }] }],
    output: [migrationOutput({ state: "FAILED", endedOn: iso(beganMs + 61_000) }), output, ...tables],
  };
};

const queued: Scenario = () => ({ state: "Queued", output: [], waitingFor: "no worker of this service has been heard of" });

export const LARGE_TABLE_COUNT = 5_000;

/** Thousands of tables, a few of which change from poll to poll. */
const large: Scenario = (elapsedMs) => {
  const tables = Array.from({ length: LARGE_TABLE_COUNT }, (_, index) => {
    const share = Math.max(0, Math.min(1, (2_000 + elapsedMs / 20 - index) / 200));
    const rowsEstimate = 1_000 + ((index * 7919) % 90_000);
    return table(`public.events_${String(index).padStart(4, "0")}`, {
      state: share === 1 ? "COMPLETED" : share > 0 ? "FULL_LOAD" : "BEFORE_LOAD",
      fullLoadStartedOn: share > 0 ? iso(beganMs + index * 100) : null,
      fullLoadEndedOn: share === 1 ? iso(beganMs + index * 100 + 4_000) : null,
      fullLoadTotalRows: Math.round(rowsEstimate * share),
      fullLoadTotalVolumeBytes: Math.round(rowsEstimate * 120 * share),
      rowsEstimate,
      bytesEstimate: rowsEstimate * 120,
    });
  });
  const count = (state: TableLevelOutput["state"]) => tables.filter((one) => one.state === state).length;
  const bytes = tables.reduce((sum, one) => sum + one.fullLoadTotalVolumeBytes, 0);
  const output = databaseOutput({
    databaseName: database,
    fullLoadCompletedTables: count("COMPLETED"),
    fullLoadLoadingTables: count("FULL_LOAD"),
    fullLoadQueuedTables: count("BEFORE_LOAD"),
    fullLoadBytes: bytes,
    fullLoadRows: Math.round(bytes / 120),
    fullLoadTotalBytesEstimate: tables.reduce((sum, one) => sum + one.bytesEstimate, 0),
  });
  return { state: "Running", output: [migrationOutput({}), output, ...tables] };
};

function table(qualifiedName: string, part: Partial<TableLevelOutput>): TableLevelOutput {
  const [schema = "public", name = ""] = qualifiedName.split(".");
  return tableOutput(database, name, { id: `or|${database}|${schema}|${name}`, schema, tableName: qualifiedName, ...part });
}

/** The migrations that the scripted service has, by task name. */
export const scenarios = {
  "migrate-listdb": loading,
  loading,
  ready,
  fenced,
  "cutting-over": cuttingOver,
  refused,
  complete,
  failed,
  queued,
  large,
} satisfies Record<string, Scenario>;
export type ScenarioName = keyof typeof scenarios;
