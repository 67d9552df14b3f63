import { randomUUID } from "node:crypto";
import { createServer, connect as connectTo, type AddressInfo, type Socket } from "node:net";
import { expect } from "vitest";
import { type ReportedError } from "../../contracts/errors.ts";
import { type DatabaseProgress, type Finding, type ReportItem, type TableProgress } from "../../contracts/reports.ts";
import { requireSettings, type SettingMaps } from "../../contracts/settings.ts";
import { type DatabaseEnd, type FromDatabase } from "../../worker/database-job.ts";
import { createLogger } from "../../worker/log.ts";
import { migrateDatabase } from "../../worker/migration.ts";
import { Orders } from "../../worker/orders.ts";
import { ProgressBoard } from "../../worker/progress-board.ts";
import { LoadPace } from "../../worker/source/pace.ts";
import { type TestDatabase } from "../setup/databases.ts";

/** One database's migration, run here without threads and broker: everything that the worker does on both servers. */
export interface RunningMigration {
  readonly taskId: string;
  readonly orders: Orders;
  /** Codes of the findings in the order in which they were raised ("+") and taken back ("-"). */
  readonly told: readonly string[];
  readonly findings: readonly Finding[];
  /** What was reported last of the database. */
  database(): DatabaseProgress | undefined;
  /** Every report of the database so far. */
  readonly reports: readonly DatabaseProgress[];
  readonly until: (what: string, isSo: (database: DatabaseProgress) => boolean) => Promise<void>;
  /** What was reported last of a table of the schema public. */
  readonly table: (name: string) => TableProgress | undefined;
  /** The findings of a code that were not taken back. */
  open(code: string): readonly Finding[];
  /** Asks for the cutover. @returns what stood in the way. */
  readonly cutOver: () => Promise<readonly ReportedError[]>;
  /** Asks for tables to be loaded anew. @returns what stood in the way. */
  readonly reload: (...tableNames: string[]) => Promise<readonly ReportedError[]>;
  readonly ended: Promise<{ readonly end: DatabaseEnd; readonly codes: readonly string[] }>;
  /** How it told that it ended, before it was done with cleaning up. */
  toldEnd(): DatabaseEnd | undefined;
}

/** As when its worker ends at a boundary: the migration stays as it is, and its slot is read by nobody any more. */
export async function handBack({ orders }: RunningMigration, source: TestDatabase): Promise<void> {
  orders.stop();
  const isRead = async (): Promise<number | null> =>
    (await source.query("SELECT FROM pg_replication_slots WHERE active AND database = current_database()")).rowCount;
  await expect.poll(isRead).toBe(0);
}

/** What a worker that takes over is given of the one before. */
export interface TakenOver {
  readonly taskId: string;
  readonly epoch: number;
  /** How the database ended, when that was written down. */
  readonly ended: DatabaseEnd | undefined;
  /** Of a task that was restarted. */
  readonly earlierTaskIds?: readonly string[];
}

