import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openControlPlane, type ControlPlane } from "../../functions/control-plane.ts";
import { tasksToDispatch } from "../../functions/dispatch.ts";
import { endpointsOf } from "../../functions/endpoints.ts";
import { type Answer } from "../../functions/http/endpoint.ts";
import { takeReport } from "../../functions/reports.ts";
import { secretName } from "../../functions/secrets/secret-store.ts";
import { outputKey, outputsOfTask } from "../../functions/store/task-outputs.ts";
import { taskIndexKey, taskKey, type TaskRow } from "../../functions/store/tasks.ts";
import { watch } from "../../functions/watchdog.ts";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { connectionStringFor, startBroker, type Broker } from "../../local/broker/server.ts";
import { freePort } from "../../local/free-port.ts";
import { reported } from "../../contracts/errors.ts";
import { type ReportItem } from "../../contracts/reports.ts";
import { type Task } from "../../contracts/wire.ts";
import { startAutomation } from "./fixtures/bus.ts";
import { connectBody, GROUP, migrateBody, projectBody, SUBSCRIPTION } from "./fixtures/rest.ts";
import { emptyTables } from "./fixtures/tables.ts";
import { database, reportMessage, startWorker } from "./fixtures/worker.ts";

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe("when Service Bus is out of reach", () => {
  let connectionString: string;
  let plane: ControlPlane;
  let port: number;
  let dir: string;
  let time: Date;
  const brokers: Broker[] = [];
  beforeAll(async () => {
    connectionString = await emptyTables();
  });
  beforeEach(async () => {
    port = await freePort();
    dir = await mkdtemp(join(tmpdir(), "pgdms-watchdog-"));
    time = new Date();
    const opened = openControlPlane({
      tables: { connectionString },
      serviceBus: { connectionString: connectionStringFor(port) },
      secrets: { dir },
      auth: { mode: "none" },
      identityClientId: undefined,
      eventsTopic: "events",
      levels: { lagSeconds: 900, walHeldBytes: 2 ** 36 },
      publicUrl: "http://localhost",
    });
    plane = { ...opened, now: () => time };
  });
  afterEach(async () => {
    await plane.bus.close();
    for (const broker of brokers.splice(0)) await broker.stop();
    await rm(dir, { recursive: true, force: true });
  });
  const startTheBroker = async (): Promise<void> => void brokers.push(await startBroker({ port, config: pgdmsEntities([]) }));

  const call = (
    name: string,
    serviceName: string,
    taskName = "",
    body: unknown = undefined,
    query: Record<string, string> = {},
  ): Promise<Answer> => {
    const endpoint = endpointsOf(plane).find((candidate) => candidate.name === name);
    if (!endpoint) throw new Error(`there is no ${name}`);
    const params = { subscriptionId: SUBSCRIPTION, resourceGroup: GROUP, serviceName, projectName: "pg-online", taskName };
    const preconditions = { ifMatch: undefined, ifNoneMatch: undefined };
    const read = (key: string): string | undefined => query[key];
    return endpoint.handle({
      params,
      query: read,
      body: () => Promise.resolve(body),
      preconditions,
      base: "http://h",
      path: "/",
      apiVersion: "x",
      traceparent: undefined,
      log: quiet,
    });
  };
  const make = async (serviceName: string, body: unknown): Promise<Task> => {
    await call("services-put", serviceName, "", { location: "x" });
    await call("projects-put", serviceName, "", projectBody);
    const made = await call("tasks-put", serviceName, "mig", body);
    expect(made.status).toBe(201);
    return made.body as Task;
  };
  const pathOf = (serviceName: string) => ({
    subscriptionId: SUBSCRIPTION,
    resourceGroup: GROUP,
    service: serviceName,
    project: "pg-online",
    task: "mig",
  });
  const commandsOf = async (serviceName: string, taskId: string, count: number): Promise<string[]> => {
    const worker = startWorker(connectionStringFor(port));
    const commands = await worker.commands(serviceName, taskId, count);
    await worker.close();
    return commands.map(({ type }) => type);
  };

  test("a task is made all the same, says so, and is sent once by the watchdog, however often that runs", async () => {
    const made = await make("wd-run", connectBody());
    expect(made.properties).toMatchObject({ state: "Queued", waitingFor: expect.stringContaining("could not be sent yet") as string });
    await watch(plane, quiet);
    await startTheBroker();
    await Promise.all([watch(plane, quiet), watch(plane, quiet)]);
    await watch(plane, quiet);
    expect((await plane.store.tasks.get(taskKey(pathOf("wd-run"))))?.value.dispatch).toBe("sent");
    const worker = startWorker(connectionStringFor(port));
    await expect(worker.commands("wd-run", made.properties.taskId, 2)).rejects.toThrow("only 1 commands of 2");
    await worker.close();
  });

  test("a cutover waits for it", async () => {
    const made = await make("wd-more", migrateBody());
    const { taskId } = made.properties;
    await takeReport(
      plane,
      reportMessage(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]),
      quiet,
    );
    const cutover = await call("tasks-command", "wd-more", "mig", {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName: "listdb" },
    });
    expect(cutover.body).toMatchObject({ state: "Accepted" });
    await startTheBroker();
    await watch(plane, quiet);
    expect(await commandsOf("wd-more", taskId, 1)).toEqual(["cutover"]); // the worker had reported: it has the run command
  });

  test("events wait for it, those of what is gone by then too", async () => {
    const made = await make("wd-told", migrateBody());
    const { taskId } = made.properties;
    const ready: ReportItem[] = [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })];
    await takeReport(plane, reportMessage(taskId, 1, ready), quiet);
    await takeReport(plane, reportMessage(taskId, 2, [{ kind: "task", event: "failed", errors: [] }]), quiet);
    await call("tasks-delete", "wd-told", "mig");
    await startTheBroker();
    time = new Date(Date.now() + 60_000);
    await watch(plane, quiet);
    const automation = startAutomation(connectionStringFor(port));
    await automation.event("pgdms.task.deleted");
    const told = automation.events.filter(({ subject }) => subject.includes("wd-told")).map(({ type }) => type);
    expect(told.sort()).toEqual([
      "pgdms.database.readyToCutover",
      "pgdms.database.stateChanged",
      "pgdms.service.stateChanged",
      "pgdms.task.deleted",
      "pgdms.task.stateChanged",
    ]);
    await watch(plane, quiet);
    expect(await plane.store.outbox.list("PartitionKey ge ''")).toEqual([]);
    await automation.close();
  });

  test("a cancel never overtakes the run command", async () => {
    const made = await make("wd-order", migrateBody());
    expect((await call("tasks-cancel", "wd-order", "mig")).body).toMatchObject({ properties: { state: "Canceling" } });
    await startTheBroker();
    await watch(plane, quiet);
    expect(await commandsOf("wd-order", made.properties.taskId, 2)).toEqual(["run", "cancel"]);
  });

  test("what is left of a task whose making was cut short is swept up", async () => {
    const taskId = randomUUID();
    await plane.secrets.put(secretName(taskId, "source"), "left over", {});
    await plane.store.taskIndex.create(taskIndexKey(taskId), { path: pathOf("wd-half"), made: false });
    // A restart that was cut short leaves outputs as well: those of the run that it took the place of.
    const item = database();
    await plane.store.taskOutputs.upsertAll([{ key: outputKey(taskId, item), value: { stamp: { epoch: 1, sequence: 1 }, item } }]);
    await watch(plane, quiet);
    expect(await readdir(dir)).toContain(`mig-${taskId}-source.secret`);
    time = new Date(time.getTime() + 3_600_000);
    await watch(plane, quiet);
    expect(await readdir(dir)).not.toContain(`mig-${taskId}-source.secret`);
    expect(await plane.store.taskOutputs.list(outputsOfTask(taskId))).toEqual([]);
    expect(await plane.store.taskIndex.get(taskIndexKey(taskId))).toBeUndefined();
  });

  test("a task that was deleted while it ran is cancelled later, and forgotten when its worker is silent for a week", async () => {
    const made = await make("wd-del", migrateBody());
    const { taskId } = made.properties;
    expect((await call("tasks-delete", "wd-del", "mig", undefined, { deleteRunningTasks: "true" })).status).toBe(200);
    await startTheBroker();
    await watch(plane, quiet);
    expect(await commandsOf("wd-del", taskId, 1)).toEqual(["cancel"]);
    expect((await readdir(dir)).filter((name) => name.includes(taskId))).toHaveLength(2);
    time = new Date(time.getTime() + 8 * 86_400_000);
    await watch(plane, quiet);
    expect((await readdir(dir)).filter((name) => name.includes(taskId))).toEqual([]);
    expect(await plane.store.taskIndex.get(taskIndexKey(taskId))).toBeUndefined();
  });

  test("what an ended task left undone is done: its secrets go and its open commands get their outcome", async () => {
    await startTheBroker();
    const made = await make("wd-end", migrateBody());
    const { taskId } = made.properties;
    await takeReport(
      plane,
      reportMessage(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]),
      quiet,
    );
    await call("tasks-command", "wd-end", "mig", { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "listdb" } });
    // As after a crash between the two writes: the task has ended, nothing else was done.
    const row = await plane.store.tasks.get(taskKey(pathOf("wd-end")));
    if (!row) throw new Error("it was made");
    await plane.store.tasks.replace(row, { ...row.value, state: "Failed" });
    await watch(plane, quiet);
    expect((await readdir(dir)).filter((name) => name.includes(taskId))).toEqual([]);
    const after = await call("tasks-get", "wd-end", "mig", undefined, { $expand: "command" });
    expect((after.body as Task).properties.commands).toMatchObject([
      { state: "Failed", errors: [{ message: expect.stringContaining("ended as Failed") as string }] },
    ]);
  });

  test("a source that could not be cleaned up is tried again now and then, with its passwords, until it is clean or a week has passed", async () => {
    await startTheBroker();
    const made = await make("wd-left", migrateBody());
    const { taskId } = made.properties;
    const secrets = async (): Promise<string[]> => (await readdir(dir)).filter((name) => name.includes(taskId));
    const left = (resolved: boolean): ReportItem => ({
      kind: "finding",
      databaseName: "listdb",
      subject: "",
      error: reported("SourceLeftovers", { detail: "no route to host" }),
      since: time.toISOString(),
      resolved,
    });
    const ended: ReportItem[] = [database({ state: "CANCELLED" }), left(false), { kind: "task", event: "cancelled", errors: [] }];
    await takeReport(plane, reportMessage(taskId, 3, ended, 2), quiet);
    await watch(plane, quiet);
    expect(await secrets()).toHaveLength(2);
    const worker = startWorker(connectionStringFor(port));
    await worker.commands("wd-left", taskId, 1); // the run command
    for (const attempt of [1, 2]) {
      time = new Date(time.getTime() + 11 * 60_000);
      await Promise.all([watch(plane, quiet), watch(plane, quiet)]);
      await watch(plane, quiet);
      expect(await worker.commands("wd-left", taskId, 1)).toMatchObject([
        { type: "cleanUp", attempt, afterEpoch: attempt + 1, databases: [{ name: "listdb", end: "CANCELLED" }] },
      ]);
      expect(await secrets()).toHaveLength(2);
      const again = { commandType: "Migrate.Sync.Restart.Task", input: { sourcePassword: "a", targetPassword: "b" } };
      await expect(call("tasks-command", "wd-left", "mig", again)).rejects.toThrow("The source of the ended run is being cleaned up.");
      if (attempt === 1) await takeReport(plane, reportMessage(taskId, 1, [left(false)], 3), quiet);
    }
    await takeReport(plane, reportMessage(taskId, 1, [left(true)], 4), quiet);
    expect(await secrets()).toEqual([]);
    time = new Date(time.getTime() + 3_600_000);
    await watch(plane, quiet);
    await expect(worker.commands("wd-left", taskId, 1)).rejects.toThrow("only 0 commands of 1");
    await worker.close();
    const given = (await make("wd-lost", migrateBody())).properties.taskId;
    await takeReport(plane, reportMessage(given, 3, ended), quiet);
    expect((await readdir(dir)).filter((name) => name.includes(given))).toHaveLength(2);
    time = new Date(time.getTime() + 8 * 86_400_000);
    await watch(plane, quiet);
    expect((await readdir(dir)).filter((name) => name.includes(given))).toEqual([]);
  });
});

describe("who gets a seat", () => {
  const row = (task: string, more: Partial<TaskRow>): { value: TaskRow } => ({
    value: {
      path: { task },
      taskId: task,
      taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
      state: "Queued",
      dispatch: "waiting",
      createdOn: "2026",
      ...more,
    } as TaskRow,
  });
  const chosen = (rows: { value: TaskRow }[], seats: number): string[] => tasksToDispatch(rows, seats).map(({ value }) => value.path.task);

  test("the oldest migrations that wait, as long as there are seats; small tasks always", () => {
    const rows = [
      row("young", { createdOn: "2026-03" }),
      row("old", { createdOn: "2026-01" }),
      row("middle", { createdOn: "2026-02" }),
      row("running", { dispatch: "sent", state: "Running" }),
      row("small", { taskType: "GetUserTablesPostgreSql", createdOn: "2026-09" }),
    ];
    expect(chosen(rows, 3)).toEqual(["old", "middle", "small"]);
    expect(chosen(rows, 1)).toEqual(["small"]);
    expect(chosen(rows, 0)).toEqual(["small"]);
    expect(chosen([], 4)).toEqual([]);
  });
});
