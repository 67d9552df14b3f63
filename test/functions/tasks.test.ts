import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSecretFile } from "../../contracts/secret-file.ts";
import { errors } from "../../contracts/errors.ts";
import { type ReportItem } from "../../contracts/reports.ts";
import { type CommandView, type Page, type Task } from "../../contracts/wire.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import {
  connectBody,
  connection,
  errorOf,
  makeService,
  migrateBody,
  project,
  restOf,
  service,
  task,
  until,
  type Reply,
  type Rest,
} from "./fixtures/rest.ts";
import { database, startWorker, table, type FakeWorker } from "./fixtures/worker.ts";

let plane: Plane;
let rest: Rest;
let worker: FakeWorker;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  worker = startWorker(plane.serviceBus);
});
afterAll(async () => {
  await worker.close();
  await plane.stop();
});

const stateOf = async (path: string): Promise<string> => (await rest.get<Task>(path)).body.properties.state;
const idOf = (reply: Reply<Task>): string => reply.body.properties.taskId;
const details = (reply: Reply): string[] => (errorOf(reply).details ?? []).map(({ target }) => target ?? "");

describe("creating a task", () => {
  beforeAll(() => makeService(rest, "dms-create"));

  test("queues it with 201 and sends the run command without passwords to the service's queue", async () => {
    const made = await rest.put<Task>(task("dms-create", "mig"), migrateBody());
    expect(made.status).toBe(201);
    expect(made.headers.get("etag")).toBe(`"${made.body.etag}"`);
    expect(made.body.properties).toMatchObject({
      state: "Queued",
      taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
      isCloneable: true,
    });
    expect(made.body.properties.output).toBeUndefined();
    const [command] = await worker.commands("dms-create", idOf(made), 1);
    expect(command).toMatchObject({
      type: "run",
      taskId: idOf(made),
      resourceId: task("dms-create", "mig"),
      work: {
        source: { serverName: "pg-src.example.net", credential: { kind: "secret" } },
        selectedDatabases: [{ name: "listdb", targetDatabaseName: "listdb" }],
      },
    });
    expect(JSON.stringify(command)).not.toContain("secret-of");
  });

  test("keeps the passwords encrypted, where only the worker can read them, and shows them nowhere", async () => {
    const made = await rest.put<Task>(task("dms-create", "secrets"), migrateBody());
    const files = await plane.secretFiles();
    const ours = files.filter(({ name }) => name.includes(idOf(made)));
    expect(ours.map(({ name }) => name).sort()).toEqual([`mig-${idOf(made)}-source.secret`, `mig-${idOf(made)}-target.secret`]);
    for (const { bytes } of ours) expect(bytes.toString("latin1")).not.toContain("secret-of");
    expect(await readSecretFile(plane.secretsDir, `file:mig-${idOf(made)}-source`)).toBe("secret-of-pg-src.example.net");
    const shown = [
      made.text,
      (await rest.get(task("dms-create", "secrets"), "?$expand=output,command")).text,
      JSON.stringify(plane.logged),
    ];
    for (const text of shown) expect(text).not.toContain("secret-of");
  });

  test("makes one task of ten requests at once", async () => {
    const replies = await Promise.all(Array.from({ length: 10 }, () => rest.put<Task>(task("dms-create", "race"), connectBody())));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 200, 200, 201]);
    expect(new Set(replies.map(idOf)).size).toBe(1);
    const [first] = replies;
    const files = (await plane.secretFiles()).map(({ name }) => name);
    expect(files.filter((name) => name.includes(first ? idOf(first) : "?"))).toHaveLength(1);
    // The nine that lost left nothing: one secret for each task of this service's project that has passwords.
    const tasks = (await rest.get<Page<Task>>(`${project("dms-create")}/tasks`)).body.value;
    expect(files.every((name) => tasks.some(({ properties }) => name.includes(properties.taskId)))).toBe(true);
  });

  test("takes SyncV2, a missing database and target name, and platforms of TLS as they come", async () => {
    const body = migrateBody([{ name: "a" }, { name: "b", targetDatabaseName: "bb", selectedTables: [{ name: "public.lists" }] }]);
    body.properties["taskType"] = "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2";
    (body.properties["input"] as Record<string, unknown>)["sourceConnectionInfo"] = connection("h", {
      databaseName: undefined,
      encryptConnection: false,
      type: "sourceConnectionInfo",
    });
    const made = await rest.put<Task>(task("dms-create", "v2"), body);
    expect(made.status).toBe(201);
    const [command] = await worker.commands("dms-create", idOf(made), 1);
    expect(command).toMatchObject({
      work: {
        taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
        source: { databaseName: "postgres", encryptConnection: false, trustServerCertificate: false },
        selectedDatabases: [{ targetDatabaseName: "a" }, { targetDatabaseName: "bb", selectedTables: [{ name: "public.lists" }] }],
      },
    });
  });

  test("takes null for what is not set, as serializers write it, and booleans in any case", async () => {
    const unset = ["type", "databaseName", "authentication", "passwordSecretUri", "encryptConnection", "trustServerCertificate"];
    const nulls = Object.fromEntries([...unset, "port", "additionalSettings", "dataSource", "serverVersion"].map((name) => [name, null]));
    const body = migrateBody([{ name: "a", migrationSetting: { migrateSchema: "True", deferIndexes: "FALSE" } }]);
    (body.properties["input"] as Record<string, unknown>)["sourceConnectionInfo"] = connection("h", nulls);
    const made = await rest.put<Task>(task("dms-create", "nulls"), body);
    expect(made.status, made.text).toBe(201);
    expect(made.body.properties.input.sourceConnectionInfo).toEqual({
      type: "PostgreSqlConnectionInfo",
      serverName: "h",
      port: 5432,
      userName: "dms_user",
      encryptConnection: true,
      trustServerCertificate: false,
    });
    const [command] = await worker.commands("dms-create", idOf(made), 1);
    expect(command).toMatchObject({ work: { source: { databaseName: "postgres", encryptConnection: true } } });
    expect((await rest.put(task("dms-create", "nulls"), body)).status).toBe(200);
  });

  test.each(["pg-src.example.net", "PG_1", "10.0.0.4", "::1", "fe80::1%eth0", "müller.example"])(
    "takes the host %s",
    async (serverName) => {
      const body = connectBody({ serverName, port: "6432", authentication: "sqlauthentication" });
      const made = await rest.put<Task>(task("dms-create", `host-${Buffer.from(serverName).toString("hex").slice(0, 40)}`), body);
      expect(made.status, made.text).toBe(201);
      expect(made.body.properties.input.sourceConnectionInfo).toMatchObject({
        serverName,
        port: 6432,
        authentication: "SqlAuthentication",
      });
    },
  );

  test("says what to do when a client has dropped the input of SyncV2", async () => {
    const reply = await rest.put(task("dms-create", "dropped"), {
      properties: { taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2" },
    });
    expect(reply.status).toBe(400);
    expect(errorOf(reply).message).toContain("@azure/arm-datamigration 2.1.1 does not know");
  });

  test.each<[string, object, string]>([
    [
      "an unknown setting",
      migrateBody([{ name: "a", migrationSetting: { fullLoadStream: "4" } }]),
      "properties.input.selectedDatabases[0].migrationSetting.fullLoadStream",
    ],
    [
      "a bad setting",
      migrateBody([{ name: "a", sourceSetting: { plugin: "wal2json" } }]),
      "properties.input.selectedDatabases[0].sourceSetting.plugin",
    ],
    [
      "a pattern that no table's name can fit",
      migrateBody([{ name: "a", migrationSetting: { excludeTables: "public.*,a.b.c" } }]),
      "properties.input.selectedDatabases[0].migrationSetting.excludeTables",
    ],
    [
      "a setting that is no text",
      migrateBody([{ name: "a", migrationSetting: { fullLoadStreams: 4 } }]),
      "properties.input.selectedDatabases[0].migrationSetting.fullLoadStreams",
    ],
    [
      "a database twice",
      migrateBody([{ name: "a" }, { name: "a", targetDatabaseName: "b" }]),
      "properties.input.selectedDatabases[1].name",
    ],
    [
      "a target twice",
      migrateBody([
        { name: "a", targetDatabaseName: "x" },
        { name: "b", targetDatabaseName: "x" },
      ]),
      "properties.input.selectedDatabases[1].targetDatabaseName",
    ],
    ["no database", migrateBody([]), "properties.input.selectedDatabases"],
    [
      "a bad table name",
      migrateBody([{ name: "a", selectedTables: [{ name: 'x"y.z.' }] }]),
      "properties.input.selectedDatabases[0].selectedTables[0].name",
    ],
    ["no user", connectBody({ userName: undefined }) as object, "properties.input.sourceConnectionInfo.userName"],
    ["no host", connectBody({ serverName: undefined }) as object, "properties.input.sourceConnectionInfo.serverName"],
    ["a path instead of a host", connectBody({ serverName: "/tmp" }) as object, "properties.input.sourceConnectionInfo.serverName"],
    [
      "a host with a port",
      connectBody({ serverName: "pg.example.net:5432" }) as object,
      "properties.input.sourceConnectionInfo.serverName",
    ],
    ["a port that is no number", connectBody({ port: true }) as object, "properties.input.sourceConnectionInfo.port"],
    ["a NUL in a name", connectBody({ userName: "a\0options" }) as object, "properties.input.sourceConnectionInfo.userName"],
    ["a name that PostgreSQL would cut off", migrateBody([{ name: "é".repeat(40) }]), "properties.input.selectedDatabases[0].name"],
    ["a bad port", connectBody({ port: 70_000 }) as object, "properties.input.sourceConnectionInfo.port"],
    ["an unknown task type", { properties: { taskType: "Migrate.Oracle.AzureDbForPostgreSql.Sync", input: {} } }, "properties.taskType"],
    ["no properties", {}, "properties"],
    [
      "a secret that is no secret's address",
      connectBody({ password: undefined, passwordSecretUri: "https://vault.example.net/keys/x" }) as object,
      "properties.input.sourceConnectionInfo.passwordSecretUri",
    ],
  ])("refuses %s and names the field", async (_, body, target) => {
    const reply = await rest.put(task("dms-create", "refused"), body);
    expect(reply.status).toBe(400);
    expect(errorOf(reply).code).toBe("InvalidRequest");
    expect(details(reply)).toContain(target);
    expect((await rest.get(task("dms-create", "refused"))).status).toBe(404);
  });

  test("refuses a target that is the source itself", async () => {
    const body = migrateBody();
    (body.properties["input"] as Record<string, unknown>)["targetConnectionInfo"] = connection("PG-SRC.example.net");
    const reply = await rest.put(task("dms-create", "same"), body);
    expect(reply.status).toBe(400);
    expect(errorOf(reply).message).toContain("is the source itself");
  });

  test("hands on a secret of the caller's own vault, and an Entra login, without keeping anything", async () => {
    const uri = "https://vault.example.net/secrets/pg/0123456789abcdef";
    const made = await rest.put<Task>(task("dms-create", "own-vault"), connectBody({ password: undefined, passwordSecretUri: uri }));
    const entra = await rest.put<Task>(
      task("dms-create", "entra"),
      connectBody({ password: undefined, authentication: "ActiveDirectoryIntegrated" }),
    );
    const [own] = await worker.commands("dms-create", idOf(made), 1);
    const [login] = await worker.commands("dms-create", idOf(entra), 1);
    expect(own).toMatchObject({ work: { source: { credential: { kind: "secret", secretId: uri } } } });
    expect(login).toMatchObject({ work: { source: { credential: { kind: "entra" } } } });
    expect((await plane.secretFiles()).some(({ name }) => name.includes(idOf(made)) || name.includes(idOf(entra)))).toBe(false);
  });

  test("keeps room for the errors of the task beside what the caller keeps with it", async () => {
    const clientData = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`key-${at}`, "x".repeat(8_000)]));
    const at = task("dms-create", "roomy");
    const put = (count: number): Promise<Reply<Task>> =>
      rest.put<Task>(at, { properties: { ...migrateBody().properties, clientData: clientData(count) } });
    expect((await put(52)).status).toBe(413);
    const made = await put(48);
    expect(made.status).toBe(201);
    expect((await put(52)).status).toBe(413);
    expect((await rest.send("PATCH", at, { properties: { clientData: clientData(52) } })).status).toBe(413);
    const error = { code: "PG1299", severity: "error" as const, message: "y".repeat(2_000) };
    await worker.report(idOf(made), 1, [{ kind: "task", event: "failed", errors: Array.from({ length: 30 }, () => error) }]);
    await until(async () => (await stateOf(at)) === "Failed", "the task's end");
  });

  test("refuses what would not fit into a message to the worker", async () => {
    const selectedTables = Array.from({ length: 5_000 }, (_, index) => ({ name: `public.a_table_with_a_rather_long_name_${index}` }));
    const reply = await rest.put(task("dms-create", "large"), migrateBody([{ name: "a", selectedTables }]));
    expect(reply.status).toBe(413);
    expect(errorOf(reply).message).toContain("includeTables");
  });

  test("needs its project and its service", async () => {
    expect(errorOf(await rest.put(task("dms-create", "tt", "absent"), connectBody()))).toMatchObject({ code: "ParentResourceNotFound" });
    const reply = await rest.put(task("absent", "tt"), connectBody());
    expect(reply.status).toBe(404);
    expect(errorOf(reply).message).toContain("Microsoft.DataMigration/services/absent");
  });
});

