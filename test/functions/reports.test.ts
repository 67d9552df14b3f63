import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CommandView,
  type DatabaseLevelOutput,
  type MigrationLevelOutput,
  type ServiceStatus,
  type TableLevelOutput,
  type Task,
} from "../../contracts/wire.ts";
import { reported } from "../../contracts/errors.ts";
import { type ReportItem } from "../../contracts/reports.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import { connectBody, errorOf, makeService, migrateBody, restOf, service, task, until, type Reply, type Rest } from "./fixtures/rest.ts";
import { database, reportMessage, startWorker, table, type FakeWorker } from "./fixtures/worker.ts";

const SERVICE = "dms-reports";
let plane: Plane;
let rest: Rest;
let worker: FakeWorker;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  worker = startWorker(plane.serviceBus);
  await makeService(rest, SERVICE);
});
afterAll(async () => {
  await worker.close();
  await plane.stop();
});

async function start(name: string, body: unknown = migrateBody()): Promise<string> {
  const reply = await rest.put<Task>(task(SERVICE, name), body);
  expect(reply.status).toBe(201);
  return reply.body.properties.taskId;
}
const read = async (name: string): Promise<Task> => (await rest.get<Task>(task(SERVICE, name), "?$expand=output,command")).body;
const cutOver = (name: string, databaseName = "listdb", more: object = {}): Promise<Reply<CommandView>> =>
  rest.post(`${task(SERVICE, name)}/command`, { commandType: "Migrate.Sync.Complete.Database", input: { databaseName, ...more } });
const databaseOf = ({ properties }: Task): DatabaseLevelOutput | undefined =>
  properties.output?.find((item): item is DatabaseLevelOutput => "resultType" in item && item.resultType === "DatabaseLevelOutput");

/** Hands a report straight to the function, so that the test goes on when it has been folded. */
const fold = (taskId: string, sequence: number, items: readonly ReportItem[], epoch = 1): Promise<void> =>
  plane.host.deliver("reports", { body: JSON.stringify(reportMessage(taskId, sequence, items, epoch)), sessionId: taskId });

