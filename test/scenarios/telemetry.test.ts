import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "./otlp-receiver.ts";
import { type Migration, World } from "./world.ts";

const HOOK_MS = 150_000;
const WAIT_MS_MAX = 20_000;

const SCHEMA = `
  CREATE TABLE lists (id int PRIMARY KEY, title text NOT NULL);
  CREATE TABLE items (id int PRIMARY KEY, list_id int NOT NULL REFERENCES lists, note text);`;
const FILL = `
  INSERT INTO lists SELECT g, 'list ' || g FROM generate_series(1, 100) g;
  INSERT INTO items SELECT g, 1 + g % 100, 'secret note ' || g FROM generate_series(1, 20000) g;`;

type Pair = Awaited<ReturnType<typeof createPair>>;

/** Spans come in batches, seconds later: waits until the wanted one is here. */
async function received(receiver: OtlpReceiver, isWanted: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const found = receiver.spans.find(isWanted);
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`no such span, only: ${receiver.spans.map(({ name }) => name).join(", ")}`);
    await sleep(100);
  }
}

const ofTask = (spans: readonly ReceivedSpan[], traceId: string): ReceivedSpan[] => spans.filter((span) => span.traceId === traceId);

/** Every span but one has its parent among them. */
function expectOneTree(spans: readonly ReceivedSpan[]) {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const withoutParent = spans.filter(({ parentSpanId }) => !parentSpanId || !ids.has(parentSpanId));
  expect(withoutParent.map(({ name }) => name)).toEqual(["PUT /" + ROUTE]);
  expect(ids.size).toBe(spans.length);
}

const ROUTE =
  "subscriptions/{subscriptionId}/resourceGroups/{resourceGroup}/providers/Microsoft.DataMigration/services/{serviceName}/projects/{projectName}/tasks/{taskName}";