describe("a task that exists", () => {
  beforeAll(() => makeService(rest, "dms-again"));

  test("is answered with 200 and not run again by the same PUT", async () => {
    const made = await rest.put<Task>(task("dms-again", "mig"), migrateBody());
    await worker.commands("dms-again", idOf(made), 1);
    await worker.report(idOf(made), 1, [{ kind: "task", event: "succeeded", errors: [] }]);
    await until(async () => (await stateOf(task("dms-again", "mig"))) === "Succeeded", "the task's end");
    const again = await rest.put<Task>(task("dms-again", "MIG"), migrateBody());
    expect(again.status).toBe(200);
    expect(again.body).toMatchObject({ name: "mig", properties: { taskId: idOf(made), state: "Succeeded" } });
  });

  test("keeps its input: another one is a conflict with a remedy", async () => {
    const reply = await rest.put(task("dms-again", "mig"), migrateBody([{ name: "otherdb" }]));
    expect(reply.status).toBe(409);
    expect(errorOf(reply).message).toContain("DELETE the task first");
  });

  test("takes other client data by PATCH and gives it back", async () => {
    const patched = await rest.send<Task>("PATCH", task("dms-again", "mig"), { properties: { clientData: { ticket: "42" } } });
    expect(patched.status).toBe(200);
    expect(patched.body.properties.clientData).toEqual({ ticket: "42" });
    expect((await rest.get<Task>(task("dms-again", "mig"))).body.etag).toBe(patched.body.etag);
  });

  test("is guarded by If-Match", async () => {
    const { etag } = (await rest.get<Task>(task("dms-again", "mig"))).body;
    const patch = (tag: string): Promise<Reply> =>
      rest.send("PATCH", task("dms-again", "mig"), { properties: { clientData: { n: tag } } }, { "if-match": tag });
    expect((await patch('"other"')).status).toBe(412);
    expect((await patch(`"${etag}"`)).status).toBe(200);
    expect((await patch(`"${etag}"`)).status).toBe(412);
    const command = { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "listdb" } };
    const late = await rest.send("POST", `${task("dms-again", "mig")}/command`, command, { "if-match": `"${etag}"` });
    expect(late.status).toBe(412);
  });

  test("is deleted with 200, and with 204 when it is gone", async () => {
    expect((await rest.send("DELETE", task("dms-again", "mig"))).status).toBe(200);
    expect((await rest.send("DELETE", task("dms-again", "mig"))).status).toBe(204);
    const gone = await rest.get(task("dms-again", "mig"));
    expect(gone.status).toBe(404);
    expect(errorOf(gone).code).toBe("ResourceNotFound");
  });
});