describe("a migration's life", () => {
  test("goes from Queued to Succeeded as its worker reports over the broker, and its cutover is a command", async () => {
    const taskId = await start("life");
    await worker.commands(SERVICE, taskId, 1);
    await worker.report(taskId, 1, [
      { kind: "task", event: "started", errors: [] },
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
      table("list_items", { state: "FULL_LOAD", fullLoadEndedOn: null }),
    ]);
    const running = await until(async () => {
      const now = await read("life");
      return now.properties.state === "Running" && now;
    }, "Running");
    expect(running.properties.output?.map((item) => item.id)).toEqual([
      taskId,
      "db|listdb",
      "or|listdb|public|list_items",
      "or|listdb|public|users",
    ]);

    const early = await cutOver("life");
    expect(early.status).toBe(409);
    expect(errorOf(early).message).toContain("its migrationState is RUNNING");

    await worker.report(taskId, 2, [
      database({ state: "READY_TO_COMPLETE", pendingChanges: 0, inserts: 3, initializationCompleted: true }),
    ]);
    await until(async () => databaseOf(await read("life"))?.migrationState === "READY_TO_COMPLETE", "READY_TO_COMPLETE");
    const accepted = await cutOver("life");
    expect(accepted.status).toBe(200);
    expect(accepted.body).toMatchObject({
      commandType: "Migrate.Sync.Complete.Database",
      state: "Accepted",
      input: { databaseName: "listdb" },
    });
    expect((await cutOver("life")).body).toEqual(accepted.body);
    const commands = await worker.commands(SERVICE, taskId, 1);
    expect(commands).toMatchObject([{ type: "cutover", commandId: accepted.body.commandId, databaseName: "listdb" }]);

    const commandId = accepted.body.commandId ?? "";
    await worker.report(taskId, 3, [database({ state: "COMPLETING" }), { kind: "command", commandId, state: "Running", errors: [] }]);
    await until(async () => (await read("life")).properties.commands?.[0]?.state === "Running", "the command to run");
    expect((await cutOver("life")).body).toMatchObject({ commandId, state: "Running" });
    await worker.report(taskId, 4, [
      database({ state: "COMPLETE", endedOn: "2026-03-01T10:21:05Z" }),
      { kind: "command", commandId, state: "Succeeded", errors: [] },
      { kind: "task", event: "succeeded", errors: [] },
    ]);
    await until(async () => (await read("life")).properties.state === "Succeeded", "Succeeded");
    const done = await read("life");
    expect(done.properties.commands).toEqual([
      {
        commandType: "Migrate.Sync.Complete.Database",
        commandId,
        state: "Succeeded",
        input: { databaseName: "listdb" },
        output: { id: `${taskId}|listdb`, errors: [] },
      },
    ]);
    expect((done.properties.output?.[0] as MigrationLevelOutput).state).toBe("COMPLETE");
    await until(async () => !(await plane.secretFiles()).some(({ name }) => name.includes(taskId)), "the secrets to go");
  });

  test("a refused cutover may be asked for again", async () => {
    const taskId = await start("refused");
    await fold(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]);
    const first = (await cutOver("refused")).body;
    const errors = [{ code: "PG1208", severity: "error" as const, message: "Source and target differ." }];
    await fold(taskId, 2, [
      database({ state: "READY_TO_COMPLETE" }),
      { kind: "command", commandId: first.commandId ?? "", state: "Failed", errors },
    ]);
    const second = (await cutOver("refused")).body;
    expect(second).toMatchObject({ state: "Accepted" });
    expect(second.commandId).not.toBe(first.commandId);
    const { commands } = (await read("refused")).properties;
    expect(commands).toMatchObject([{ state: "Failed", output: { errors: [{ code: "PG1208" }] } }, { state: "Accepted" }]);
  });

  test("a cutover may choose its fence; one that is none is refused by field, value and what is allowed", async () => {
    const taskId = await start("fence");
    await fold(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]);
    const wrong = await cutOver("fence", "listdb", { fence: "readonly please" });
    expect(wrong.status).toBe(400);
    expect(errorOf(wrong).details).toEqual([
      {
        code: "InvalidValue",
        target: "input.fence",
        message: 'input.fence: "readonly please" is not allowed. Give "none", "readOnly".',
      },
    ]);
    const asked = await cutOver("fence", "listdb", { fence: "READONLY" });
    expect(asked.body.input).toEqual({ databaseName: "listdb", fence: "readOnly" });
    const [, command] = await worker.commands(SERVICE, taskId, 2);
    expect(command).toMatchObject({ type: "cutover", databaseName: "listdb", fence: "readOnly" });
  });

  test("two cutovers asked for at once are one command", async () => {
    const taskId = await start("at-once");
    await fold(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]);
    const replies = await Promise.all(Array.from({ length: 8 }, () => cutOver("at-once")));
    expect(new Set(replies.map(({ status, body }) => `${status} ${body.commandId}`)).size).toBe(1);
    expect((await read("at-once")).properties.commands).toHaveLength(1);
  });

  test("cutting over what is not there is refused by name", async () => {
    await start("names");
    const other = await cutOver("names", "otherdb");
    expect(other.status).toBe(400);
    expect(errorOf(other).message).toContain("Give the source's name: listdb");
    expect((await rest.post(`${task(SERVICE, "names")}/command`, { commandType: "restart", input: {} })).status).toBe(400);
    expect((await rest.post(`${task(SERVICE, "names")}/command`, { commandType: "Migrate.Sync.Complete.Database" })).status).toBe(400);
    expect(
      (
        await rest.post(`${task(SERVICE, "absent")}/command`, {
          commandType: "Migrate.Sync.Complete.Database",
          input: { databaseName: "a" },
        })
      ).status,
    ).toBe(404);
  });
});

