process.env["NO_PROXY"] = "127.0.0.1,localhost";
import { DataMigrationServiceClient, type DataMigrationServiceModels } from "@azure/arm-datamigration";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import { SUBSCRIPTION, until } from "./fixtures/rest.ts";
import { database, startWorker, table, type FakeWorker } from "./fixtures/worker.ts";

/** The unmodified client of the classic service, version 2.1.1. */
let plane: Plane;
let worker: FakeWorker;
let client: DataMigrationServiceClient;
beforeAll(async () => {
  plane = await startPlane();
  worker = startWorker(plane.serviceBus);
  const credential = { getToken: () => Promise.resolve({ token: "local", expiresOnTimestamp: Date.now() + 3_600_000 }) };
  client = new DataMigrationServiceClient(credential, SUBSCRIPTION, {
    baseUri: plane.url,
    longRunningOperationRetryTimeout: 0,
    noRetryPolicy: true,
  });
});
afterAll(async () => {
  await worker.close();
  await plane.stop();
});

const at = ["rg-list", "dms-client", "pg-online"] as const;
const [group, name] = at;
const source: DataMigrationServiceModels.PostgreSqlConnectionInfo = {
  type: "PostgreSqlConnectionInfo",
  serverName: "pg-src.example.net",
  port: 5432,
  databaseName: "listdb",
  userName: "dms_reader",
  password: "src-secret",
};
const target = { ...source, serverName: "pg-tgt.example.net", userName: "dms_writer", password: "tgt-secret" };

test("services: made, read, listed, sized, checked, stopped, started, and deleted", async () => {
  const made = await client.services.createOrUpdate(
    { location: "westeurope", virtualSubnetId: "/subnet", sku: { name: "Premium_4vCores" } },
    group,
    name,
  );
  expect(made).toMatchObject({ name, provisioningState: "Succeeded", sku: { tier: "Premium" } });
  expect((await client.services.get(group, name)).etag).toBe(made.etag);
  expect((await client.services.listByResourceGroup(group)).map((item) => item.name)).toEqual([name]);
  expect((await client.services.list()).map((item) => item.name)).toEqual([name]);
  expect(
    (await client.services.update({ location: "westeurope", virtualSubnetId: "/subnet", tags: { a: "b" } }, group, name)).tags,
  ).toEqual({ a: "b" });
  expect((await client.services.checkStatus(group, name)).status).toBe("Offline");
  expect((await client.services.listSkus(group, name)).map((item) => item.sku?.name)).toContain("Premium_4vCores");
  expect(await client.services.checkNameAvailability("westeurope", { name, type: "services" })).toMatchObject({
    nameAvailable: false,
    reason: "AlreadyExists",
  });
  expect((await client.resourceSkus.listSkus()).length).toBeGreaterThan(0);
  expect((await client.usages.list("westeurope"))[0]?.currentValue).toBe(1);
  expect((await client.operations.list()).length).toBeGreaterThan(0);
  await client.services.stop(group, name);
  expect((await client.services.get(group, name)).provisioningState).toBe("Stopped");
  // On a stopped service the client's poller ends only because of the Azure-AsyncOperation header.
  expect(
    (await client.services.createOrUpdate({ location: "westeurope", virtualSubnetId: "/subnet" }, group, name)).provisioningState,
  ).toBe("Stopped");
  await client.services.start(group, name);
  await client.services.deleteMethod(group, name, { deleteRunningTasks: true });
  await expect(client.services.get(group, name)).rejects.toMatchObject({ statusCode: 404, code: "ResourceNotFound" });
  await client.services.deleteMethod(group, name);
});