describe("cancelling and deleting", () => {
  beforeAll(() => makeService(rest, "dms-cancel"));

  test("answers Canceling, tells the worker once, and ends as Canceled without secrets", async () => {
    const made = await rest.put<Task>(task("dms-cancel", "mig"), migrateBody());
    const cancelled = await rest.post<Task>(`${task("dms-cancel", "mig")}/cancel`);
    expect(cancelled.status).toBe(200);
    expect(cancelled.body.properties.state).toBe("Canceling");
    expect(cancelled.body.etag).not.toBe(made.body.etag);
    expect((await rest.post<Task>(`${task("dms-cancel", "mig")}/cancel`)).body.properties.state).toBe("Canceling");
    const commands = await worker.commands("dms-cancel", idOf(made), 2);
    expect(commands.map(({ type }) => type)).toEqual(["run", "cancel"]);
    await worker.report(idOf(made), 1, [{ kind: "task", event: "cancelled", errors: [] }]);
    await until(async () => (await stateOf(task("dms-cancel", "mig"))) === "Canceled", "Canceled");
    await until(async () => !(await plane.secretFiles()).some(({ name }) => name.includes(idOf(made))), "the secrets to go");
    expect((await rest.post<Task>(`${task("dms-cancel", "mig")}/cancel`)).body.properties.state).toBe("Canceled");
  });

  test("is a conflict when the task ended otherwise, and 404 when there is none", async () => {
    const made = await rest.put<Task>(task("dms-cancel", "done"), connectBody());
    await worker.report(idOf(made), 1, [{ kind: "task", event: "succeeded", errors: [] }]);
    await until(async () => (await stateOf(task("dms-cancel", "done"))) === "Succeeded", "Succeeded");
    expect((await rest.post(`${task("dms-cancel", "done")}/cancel`)).status).toBe(409);
    expect((await rest.post(`${task("dms-cancel", "absent")}/cancel`)).status).toBe(404);
  });

  test("of a running task needs deleteRunningTasks, cancels it, and keeps its secrets until the worker has cleaned up", async () => {
    const made = await rest.put<Task>(task("dms-cancel", "del"), migrateBody());
    const refused = await rest.send("DELETE", task("dms-cancel", "del"));
    expect(refused.status).toBe(409);
    expect(errorOf(refused).message).toContain("deleteRunningTasks=true");
    expect((await rest.send("DELETE", `${task("dms-cancel", "del")}?deleteRunningTasks=true`)).status).toBe(200);
    expect((await rest.get(task("dms-cancel", "del"))).status).toBe(404);
    expect((await worker.commands("dms-cancel", idOf(made), 2)).map(({ type }) => type)).toEqual(["run", "cancel"]);
    const ours = async (): Promise<number> => (await plane.secretFiles()).filter(({ name }) => name.includes(idOf(made))).length;
    expect(await ours()).toBe(2);
    await worker.report(idOf(made), 1, [{ kind: "task", event: "cancelled", errors: [] }]);
    await until(async () => (await ours()) === 0, "the secrets to go");
    const again = await rest.put<Task>(task("dms-cancel", "del"), migrateBody());
    expect(again.status).toBe(201);
    expect(idOf(again)).not.toBe(idOf(made));
  });

  test("of a service takes everything below it along", async () => {
    await makeService(rest, "dms-all");
    await rest.put(task("dms-all", "one"), migrateBody());
    expect((await rest.send("DELETE", service("dms-all"))).status).toBe(409);
    expect((await rest.send("DELETE", `${project("dms-all")}?deleteRunningTasks=maybe`)).status).toBe(400);
    expect((await rest.send("DELETE", `${service("dms-all")}?deleteRunningTasks=true`)).status).toBe(200);
    await makeService(rest, "dms-all");
    expect((await rest.get<Page<Task>>(`${project("dms-all")}/tasks`)).body.value).toEqual([]);
  });
});

