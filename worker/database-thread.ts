import { parentPort, workerData } from "node:worker_threads";
import { requireSettings } from "../contracts/settings.ts";
import { type DatabaseJob, type FromDatabase, type ToDatabase } from "./database-job.ts";
import { createLogger } from "./log.ts";
import { migrateDatabase } from "./migration.ts";
import { Orders } from "./orders.ts";
import { ProgressBoard } from "./progress-board.ts";
import { serverFor } from "./secrets.ts";
import { LoadPace } from "./source/pace.ts";
import { tlsOf } from "./tls-settings.ts";

// The thread of one database: wires its messages to a migration, and ends with it.

/** Longer than any goodbye or attempt to connect takes. */
const LEFT_OPEN_MS_MAX = 20_000;

const port = parentPort;
if (!port) throw new Error("this file is the entry of a worker thread");
const job = workerData as DatabaseJob;
const { selected } = job;
const log = createLogger(job.logLevel, job.workerId).child({
  taskId: job.taskId,
  databaseName: selected.name,
  ...(job.traceId === undefined ? {} : { traceId: job.traceId }),
});
const tell = (message: FromDatabase): void => port.postMessage(message);

const orders = new Orders();
let resolveEndRecorded: () => void = () => undefined;
const endRecorded = new Promise<void>((resolve) => (resolveEndRecorded = resolve));

port.on("message", (message: ToDatabase) => {
  if (message.kind === "cutover") orders.cutOver(message);
  else if (message.kind === "reload") orders.reload(message);
  else if (message.kind === "cancel") orders.cancel();
  else if (message.kind === "stop") orders.stop();
  else resolveEndRecorded();
});

const board = new ProgressBoard({
  databaseName: selected.name,
  targetDatabaseName: selected.targetDatabaseName,
  send: (items) => tell({ kind: "items", items }),
  log,
  quietOffsetMs: Number.parseInt(job.taskId.slice(0, 8), 16),
  isTakenOver: job.epoch > 1,
});

const settings = requireSettings(selected);

await migrateDatabase({
  job,
  source: serverFor("source", tlsOf(job.source, selected.sourceSetting), job.secrets),
  target: serverFor("target", tlsOf(job.target, selected.targetSetting), job.secrets),
  settings,
  pace: new LoadPace(settings.fullLoadStreams, settings.maxSourceLatencyMs),
  ownership: { taskId: job.taskId, epoch: job.epoch },
  board,
  orders,
  signal: orders.signal,
  log,
  tell,
  endRecorded,
});
port.close();
setTimeout(endAnyway, LEFT_OPEN_MS_MAX).unref();

/** What somebody forgot to close must not keep the task from its end. */
function endAnyway(): void {
  log.error({ event: "database.thread.open", resources: process.getActiveResourcesInfo() }, "something was left open; ending the thread");
  process.exit(); // of this thread alone
}