describe("folding", () => {
  test("late and doubled reports change nothing, whatever their order", async () => {
    const taskId = await start("late");
    const one: readonly ReportItem[] = [
      { kind: "task", event: "started", errors: [] },
      database({ fullLoadRows: 1 }),
      table("a", { fullLoadRows: 1 }),
    ];
    const two: readonly ReportItem[] = [database({ fullLoadRows: 2 })];
    const three: readonly ReportItem[] = [table("a", { fullLoadRows: 3 }), table("b", { fullLoadRows: 3 })];
    await fold(taskId, 1, one);
    await fold(taskId, 3, three);
    await fold(taskId, 2, two);
    const after = await read("late");
    for (const [sequence, items] of [
      [1, one],
      [3, three],
      [2, two],
      [1, one],
    ] as const)
      await fold(taskId, sequence, items);
    expect(await read("late")).toEqual(after);
    expect(databaseOf(after)?.fullLoadRows).toBe(2);
    const tables = after.properties.output?.filter((item): item is TableLevelOutput => "tableName" in item);
    expect(tables?.map((item) => [item.tableName, item.fullLoadTotalRows])).toEqual([
      ["public.a", 3],
      ["public.b", 3],
    ]);
  });

  test("a later worker's word holds against a former one's, however high that one counted", async () => {
    const taskId = await start("epochs");
    await fold(taskId, 900, [database({ fullLoadRows: 900 })], 1);
    await fold(taskId, 1, [database({ fullLoadRows: 5 })], 2);
    await fold(taskId, 901, [database({ fullLoadRows: 901 })], 1);
    expect(databaseOf(await read("epochs"))?.fullLoadRows).toBe(5);
  });

  test("an ended task stays ended", async () => {
    const taskId = await start("ended");
    await fold(taskId, 5, [
      {
        kind: "task",
        event: "faulted",
        errors: [{ code: "PG1203", severity: "error", message: "A table could not be loaded.", databaseName: "listdb", sqlState: "23505" }],
      },
    ]);
    await fold(taskId, 6, [{ kind: "task", event: "succeeded", errors: [] }]);
    await fold(taskId, 7, [{ kind: "task", event: "started", errors: [] }], 2);
    const ended = await read("ended");
    expect(ended.properties).toMatchObject({
      state: "Faulted",
      errors: [{ code: "PG1203", target: "listdb", details: [{ code: "23505" }] }],
    });
    expect(ended.properties.output).toContainEqual(expect.objectContaining({ id: "dberr|listdb", resultType: "DatabaseLevelErrorOutput" }));
    expect(ended.properties.output).toContainEqual(expect.objectContaining({ id: "err|0001", resultType: "ErrorOutput" }));
  });

  test("a task ends with more errors than its row has room for", async () => {
    const taskId = await start("many-errors");
    const errors = Array.from({ length: 500 }, (_, n) => reported("LoadFailed", { table: `public.t${n}`, detail: "x".repeat(1_000) }));
    await fold(taskId, 1, [{ kind: "task", event: "failed", errors }]);
    const { properties } = await read("many-errors");
    expect(properties).toMatchObject({
      state: "Failed",
      errors: expect.arrayContaining([expect.objectContaining({ code: errors[0]?.code })]) as unknown,
    });
    expect(properties.errors.length).toBeGreaterThan(10);
  });

  test("what cannot be understood is let go, and its content is not logged", async () => {
    const before = plane.logged.length;
    for (const body of ["plain text", 42, { version: 1, type: "report", taskId: "hush-hush" }, { version: 9 }]) {
      await plane.host.deliver("reports", { body: typeof body === "string" ? body : JSON.stringify(body), sessionId: "any" });
    }
    await fold("0d7a3c3e-5a0c-4c55-9f6a-5f0f4a7a1b01", 1, [database()]);
    const lines = plane.logged.slice(before).map(({ message }) => message);
    expect(lines.filter((line) => line.includes("not understood"))).toHaveLength(4);
    expect(lines.join()).not.toContain("hush-hush");
  });

  test("two thousand tables are folded and shown in their order", async () => {
    const taskId = await start("many");
    const names = Array.from({ length: 2_000 }, (_, index) => `t${String(index).padStart(5, "0")}`);
    for (let from = 0; from < names.length; from += 500)
      await fold(
        taskId,
        from + 1,
        names.slice(from, from + 500).map((name) => table(name)),
      );
    const begun = performance.now();
    const many = await read("many");
    const tookMs = performance.now() - begun;
    expect(many.properties.output?.slice(2).map((item) => item.id)).toEqual(names.map((name) => `or|listdb|public|${name}`));
    expect(tookMs).toBeLessThan(10_000);
    console.log(`GET of 2000 tables: ${Math.round(tookMs)} ms`);
  });
});