describe("restarting", () => {
  beforeAll(() => makeService(rest, "dms-restart", { sku: { name: "Premium_4vCores" } }));

  const at = (name: string): string => task("dms-restart", name);
  const passwords = { sourcePassword: "again-source", targetPassword: "again-target" };
  const restart = (name: string, input: object = passwords): Promise<Reply<CommandView>> =>
    rest.post<CommandView>(`${at(name)}/command`, { commandType: "migrate.sync.restart.task", input });

  async function ended(
    name: string,
    databases: readonly object[],
    event: "faulted" | "succeeded",
    items: readonly ReportItem[],
  ): Promise<string> {
    const taskId = idOf(await rest.put<Task>(at(name), migrateBody(databases)));
    await worker.commands("dms-restart", taskId, 1);
    await worker.report(taskId, 1, [...items, { kind: "task", event, errors: [] }]);
    const state = event === "faulted" ? "Faulted" : "Succeeded";
    await until(async () => (await stateOf(at(name))) === state, state);
    await until(async () => !(await plane.secretFiles()).some((file) => file.name.includes(taskId)), "the secrets to go");
    return taskId;
  }

  test("runs what is not cut over anew, under another id, and keeps the equal tables of what had begun", async () => {
    const first = await ended(
      "mig",
      [{ name: "done" }, { name: "begun", migrationSetting: { fullLoadStreams: "2" } }, { name: "refused" }],
      "faulted",
      [
        database({ databaseName: "done", state: "COMPLETE" }),
        table("kept", { databaseName: "done" }),
        database({ databaseName: "begun", state: "FAILED" }),
        table("t", { databaseName: "begun" }),
        database({ databaseName: "refused", state: "FAILED" }),
      ],
    );
    for (const [input, missing] of [
      [{}, "source"],
      [{ sourcePassword: "x" }, "target"],
    ] as const) {
      const refused = await restart("mig", input);
      expect([refused.status, details(refused)]).toEqual([400, [`input.${missing}Password`]]);
    }
    const [restarted, ...others] = await Promise.all([restart("mig"), restart("mig"), restart("mig")]);
    expect(restarted.body).toMatchObject({ commandType: "Migrate.Sync.Restart.Task", state: "Succeeded", input: {} });
    for (const other of others) expect(other.body).toEqual(restarted.body);
    const now = (await rest.get<Task>(at("mig"), "?$expand=output,command")).body.properties;
    expect(now).toMatchObject({ taskId: restarted.body.output?.id, state: "Queued", errors: [], commands: [], endedOn: null });
    expect(now.taskId).not.toBe(first);
    const { output = [] } = now as { readonly output?: readonly { readonly id: string; readonly migrationState?: string }[] };
    expect(output.map(({ id, migrationState }) => ({ id, migrationState }))).toEqual([
      { id: now.taskId, migrationState: undefined },
      { id: "db|begun", migrationState: "UNDEFINED" },
      { id: "db|refused", migrationState: "UNDEFINED" },
      { id: "db|done", migrationState: "COMPLETE" },
      { id: "or|done|public|kept", migrationState: undefined },
    ]);
    const [command] = await worker.commands("dms-restart", now.taskId, 1);
    expect(command).toMatchObject({
      type: "run",
      resourceId: at("mig"),
      work: {
        source: { serverName: "pg-src.example.net", credential: { kind: "secret" } },
        selectedDatabases: [
          { name: "begun", migrationSetting: { fullLoadStreams: "2", onExistingRows: "keepEqual" } },
          { name: "refused", migrationSetting: {} },
        ],
        earlierTaskIds: [first],
      },
    });
    expect(await readSecretFile(plane.secretsDir, `file:mig-${now.taskId}-source`)).toBe("again-source");
    expect((await plane.secretFiles()).some(({ name }) => name.includes(first))).toBe(false);
    // What comes late of the first run is about nothing any more.
    await worker.report(first, 9, [{ kind: "task", event: "succeeded", errors: [] }]);
    await worker.report(now.taskId, 1, [{ kind: "task", event: "started", errors: [] }]);
    await until(async () => (await stateOf(at("mig"))) === "Running", "Running");
    await worker.report(now.taskId, 2, [
      database({ databaseName: "begun", state: "FAILED" }),
      { kind: "task", event: "faulted", errors: [] },
    ]);
    await until(async () => (await stateOf(at("mig"))) === "Faulted", "Faulted");
    const last = await restart("mig");
    const [again] = await worker.commands("dms-restart", last.body.output?.id ?? "", 1);
    expect(again).toMatchObject({
      work: { selectedDatabases: [{ name: "begun" }, { name: "refused" }], earlierTaskIds: [first, now.taskId] },
    });
  });

  test("is for migrations alone, that failed or were cancelled, and whose rows can be told from others", async () => {
    await rest.put<Task>(at("connect"), connectBody());
    await rest.put<Task>(at("queued"), migrateBody());
    await ended("complete", [{ name: "a" }], "succeeded", []);
    await ended("append", [{ name: "a", migrationSetting: { onExistingRows: "append" } }], "faulted", [table("t", { databaseName: "a" })]);
    const skipped = { skipChecks: errors.TargetTableNotEmpty.code };
    await ended("skipped", [{ name: "a", migrationSetting: skipped }], "faulted", [table("t", { databaseName: "a" })]);
    const statuses = async (names: readonly string[]): Promise<number[]> =>
      Promise.all(names.map(async (name) => (await restart(name)).status));
    expect(await statuses(["absent", "connect", "queued", "complete", "append", "skipped"])).toEqual([404, 400, 409, 409, 409, 409]);
    expect(await Promise.all(["complete", "append"].map((name) => stateOf(at(name))))).toEqual(["Succeeded", "Faulted"]);
  });
});

