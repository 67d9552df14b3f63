import { type Attributes, type Meter, type ObservableGauge } from "@opentelemetry/api";
import { type DatabaseProgress } from "../contracts/reports.ts";

/** The latest figures of a database, and whose they are. */
interface Figures {
  readonly taskId: string;
  readonly progress: DatabaseProgress;
  /** The database is done with here: its figures are told once more and then forgotten. */
  readonly isLast: boolean;
}

interface Instrument {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly read: (progress: DatabaseProgress) => readonly { readonly value: number; readonly attributes?: Attributes }[];
}

/**
 * What is measured of a database. Rows, bytes and changes are totals of the migration, which go on from where they were when
 * another worker takes over: therefore gauges, since a counter would begin again with each worker.
 */
const instruments: readonly Instrument[] = [
  {
    name: "pgdms.load.rows",
    unit: "{row}",
    description: "Rows loaded so far.",
    read: ({ fullLoadRows }) => [{ value: fullLoadRows }],
  },
  { name: "pgdms.load.size", unit: "By", description: "Bytes loaded so far.", read: ({ fullLoadBytes }) => [{ value: fullLoadBytes }] },
  {
    name: "pgdms.load.size.estimate",
    unit: "By",
    description: "Size of all tables on the source, as its catalog has it.",
    read: ({ fullLoadTotalBytesEstimate }) => [{ value: fullLoadTotalBytesEstimate }],
  },
  {
    name: "pgdms.load.tables",
    unit: "{table}",
    description: "Tables by the state of their load.",
    read: (progress) => [
      { value: progress.fullLoadQueuedTables, attributes: { "pgdms.table.state": "queued" } },
      { value: progress.fullLoadLoadingTables, attributes: { "pgdms.table.state": "loading" } },
      { value: progress.fullLoadCompletedTables, attributes: { "pgdms.table.state": "completed" } },
      { value: progress.fullLoadErroredTables, attributes: { "pgdms.table.state": "errored" } },
    ],
  },
  {
    name: "pgdms.changes.applied",
    unit: "{change}",
    description: "Changes of the source applied so far.",
    read: ({ inserts, updates, deletes }) => [
      { value: inserts, attributes: { "pgdms.change": "insert" } },
      { value: updates, attributes: { "pgdms.change": "update" } },
      { value: deletes, attributes: { "pgdms.change": "delete" } },
    ],
  },
  {
    name: "pgdms.changes.pending",
    unit: "{change}",
    description: "Changes received and not yet applied.",
    read: ({ pendingChanges }) => [{ value: pendingChanges }],
  },
  {
    name: "pgdms.lag.time",
    unit: "s",
    description: "From the commit on the source to the commit on the target.",
    read: ({ latencySeconds }) => [{ value: latencySeconds }],
  },
  {
    name: "pgdms.lag.size",
    unit: "By",
    description: "WAL between the source's end and what is durable on the target.",
    read: ({ lagBytes }) => [{ value: lagBytes }],
  },
  {
    name: "pgdms.wal.held",
    unit: "By",
    description: "WAL that the slot keeps on the source.",
    read: ({ walHeldBytes }) => [{ value: walHeldBytes }],
  },
  {
    name: "pgdms.wal.limit",
    unit: "By",
    description: "WAL that the slot may keep on the source before there is harm, where a limit is known.",
    read: ({ walLimitBytes }) => (walLimitBytes === null ? [] : [{ value: walLimitBytes }]),
  },
  {
    name: "pgdms.snapshot.age",
    unit: "s",
    description: "Age of the source's snapshot that the load reads; vacuum on the source waits for it.",
    read: ({ snapshotAgeSeconds }) => (snapshotAgeSeconds === null ? [] : [{ value: snapshotAgeSeconds }]),
  },
];

/** For those who show them. */
export const figureNames: readonly string[] = instruments.map(({ name }) => name);

const latest = new Map<string, Figures>();

/** Keeps the figures of a database for the next look; nobody looks while telemetry is off. */
export function showFigures(taskId: string, progress: DatabaseProgress): void {
  latest.set(`${taskId} ${progress.databaseName}`, { taskId, progress, isLast: false });
}

/** The database is done with on this worker. */
export function forgetFigures(taskId: string, databaseName: string): void {
  const key = `${taskId} ${databaseName}`;
  const known = latest.get(key);
  if (!isObserved) latest.delete(key);
  else if (known) latest.set(key, { ...known, isLast: true });
}

let isObserved = false;

/** Lets the meter look at the figures whenever it exports. */
export function observeFigures(meter: Meter, serviceName: string): void {
  isObserved = true;
  const gauges = new Map<Instrument, ObservableGauge>(
    instruments.map((each) => [each, meter.createObservableGauge(each.name, { unit: each.unit, description: each.description })]),
  );
  meter.addBatchObservableCallback(
    (observer) => {
      for (const [key, { taskId, progress, isLast }] of latest) {
        const whose = { "pgdms.service": serviceName, "pgdms.task.id": taskId, "pgdms.database": progress.databaseName };
        for (const [{ read }, gauge] of gauges)
          for (const { value, attributes } of read(progress)) observer.observe(gauge, value, { ...whose, ...attributes });
        if (isLast) latest.delete(key);
      }
    },
    [...gauges.values()],
  );
}