export function runMigration(
  { source, target }: { readonly source: TestDatabase; readonly target: TestDatabase },
  setting: SettingMaps = {},
  { taskId, epoch, ended: endedAs, earlierTaskIds = [] }: TakenOver = { taskId: randomUUID(), epoch: 1, ended: undefined },
): RunningMigration {
  const orders = new Orders();
  const log = createLogger(process.env["TEST_LOG_LEVEL"] ?? "silent", "test");
  const told: string[] = [];
  const findings: Finding[] = [];
  const reports: DatabaseProgress[] = [];
  const tables = new Map<string, TableProgress>();
  const waiting = new Map<string, (errors: readonly ReportedError[]) => void>();
  const take = (items: readonly ReportItem[]): void => {
    for (const item of items) {
      if (item.kind === "database") reports.push(item);
      if (item.kind === "table") tables.set(item.name, item);
      if (item.kind !== "finding") continue;
      findings.push(item);
      told.push(`${item.resolved ? "-" : "+"}${item.error.code}`);
    }
  };
  const maps = {
    migrationSetting: setting.migrationSetting ?? {},
    sourceSetting: setting.sourceSetting ?? {},
    targetSetting: setting.targetSetting ?? {},
  };
  const settings = requireSettings(maps);
  let toldEnd: DatabaseEnd | undefined;
  let resolveEndRecorded: () => void = () => undefined;
  let resolveEnded: (ended: Awaited<RunningMigration["ended"]>) => void = () => undefined;
  const ended = new Promise<Awaited<RunningMigration["ended"]>>((resolve) => (resolveEnded = resolve));
  const tell = (message: FromDatabase): void => {
    if (message.kind === "commandDone") waiting.get(message.commandId)?.(message.errors);
    if (message.kind !== "ended") return;
    toldEnd = message.end;
    resolveEndRecorded();
    void migration.then(() => resolveEnded({ end: message.end, codes: message.errors.map(({ code }) => code) }));
  };
  const migration = migrateDatabase({
    job: {
      taskId,
      epoch,
      workerId: "test",
      logLevel: "silent",
      source: source.reference,
      target: target.reference,
      selected: { name: source.name, targetDatabaseName: target.name, selectedTables: [], ...maps },
      earlierTaskIds,
      secrets: {},
      pgDumpPath: undefined,
      ended: endedAs,
    },
    source: source.server,
    target: target.server,
    settings,
    pace: new LoadPace(settings.fullLoadStreams, settings.maxSourceLatencyMs),
    ownership: { taskId, epoch },
    board: new ProgressBoard({ databaseName: source.name, targetDatabaseName: target.name, send: take, log, isTakenOver: epoch > 1 }),
    orders,
    signal: orders.signal,
    log,
    tell,
    endRecorded: new Promise<void>((resolve) => (resolveEndRecorded = resolve)),
  });
  const database = (): DatabaseProgress | undefined => reports.at(-1);
  const outcome = (order: (commandId: string) => void): Promise<readonly ReportedError[]> => {
    const commandId = randomUUID();
    const done = new Promise<readonly ReportedError[]>((resolve) => waiting.set(commandId, resolve));
    order(commandId);
    return done;
  };
  return {
    taskId,
    orders,
    told,
    findings,
    reports,
    database,
    table: (name) => tables.get(name),
    open: (code) => findings.filter((finding, n) => finding.error.code === code && isLast(findings, n) && !finding.resolved),
    cutOver: () => outcome((commandId) => orders.cutOver({ commandId, askedOn: new Date().toISOString() })),
    reload: (...tableNames) => outcome((commandId) => orders.reload({ commandId, tableNames })),
    until: (what, isSo) =>
      expect
        .poll(
          () => {
            const now = database();
            return now !== undefined && isSo(now) ? what : { state: now?.state, step: now?.step, held: now?.walHeldBytes, told };
          },
          { timeout: 60_000, interval: 50 },
        )
        .toBe(what),
    ended,
    toldEnd: () => toldEnd,
  };
}

/** Whether nothing was told later of what a finding is about. */
function isLast(findings: readonly Finding[], n: number): boolean {
  const [finding, ...later] = findings.slice(n);
  return !later.some(({ error, subject }) => error.code === finding?.error.code && subject === finding.subject);
}

/** A way to a server that can be taken away. */
export interface Line {
  readonly port: number;
  /** Every connection breaks, and no new one is taken. */
  cut(): Promise<void>;
  mend(): Promise<void>;
}

export async function lineTo(port: number): Promise<Line> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connectTo(port, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => undefined).on("close", () => other.destroy());
      socket.pipe(other);
    }
  });
  const listen = (on: number) => new Promise<void>((resolve) => server.listen(on, "127.0.0.1", resolve));
  await listen(0);
  const { port: ownPort } = server.address() as AddressInfo;
  return {
    port: ownPort,
    cut: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    mend: () => listen(ownPort),
  };
}

/** The database by another way. */
export const through = (database: TestDatabase, { port }: Pick<Line, "port">): TestDatabase => {
  const reference = { ...database.reference, port };
  return { ...database, reference, server: { ...database.server, connection: reference } };
};