describe("seats", () => {
  test("as many migrations run as the service has vCores; the next begins when one ends; small tasks need none", async () => {
    await makeService(rest, "dms-seats");
    const names = ["m1", "m2", "m3", "m4", "m5"];
    const made: Reply<Task>[] = [];
    for (const name of names) made.push(await rest.put<Task>(task("dms-seats", name), migrateBody()));
    const small = await rest.put<Task>(task("dms-seats", "connect"), connectBody());
    expect(made.map(({ body }) => body.properties.waitingFor?.includes("vCores"))).toEqual([false, false, false, false, true]);
    expect(await worker.commands("dms-seats", idOf(small), 1)).toHaveLength(1);
    const [first, , , , fifth] = made;
    if (!first || !fifth) throw new Error("five were made");
    await expect(worker.commands("dms-seats", idOf(fifth), 1)).rejects.toThrow("only 0 commands");
    await worker.report(idOf(first), 1, [{ kind: "task", event: "failed", errors: [] }]);
    await until(async () => (await rest.get<Task>(task("dms-seats", "m5"))).body.properties.waitingFor === "a worker", "a seat");
    expect(await worker.commands("dms-seats", idOf(fifth), 1)).toHaveLength(1);
  });

  test("a stopped service keeps tasks queued until it is started", async () => {
    await makeService(rest, "dms-stop");
    expect((await rest.post(`${service("dms-stop")}/stop`)).status).toBe(202);
    expect((await rest.post(`${service("dms-stop")}/stop`)).status).toBe(200);
    const made = await rest.put<Task>(task("dms-stop", "connect"), connectBody());
    expect(made.body.properties).toMatchObject({ state: "Queued" });
    expect(made.body.properties.waitingFor).toContain("stopped");
    expect((await rest.post(`${service("dms-stop")}/start`)).status).toBe(202);
    expect(await worker.commands("dms-stop", idOf(made), 1)).toHaveLength(1);
    const refused = await rest.post(`${service("dms-stop")}/stop`);
    expect(refused.status).toBe(400);
    expect(errorOf(refused)).toMatchObject({ code: "InvalidRequest" });
    expect(errorOf(refused).message).toContain("One or more activities are currently running");
  });

  test("the Standard tier refuses online migrations and takes connect tasks", async () => {
    await makeService(rest, "dms-standard", { sku: { name: "Standard_1vCores" } });
    const refused = await rest.put(task("dms-standard", "mig"), migrateBody());
    expect(refused.status).toBe(400);
    expect(errorOf(refused)).toMatchObject({ code: "SkuNotSupported" });
    expect((await rest.put(task("dms-standard", "connect"), connectBody())).status).toBe(201);
    const busy = await rest.send("PATCH", service("dms-standard"), { sku: { name: "premium_4vcores" } });
    expect(errorOf(busy)).toMatchObject({ code: "ServiceIsBusy" });
  });
});