describe("telemetry of migrations, sent by the real exporters", () => {
  let receiver: OtlpReceiver;
  let world: World;
  let pair: Pair;
  let migration: Migration;

  beforeAll(async () => {
    receiver = await startOtlpReceiver();
    const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_BSP_SCHEDULE_DELAY: "200", OTEL_METRIC_EXPORT_INTERVAL: "500" };
    [world, pair] = await Promise.all([World.start({ workers: 1, workerSettings: settings, functionsSettings: settings }), createPair()]);
    await pair.source.query(SCHEMA + FILL);
    migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await pair.source.query("UPDATE lists SET title = 'another' WHERE id <= 10; DELETE FROM items WHERE id = 1");
    await migration.until(({ output }) => output.some((item) => Number(item["appliedChanges"]) >= 11));
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
  }, HOOK_MS);
  afterAll(async () => {
    await world.stop();
    await receiver.stop();
    await pair.drop();
  }, HOOK_MS);

  test("one migration is one tree: from the request over the message to the worker's phases, and back to the control plane", async () => {
    const taken = await received(receiver, ({ name }) => name === "take task");
    const end = ({ name, traceId, attributes }: ReceivedSpan) =>
      name === "take report" && traceId === taken.traceId && String(attributes["pgdms.report.events"]).includes("succeeded");
    await received(receiver, end);
    await received(receiver, ({ name }) => name === "clean up");
    const spans = ofTask(receiver.spans, taken.traceId);
    expectOneTree(spans);
    const path = [...ancestors(spans, "full load")].map(({ service, name }) => `${service}: ${name}`);
    expect(path).toEqual([
      "pgdms-worker: full load",
      "pgdms-worker: migrate database",
      "pgdms-worker: take task",
      "pgdms-control-plane: send run",
      `pgdms-control-plane: PUT /${ROUTE}`,
    ]);
    const names = spans.map(({ name }) => name);
    for (const phase of ["validate", "prepare", "full load", "catch up", "incremental sync", "cutover", "clean up"])
      expect(names.filter((name) => name === phase)).toHaveLength(1);
    expect(names).toContain("cutover: drain pending changes");
    const tables = spans.filter(({ name }) => name === "load table").map(({ attributes }) => attributes);
    expect(tables.map((each) => [each["pgdms.table"], each["pgdms.rows"]]).sort()).toEqual([
      ["items", 20000],
      ["lists", 100],
    ]);
  });

  test("the cutover is linked to the request that asked for it, which has a trace of its own", async () => {
    const cutover = await received(receiver, ({ name }) => name === "cutover");
    const [link] = cutover.links;
    const sent = await received(receiver, ({ spanId }) => spanId === link?.spanId);
    expect([sent.name, sent.traceId]).toEqual(["send cutover", link?.traceId]);
    expect(sent.traceId).not.toBe(cutover.traceId);
  });

  test("rows, bytes, changes, lag and the age of reports are measured, with the database's name", () => {
    const last = (metric: string, attributes: Record<string, string> = {}) =>
      receiver.points.findLast(
        (point) => point.metric === metric && Object.entries(attributes).every(([k, v]) => point.attributes[k] === v),
      );
    expect(last("pgdms.load.rows")).toMatchObject({
      value: 20100,
      attributes: { "pgdms.database": pair.source.name, "pgdms.service": "dms-local" },
    });
    expect(last("pgdms.load.size")?.value).toBeGreaterThan(100_000);
    expect(last("pgdms.load.tables", { "pgdms.table.state": "completed" })?.value).toBe(2);
    expect(last("pgdms.changes.applied", { "pgdms.change": "update" })?.value).toBe(10);
    expect(last("pgdms.changes.applied", { "pgdms.change": "delete" })?.value).toBe(1);
    for (const [metric, unit] of [
      ["pgdms.lag.time", "s"],
      ["pgdms.lag.size", "By"],
      ["pgdms.wal.held", "By"],
    ])
      expect(last(metric ?? "")?.unit).toBe(unit);
    expect(last("pgdms.report.age")).toMatchObject({ service: "pgdms-control-plane", unit: "s" });
    expect(last("pgdms.report.age")?.value).toBeGreaterThan(3);
  });

  test("neither values of rows nor addresses of servers leave in telemetry", () => {
    const everything = JSON.stringify([receiver.spans, receiver.points]);
    expect(everything).toContain(pair.source.name);
    expect(everything).not.toContain("secret note");
    expect(everything).not.toContain(String(pair.source.port));
  });

  test("lines of the worker's log name the task, the database and the trace", async () => {
    const taken = await received(receiver, ({ name }) => name === "take task");
    const [worker] = world.environment.workers;
    const lines = readFileSync(worker?.logFile ?? "", "utf8").split("\n");
    const phases = lines
      .filter((line) => line.includes('"event":"phase.ended"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(phases.find(({ phase }) => phase === "full load")).toMatchObject({
      taskId: taken.attributes["pgdms.task.id"],
      databaseName: pair.source.name,
      traceId: taken.traceId,
    });
  });

  test("lines of the control plane's log name the task, its service and its state", async () => {
    const taken = await received(receiver, ({ name }) => name === "take task");
    const [worker] = world.environment.workers;
    const log = readFileSync(join(dirname(worker?.logFile ?? ""), "functions.log"), "utf8");
    const states = [...log.matchAll(/\{"event":"task\.state".*\}/g)].map(([line]) => JSON.parse(line) as Record<string, unknown>);
    const taskId = taken.attributes["pgdms.task.id"];
    expect(states.filter((line) => line["taskId"] === taskId).map(({ state }) => state)).toEqual(["Running", "Succeeded"]);
    expect(states[0]).toMatchObject({ service: worker?.serviceName, msg: "the state of a task" });
  });

  test("after a SIGKILL the next worker goes on in the same tree", async () => {
    const other = await createPair();
    try {
      await other.source.query(SCHEMA + FILL);
      const resumed = await world.migrate([other], { migrateSchema: "true" });
      await resumed.reaches(other.source.name, "READY_TO_COMPLETE");
      const first = await received(
        receiver,
        ({ name, attributes }) => name === "catch up" && attributes["pgdms.database"] === other.source.name,
      );
      const [worker] = world.environment.workers;
      await world.environment.killWorker(worker?.workerId ?? "", "SIGKILL");
      await world.environment.startWorker();
      await received(
        receiver,
        ({ name, traceId, attributes }) => name === "take task" && traceId === first.traceId && attributes["pgdms.epoch"] === 2,
      );
      await resumed.cancel();
      await resumed.ended("Canceled");
      await received(receiver, ({ name, traceId }) => name === "clean up" && traceId === first.traceId);
      const spans = ofTask(receiver.spans, first.traceId);
      expectOneTree(spans);
      expect(spans.filter(({ name }) => name === "take task").map(({ attributes }) => attributes["pgdms.epoch"])).toEqual([1, 2]);
    } finally {
      await other.drop();
    }
  }, 120_000);
});

/** A span and what it hangs on, up to the root. */
function* ancestors(spans: readonly ReceivedSpan[], name: string): Generator<ReceivedSpan> {
  for (let span = spans.find((each) => each.name === name); span;) {
    yield span;
    const { parentSpanId } = span;
    span = spans.find(({ spanId }) => spanId === parentSpanId);
  }
}