test("a whole migration: project, connect tasks, tables, migrate, cutover, delete", async () => {
  await client.services.createOrUpdate({ location: "westeurope", virtualSubnetId: "/subnet" }, group, name);
  const project = await client.projects.createOrUpdate(
    { location: "westeurope", sourcePlatform: "PostgreSql", targetPlatform: "AzureDbForPostgreSql", sourceConnectionInfo: source },
    ...at,
  );
  expect(project).toMatchObject({ provisioningState: "Succeeded", name: "pg-online" });
  expect((await client.projects.list(group, name)).map((item) => item.name)).toEqual(["pg-online"]);
  const input = { sourceConnectionInfo: source, targetConnectionInfo: target };
  await client.tasks.createOrUpdate({ properties: { taskType: "ConnectToSource.PostgreSql.Sync", input } }, ...at, "connect-source");
  await client.tasks.createOrUpdate(
    { properties: { taskType: "ConnectToTarget.AzureDbForPostgreSql.Sync", input } },
    ...at,
    "connect-target",
  );
  await client.tasks.createOrUpdate(
    { properties: { taskType: "GetUserTablesPostgreSql", input: { connectionInfo: source, selectedDatabases: ["listdb"] } } },
    ...at,
    "tables",
  );
  const made = await client.tasks.createOrUpdate(
    {
      properties: {
        taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
        clientData: { ticket: "CHG-4711" },
        input: {
          ...input,
          selectedDatabases: [{ name: "listdb", targetDatabaseName: "listdb", migrationSetting: { fullLoadSubTasks: "4" } }],
        },
      },
    },
    ...at,
    "migrate-listdb",
  );
  expect(made._response.status).toBe(201);
  expect(made.properties).toMatchObject({ state: "Queued", clientData: { ticket: "CHG-4711" } });
  expect(made._response.bodyAsText).not.toContain("secret");
  expect(
    await client.services.checkChildrenNameAvailability(group, `${name}/projects/pg-online`, { name: "migrate-listdb", type: "tasks" }),
  ).toMatchObject({ nameAvailable: false });
  const filtered = await client.tasks.list(...at, { taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync" });
  expect(filtered.map((item) => item.name)).toEqual(["migrate-listdb"]);

  const { taskId } = (JSON.parse(made._response.bodyAsText) as { properties: { taskId: string } }).properties;
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
    database({ state: "READY_TO_COMPLETE", inserts: 134, updates: 40, deletes: 6, pendingChanges: 0, initializationCompleted: true }),
    table("users", { inserts: 3, updates: 1 }),
  ]);
  const ready = await until(async () => {
    const { properties } = await client.tasks.get(...at, "migrate-listdb", { expand: "output" });
    return (
      properties?.state === "Running" && (properties as DataMigrationServiceModels.MigratePostgreSqlAzureDbForPostgreSqlSyncTaskProperties)
    );
  }, "Running");
  expect(ready.output).toMatchObject([
    { resultType: "MigrationLevelOutput", sourceServerVersion: "12.19", targetServer: "pg-tgt.example.net" },
    { resultType: "DatabaseLevelOutput", migrationState: "READY_TO_COMPLETE", appliedChanges: 180, incomingChanges: 0 },
    {
      resultType: "TableLevelOutput",
      tableName: "public.users",
      totalChangesApplied: 4,
      fullLoadEndedOn: new Date("2026-03-01T10:05:22Z"),
    },
  ]);
  const command = {
    commandType: "Migrate.Sync.Complete.Database" as const,
    input: { databaseName: "listdb", commitTimeStamp: new Date("2026-03-01T11:00:00Z") },
  };
  expect(await client.tasks.command(...at, "migrate-listdb", command)).toMatchObject({
    state: "Accepted",
    input: { databaseName: "listdb" },
  });
  const patched = await client.tasks.update(
    { properties: { taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync", clientData: { a: "b" } } },
    ...at,
    "migrate-listdb",
  );
  expect(patched.properties?.clientData).toEqual({ a: "b" });
  expect((await client.tasks.cancel(...at, "migrate-listdb")).properties?.state).toBe("Canceling");
  expect((await client.tasks.get(...at, "migrate-listdb", { expand: "command" })).properties?.commands).toHaveLength(1);
  await expect(client.tasks.deleteMethod(...at, "migrate-listdb")).rejects.toMatchObject({ statusCode: 409, code: "Conflict" });
  await client.tasks.deleteMethod(...at, "migrate-listdb", { deleteRunningTasks: true });
  await client.projects.deleteMethod(...at, { deleteRunningTasks: true });
  await client.services.deleteMethod(group, name, { deleteRunningTasks: true });
});
