import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ReportItem } from "../../contracts/reports.ts";
import { type Task } from "../../contracts/wire.ts";
import { type EventType } from "../../functions/events/event.ts";
import { eventsOfItem, type ReportContext } from "../../functions/events/report-events.ts";
import { type OutputRow } from "../../functions/store/task-outputs.ts";
import { startAutomation, type Automation } from "./fixtures/bus.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import { makeService, migrateBody, restOf, service, task, type Rest } from "./fixtures/rest.ts";
import { database, startWorker, table, type FakeWorker } from "./fixtures/worker.ts";

describe("told on the topic", () => {
  let plane: Plane;
  let rest: Rest;
  let automation: Automation;
  let worker: FakeWorker;
  beforeAll(async () => {
    plane = await startPlane();
    rest = restOf(plane.url);
    automation = startAutomation(plane.serviceBus);
    worker = startWorker(plane.serviceBus);
  }, 150_000);
  afterAll(async () => {
    await automation.close();
    await worker.close();
    await plane.stop();
  });

  const start = async (serviceName: string): Promise<string> => {
    await makeService(rest, serviceName);
    const made = await rest.put<Task>(task(serviceName, "mig"), migrateBody());
    return made.body.properties.taskId;
  };
  const typesOf = (part: string): EventType[] => automation.events.filter(({ subject }) => subject.includes(part)).map(({ type }) => type);

  test("a migration from its start to its end, each fact once and in order, and a service from its making to its deletion", async () => {
    const taskId = await start("ev-story");
    await worker.report(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "RUNNING" })]);
    await worker.report(taskId, 2, [database({ state: "READY_TO_COMPLETE", pendingChanges: 0, latencySeconds: 0.5 })]);
    const ready = await automation.event("pgdms.database.readyToCutover", ({ data }) => data.taskId === taskId);
    expect(ready).toMatchObject({
      specversion: "1.0",
      source: service("ev-story"),
      subject: `${task("ev-story", "mig")}/databases/listdb`,
      datacontenttype: "application/json",
      severity: "information",
      data: { resourceId: task("ev-story", "mig"), databaseName: "listdb", pendingChanges: 0, latencySeconds: 0.5 },
    });
    const command = await rest.post<{ commandId: string }>(`${task("ev-story", "mig")}/command`, {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName: "listdb" },
    });
    const { commandId } = command.body;
    const last: ReportItem[] = [
      database({ state: "COMPLETE", endedOn: "2026-03-01T11:00:00Z" }),
      { kind: "command", commandId, state: "Succeeded", errors: [] },
      { kind: "task", event: "succeeded", errors: [] },
    ];
    await worker.report(taskId, 3, [database({ state: "COMPLETING" })]);
    await worker.report(taskId, 4, last);
    await worker.report(taskId, 4, last); // it comes twice
    await worker.report(taskId, 2, [database({ state: "READY_TO_COMPLETE" })]); // and one comes late
    await automation.event("pgdms.task.stateChanged", ({ data }) => data.taskId === taskId && data.state === "Succeeded");
    expect((await rest.send("DELETE", task("ev-story", "mig"))).status).toBe(200);
    expect((await rest.post(`${service("ev-story")}/stop`)).status).toBe(202);
    expect((await rest.send("DELETE", service("ev-story"))).status).toBe(200);
    await automation.event("pgdms.service.deleted", ({ subject }) => subject === service("ev-story"));
    const states = automation.events.flatMap((event) =>
      event.subject.includes("ev-story") && "state" in event.data ? [`${event.data.previousState} ${event.data.state}`] : [],
    );
    expect(states.sort()).toEqual(
      [
        ...["null Succeeded", "Succeeded Stopped"],
        ...["null Queued", "Queued Running", "Running Succeeded"],
        ...["null RUNNING", "RUNNING READY_TO_COMPLETE", "READY_TO_COMPLETE COMPLETING", "COMPLETING COMPLETE"],
      ].sort(),
    );
    expect(typesOf("ev-story").filter((type) => !type.endsWith("stateChanged"))).toEqual([
      "pgdms.database.readyToCutover",
      "pgdms.database.cutoverFinished",
      "pgdms.task.deleted",
      "pgdms.service.deleted",
    ]);
    const finished = await automation.event("pgdms.database.cutoverFinished", ({ data }) => data.commandId === commandId);
    expect(finished.data).toMatchObject({ succeeded: true, errors: [] });
    const ids = automation.events.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const event of automation.events)
      expect(automation.properties.get(event.id)).toMatchObject({
        type: event.type,
        subject: event.subject,
        severity: event.severity,
        label: event.type,
        contentType: expect.stringContaining("application/cloudevents+json") as string,
      });
  });

  test("a failure has severity error, and so has a cutover that was refused; warnings are told when they rise and when they are over", async () => {
    const taskId = await start("ev-trouble");
    const warning = (resolved: boolean): ReportItem => ({
      kind: "finding",
      databaseName: "listdb",
      subject: "slot",
      error: { code: "PG1215", severity: "warning", message: "It broke." },
      since: "2026-03-01T10:00:00Z",
      resolved,
    });
    const suspended = table("users", { state: "ERROR", error: { code: "PG1213", severity: "error", message: "A check failed." } });
    await worker.report(taskId, 1, [{ kind: "task", event: "started", errors: [] }, warning(false), suspended]);
    await worker.report(taskId, 2, [warning(false), suspended, database({ walHeldBytes: 60 * 1024 ** 3 })]);
    await worker.report(taskId, 3, [warning(true), database({ walHeldBytes: 40 * 1024 ** 3, state: "READY_TO_COMPLETE" })]);
    await worker.report(taskId, 4, [database({ walHeldBytes: 1024 ** 3, state: "READY_TO_COMPLETE" })]);
    const ours = (status: string, code: string) => (event: { data: { taskId: string; status: string; error: { code: string } } }) =>
      event.data.taskId === taskId && event.data.status === status && event.data.error.code === code;
    expect((await automation.event("pgdms.warning", ours("resolved", "PG1218"))).severity).toBe("information");
    expect((await automation.event("pgdms.warning", ours("raised", "PG1218"))).data.error.message).toContain("60.0 GiB");
    expect((await automation.event("pgdms.warning", ours("raised", "PG1215"))).severity).toBe("warning");
    await automation.event("pgdms.warning", ours("resolved", "PG1215"));
    expect((await automation.event("pgdms.error", ours("raised", "PG1213"))).data).toMatchObject({ about: "public.users" });
    const command = await rest.post<{ commandId: string }>(`${task("ev-trouble", "mig")}/command`, {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName: "listdb" },
    });
    const errors = [{ code: "PG1208", severity: "error" as const, message: "Tables differ." }];
    await worker.report(taskId, 5, [
      { kind: "command", commandId: command.body.commandId, state: "Failed", errors },
      { kind: "task", event: "failed", errors },
    ]);
    const failed = await automation.event("pgdms.task.stateChanged", ({ data }) => data.taskId === taskId && data.state === "Failed");
    expect(failed).toMatchObject({ severity: "error", data: { errors } });
    const cutover = await automation.event("pgdms.database.cutoverFinished", ({ data }) => data.taskId === taskId);
    expect(cutover).toMatchObject({ severity: "error", data: { succeeded: false, errors } });
    expect(typesOf("ev-trouble").filter((type) => type === "pgdms.warning" || type === "pgdms.error")).toHaveLength(5);
  });
});