describe("small tasks", () => {
  test("a connect task shows what was found, errors also when the login failed", async () => {
    const found = {
      code: "PG1103",
      severity: "error" as const,
      message: "wal_level of the source is not logical.",
      remedy: "ALTER SYSTEM …",
    };
    const note = { code: "PG1124", severity: "information" as const, message: "A check was left out." };
    const ok = await start("connect", connectBody());
    await fold(ok, 1, [
      {
        kind: "connectOutput",
        side: "source",
        serverVersion: "12.19",
        serverBrandVersion: "PostgreSQL 12.19",
        databases: ["listdb", "postgres"],
        findings: [found, note],
      },
      { kind: "task", event: "succeeded", errors: [] },
    ]);
    expect((await read("connect")).properties.output).toEqual([
      {
        id: "connect",
        sourceServerVersion: "12.19",
        sourceServerBrandVersion: "PostgreSQL 12.19",
        databases: ["listdb", "postgres"],
        validationErrors: [
          { message: found.message, actionableMessage: found.remedy, hResult: -2146233088, code: "PG1103", severity: "error" },
        ],
        findings: [found, note],
      },
    ]);
    const bad = await start("connect-bad", connectBody());
    await fold(bad, 1, [
      { kind: "task", event: "failed", errors: [{ code: "PG1003", severity: "error", message: "The source refused the login." }] },
    ]);
    expect((await read("connect-bad")).properties).toMatchObject({
      state: "Failed",
      output: [{ databases: [], validationErrors: [{ message: "The source refused the login." }] }],
    });
  });

  test("the tables of a database may come in pages", async () => {
    const row = (name: string) => ({ name: `public.${name}`, hasRows: true, sizeBytes: 8192, rowsEstimate: 3, hasKey: true });
    const body = {
      properties: {
        taskType: "GetUserTablesPostgreSql",
        input: { connectionInfo: { serverName: "h", userName: "u" }, selectedDatabases: ["listdb", "otherdb"] },
      },
    };
    const taskId = await start("tables", body);
    await fold(taskId, 1, [
      { kind: "tablesOutput", databaseName: "listdb", page: 1, tables: [row("b")], findings: [] },
      { kind: "tablesOutput", databaseName: "listdb", page: 0, tables: [row("a")], findings: [] },
      { kind: "tablesOutput", databaseName: "otherdb", page: 0, tables: [], findings: [] },
      { kind: "task", event: "succeeded", errors: [] },
    ]);
    expect((await read("tables")).properties.output).toMatchObject([
      { databaseName: "listdb", tables: [{ name: "public.a", hasRows: true }, { name: "public.b" }], validationErrors: [] },
      { databaseName: "otherdb", tables: [] },
    ]);
  });
});

describe("heartbeats", () => {
  test("tell whether the service is Online", async () => {
    const status = async (): Promise<ServiceStatus> => (await rest.post<ServiceStatus>(`${service(SERVICE)}/checkStatus`)).body;
    expect(await status()).toMatchObject({ status: "Offline", registeredWorker: false, provisioningState: "Succeeded" });
    const beat = {
      version: 1 as const,
      type: "heartbeat" as const,
      workerId: "worker-1",
      serviceName: SERVICE,
      softwareVersion: "0.1.0",
      startedOn: new Date().toISOString(),
      sentAt: new Date().toISOString(),
      stopping: false,
      taskIds: [],
      movableTaskIds: [],
      maxTasks: 4,
      rssBytes: 1_000_000,
    };
    await worker.heartbeat(beat);
    await until(async () => (await status()).status === "Online", "Online");
    expect(await status()).toMatchObject({
      agentVersion: "0.1.0",
      vmSize: "Standard_F4",
      workers: [{ workerId: "worker-1", alive: true, maxTasks: 4 }],
    });
    await plane.host.deliver("reports", {
      body: JSON.stringify({ ...beat, sentAt: new Date(Date.now() - 60_000).toISOString() }),
      sessionId: "worker:worker-1",
    });
    expect(await status()).toMatchObject({ status: "Offline", workers: [{ alive: false }] });
  });
});
