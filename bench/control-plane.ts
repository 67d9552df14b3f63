import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { type Page, type Task } from "../contracts/wire.ts";
import { openControlPlane } from "../functions/control-plane.ts";
import { taskIndexKey, taskKey, type TaskRow } from "../functions/store/tasks.ts";
import { readConfig } from "../functions/config.ts";
import { startPlane } from "../test/functions/fixtures/plane.ts";
import { connectBody, GROUP, makeService, project, restOf, SUBSCRIPTION, task, until } from "../test/functions/fixtures/rest.ts";
import { database, startWorker } from "../test/functions/fixtures/worker.ts";

// How fast the control plane answers as the tasks of one project grow in number: `npm run bench:control-plane`.
// The functions, the host and the broker are the real ones; tables are Azurite's, so the figures of Azure differ, their growth less so.

const { values } = parseArgs({
  options: { sizes: { type: "string", default: "100,1000,10000" }, repeat: { type: "string", default: "30" } },
});
const sizes = values.sizes.split(",").map(Number);
const repeat = Number(values.repeat);

const plane = await startPlane();
const rest = restOf(plane.url);
const worker = startWorker(plane.serviceBus);
const { store } = openControlPlane(
  readConfig({
    AUTH_MODE: "none",
    TablesConnection: plane.tables,
    ServiceBusConnection: plane.serviceBus,
    SECRETS_FILE_DIR: plane.secretsDir,
  }),
);

try {
  const rows: Record<string, string | number>[] = [];
  for (const size of sizes) {
    console.log(`${size} tasks …`);
    rows.push(await measure(size));
  }
  console.log(`\nMedian and, after the slash, 95th percentile of ${repeat} calls, in milliseconds:`);
  console.table(rows);
} finally {
  await worker.close();
  await plane.stop();
}

async function measure(size: number): Promise<Record<string, string | number>> {
  const service = `dms-bench-${size}`;
  await makeService(rest, service);
  await fill(service, size);
  const first = `${project(service)}/tasks`;
  const filtered = `${first}?taskType=GetUserTablesPostgreSql`;
  return {
    tasks: size,
    "GET task": await timed(() => rest.get(task(service, nameOf(Math.floor(Math.random() * size))))),
    "GET list, 1st page": await timed(() => rest.get(first)),
    "GET list, filtered": await timed(() => rest.get(filtered)),
    "list, all pages": await timed(() => readAll(first, size), 3),
    "PUT task": await timed(() => rest.put(task(service, `new-${randomUUID()}`), connectBody())),
    "10 PUTs at once": await timed(
      () => Promise.all(Array.from({ length: 10 }, () => rest.put(task(service, `new-${randomUUID()}`), connectBody()))),
      5,
    ),
    "report, until seen": await timed(reporting(await liveTask(service))),
  };
}

function nameOf(index: number): string {
  return `task-${String(index).padStart(6, "0")}`;
}

/** Tasks that have ended, as a project of a year has them; every tenth has another type. */
async function fill(service: string, size: number): Promise<void> {
  const made = await rest.put<Task>(task(service, "pattern"), connectBody());
  const pattern = (await store.tasks.get(taskKey(pathOf(service, "pattern"))))?.value;
  if (pattern === undefined) throw new Error(`${made.status} ${made.text}`);
  const tasks = Array.from({ length: size }, (_, index): TaskRow => ({
    ...pattern,
    path: pathOf(service, nameOf(index)),
    taskId: randomUUID(),
    taskType: index % 10 === 0 ? "GetUserTablesPostgreSql" : pattern.taskType,
    state: "Succeeded",
    announced: "Succeeded",
    endedOn: pattern.createdOn,
    secretNames: [],
    dispatch: "sent",
  }));
  await store.tasks.upsertAll(tasks.map((value) => ({ key: taskKey(value.path), value })));
}

function pathOf(service: string, name: string): TaskRow["path"] {
  return { subscriptionId: SUBSCRIPTION, resourceGroup: GROUP, service, project: "pg-online", task: name };
}

async function readAll(first: string, size: number): Promise<void> {
  let count = 0;
  for (let next: string | undefined = first; next !== undefined;) {
    const { body }: { body: Page<Task> } = await rest.get<Page<Task>>(next);
    count += body.value.length;
    next = body.nextLink;
  }
  if (count < size) throw new Error(`the list has ${count} of ${size} tasks`);
}

async function liveTask(service: string): Promise<{ path: string; taskId: string }> {
  const path = task(service, `live-${randomUUID()}`);
  const { taskId } = (await rest.put<Task>(path, connectBody())).body.properties;
  if ((await store.taskIndex.get(taskIndexKey(taskId))) === undefined) throw new Error("the task was not made");
  return { path, taskId };
}

/** From the sending of a report of progress to its row in the table. */
function reporting({ taskId }: { taskId: string }): () => Promise<void> {
  let sequence = 0;
  return async () => {
    sequence++;
    await worker.report(taskId, sequence, [database({ inserts: sequence })]);
    const filter = `PartitionKey eq '${taskId}'`;
    await until(async () => (await store.taskOutputs.list(filter)).some(({ value }) => value.stamp.sequence === sequence), "the report");
  };
}

async function timed(call: () => Promise<unknown>, times = repeat): Promise<string> {
  await call(); // the first one opens tables and links
  const durationsMs: number[] = [];
  for (let count = 0; count < times; count++) {
    const start = performance.now();
    await call();
    durationsMs.push(performance.now() - start);
  }
  durationsMs.sort((a, b) => a - b);
  const at = (part: number): string =>
    (durationsMs[Math.min(durationsMs.length - 1, Math.floor(durationsMs.length * part))] ?? 0).toFixed(0);
  return `${at(0.5)} / ${at(0.95)}`;
}