describe("the difference that a report makes", () => {
  const context: ReportContext = {
    task: {
      taskId: randomUUID(),
      path: { subscriptionId: "s", resourceGroup: "g", service: "dms", project: "pp", task: "tt" },
      traceparent: "00-a-b-01",
    },
    stamp: { epoch: 2, sequence: 7 },
    sentAt: "2026-03-01T10:00:00Z",
    levels: { lagSeconds: 100, walHeldBytes: 10_000 },
  };
  const told = (before: OutputRow | undefined, item: ReportItem) => eventsOfItem(context, before, item, 3);
  const row = (item: ReportItem, above?: OutputRow["above"]): OutputRow => ({
    stamp: { epoch: 1, sequence: 1 },
    item,
    ...(above ? { above } : {}),
  });

  test("is nothing when only figures moved", () => {
    expect(told(row(database()), database({ inserts: 5 }))).toEqual({ events: [], above: [] });
  });

  test("has the same ids when the report comes again, and other ids for other items", () => {
    const once = told(undefined, database({ state: "READY_TO_COMPLETE" })).events.map(({ id }) => id);
    expect(told(undefined, database({ state: "READY_TO_COMPLETE" })).events.map(({ id }) => id)).toEqual(once);
    expect(once).toEqual([`${context.task.taskId}/2.7.3/state`, `${context.task.taskId}/2.7.3/ready`]);
  });

  test("names a database with odd characters safely, and hands the trace on", () => {
    const [event] = told(undefined, database({ databaseName: "a/b ü" })).events;
    expect(event).toMatchObject({ subject: expect.stringMatching(/\/databases\/a%2Fb%20%C3%BC$/) as string, traceparent: "00-a-b-01" });
  });

  test("warns of a lag once while it swings around its level, and says when it is over", () => {
    const at = (latencySeconds: number) => database({ latencySeconds, initializationCompleted: true });
    let known: OutputRow | undefined = row(at(0));
    const story = [50, 120, 90, 110, 51, 49, 99, 100].map((seconds) => {
      const { events, above } = told(known, at(seconds));
      known = row(at(seconds), [...above]);
      return events.map(({ data }) => ("status" in data ? data.status : "?")).join();
    });
    expect(story).toEqual(["", "raised", "", "", "", "resolved", "", "raised"]);
  });

  test("calls no load a lag, and lets a warning end with its database", () => {
    expect(told(row(database()), database({ latencySeconds: 1e6, initializationCompleted: false })).events).toEqual([]);
    const ended = told(
      row(database({ walHeldBytes: 50_000 }), ["walHeld"]),
      database({ walHeldBytes: 50_000, endedOn: "2026-03-01T10:00:00Z" }),
    );
    expect(ended.events).toMatchObject([{ type: "pgdms.warning", data: { status: "resolved" } }]);
  });

  test("is not told of what is mere information, or over before it was told", () => {
    const finding = (severity: "information" | "warning", resolved: boolean): ReportItem => ({
      kind: "finding",
      subject: "x",
      error: { code: "PG1146", severity, message: "m" },
      since: "2026-03-01T10:00:00Z",
      resolved,
    });
    expect(told(undefined, finding("information", false)).events).toEqual([]);
    expect(told(undefined, finding("warning", true)).events).toEqual([]);
    expect(told(undefined, finding("warning", false)).events).toHaveLength(1);
    expect(told(row(finding("warning", false)), finding("warning", false)).events).toEqual([]);
    expect(told(row(finding("warning", true)), finding("warning", false)).events).toHaveLength(1);
  });
});