describe("lists of tasks", () => {
  test("filter by taskType, leave etag and output out, and follow nextLink to the end", async () => {
    await makeService(rest, "dms-list");
    const names = Array.from({ length: 120 }, (_, index) => `task-${String(index).padStart(3, "0")}`);
    const made = await Promise.all(
      names.map((name) => rest.put(task("dms-list", name), name.endsWith("7") ? migrateBody() : connectBody())),
    );
    expect(new Set(made.map(({ status }) => status))).toEqual(new Set([201]));
    const seen: Task[] = [];
    for (let next: string | undefined = `${project("dms-list")}/tasks`; next !== undefined;) {
      const page: Reply<Page<Task>> = await rest.get<Page<Task>>(next);
      seen.push(...page.body.value);
      next = page.body.nextLink;
      if (next !== undefined) expect(next.startsWith(plane.url)).toBe(true);
    }
    expect(seen.map(({ name }) => name)).toEqual(names);
    expect(seen.some((item) => "etag" in item || item.properties.output !== undefined)).toBe(false);
    const filter = "?taskType=migrate.postgresql.azuredbforpostgresql.sync";
    const filtered = await rest.get<Page<Task>>(`${project("dms-list")}/tasks`, filter);
    expect(filtered.body.value).toHaveLength(12);
    expect((await rest.get<Page<Task>>(`${project("dms-list")}/tasks`, "?taskType=Migrate.SqlServer.SqlDb")).body.value).toEqual([]);
    expect((await rest.get(`${project("dms-list")}/tasks`, "?$skipToken=nonsense")).status).toBe(400);
  });
});
