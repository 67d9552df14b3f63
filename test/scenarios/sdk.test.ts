process.env["NO_PROXY"] = "127.0.0.1,localhost";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DataMigrationServiceClient, type DataMigrationServiceModels } from "@azure/arm-datamigration";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DatabaseLevelOutput, type Task, type TableLevelOutput } from "../../contracts/wire.ts";
import { startEnvironment, type Environment } from "../../local/environment.ts";
import { type PostgresServer } from "../../local/postgres.ts";
import { startAutomation, type Automation } from "../functions/fixtures/bus.ts";
import { until } from "../functions/fixtures/rest.ts";
import { LOCALHOST, LOOPBACK, makeAuthority, type Authority } from "./sdk/certificates.ts";
import { startRecorder, type Recorder } from "./sdk/recorder.ts";
import { allRows, filesWith, holds, messagesWith } from "./sdk/search.ts";

/** Steps 7 to 18 of the classic tutorial, over TLS that is verified, by the unmodified client and by what `az dms` sends. */

const SUBSCRIPTION = randomUUID();
const GROUP = "rg-list";
const SERVICE = "dms-local"; // the one that has a worker from the start
const WAIT_MS = 90_000;

const SCHEMA = `
  CREATE TABLE lists (id serial PRIMARY KEY, title text NOT NULL);
  CREATE TABLE items (id serial PRIMARY KEY, list_id int NOT NULL REFERENCES lists, note text);
  CREATE TABLE empty_one (id int PRIMARY KEY);`;
const ROWS = `
  INSERT INTO lists (title) SELECT 'list ' || g FROM generate_series(1, 200) g;
  INSERT INTO items (list_id, note) SELECT 1 + g % 200, md5(g::text) FROM generate_series(1, 5000) g;`;

let authority: Authority;
let source: PostgresServer;
let target: PostgresServer;
let environment: Environment;
let recorder: Recorder;
let automation: Automation;
/** Rows of the tables as they were in the middle of each migration, and at the end. */
const rows: string[] = [];

beforeAll(async () => {
  authority = await makeAuthority("pgdms test authority");
  [source, target] = await Promise.all([authority.startServer("13", [LOCALHOST]), authority.startServer("17", [LOCALHOST, LOOPBACK])]);
  environment = await startEnvironment({
    port: 0,
    service: SERVICE,
    replaceWorkers: false,
    workerSettings: { NODE_EXTRA_CA_CERTS: authority.file },
  });
  recorder = await startRecorder(environment.url);
  automation = startAutomation(environment.serviceBusConnection);
}, 150_000);

afterAll(async () => {
  await automation?.close();
  await recorder?.stop();
  await environment?.stop();
  await Promise.all([source?.stop(), target?.stop()]);
  await authority?.remove();
}, 60_000);

const query = async (server: PostgresServer, database: string, sql: string): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  try {
    const result = await client.query<Record<string, unknown>>(sql);
    return Array.isArray(result) ? [] : result.rows;
  } finally {
    await client.end();
  }
};

/** A database with rows on the source, and one with the same schema on the target. */
async function prepare(name: string): Promise<void> {
  for (const server of [source, target]) {
    await query(server, "postgres", `CREATE DATABASE ${name}`);
    await query(server, name, SCHEMA);
  }
  await query(source, name, ROWS);
}

async function expectMoved(name: string): Promise<void> {
  const sum = "SELECT count(*) AS n, sum(hashtext(items::text)) AS h FROM items";
  expect(await query(target, name, sum)).toEqual(await query(source, name, sum));
  const [next] = await query(target, name, "INSERT INTO items (list_id, note) VALUES (1, 'the first at home') RETURNING id");
  const [max] = await query(source, name, "SELECT max(id) AS id FROM items");
  expect(Number(next?.["id"])).toBeGreaterThan(Number(max?.["id"]));
  await expect(query(target, name, "INSERT INTO items (list_id) VALUES (-1)")).rejects.toMatchObject({ code: "23503" });
  expect(await query(source, name, "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")).toEqual([]);
  expect(await query(source, name, "SELECT pubname FROM pg_publication")).toEqual([]);
}

const connection = (server: PostgresServer, databaseName: string) => ({
  type: "PostgreSqlConnectionInfo" as const,
  serverName: "localhost",
  port: server.port,
  databaseName,
  userName: "postgres",
  password: server.password ?? "",
});

const sourcePassword = (): string => source.password ?? "?";

describe("the client @azure/arm-datamigration 2.1.1", () => {
  let client: DataMigrationServiceClient;
  const at = [GROUP, SERVICE, "pg-online"] as const;
  beforeAll(async () => {
    await prepare("listdb");
    const credential = { getToken: () => Promise.resolve({ token: "local", expiresOnTimestamp: Date.now() + 3_600_000 }) };
    client = new DataMigrationServiceClient(credential, SUBSCRIPTION, {
      baseUri: recorder.url,
      longRunningOperationRetryTimeout: 0,
      noRetryPolicy: true,
    });
  }, 60_000);

  const ended = (name: string): Promise<Task["properties"]> =>
    until(
      async () => {
        const { _response } = await client.tasks.get(...at, name, { expand: "output" });
        const { properties } = JSON.parse(_response.bodyAsText) as Task;
        return ["Queued", "Running", "Canceling"].includes(properties.state) ? false : properties;
      },
      `the end of ${name}`,
      WAIT_MS,
    );

  test("makes the service and the project, steps 7 and 8", async () => {
    const service = await client.services.createOrUpdate(
      { location: "westeurope", virtualSubnetId: "/subscriptions/s/subnets/a", sku: { name: "Premium_4vCores" } },
      GROUP,
      SERVICE,
    );
    expect(service.provisioningState).toBe("Succeeded");
    await until(async () => (await client.services.checkStatus(GROUP, SERVICE)).status === "Online", "an online service", WAIT_MS);
    const project = await client.projects.createOrUpdate(
      { location: "westeurope", sourcePlatform: "PostgreSql", targetPlatform: "AzureDbForPostgreSql" },
      ...at,
    );
    expect(project.provisioningState).toBe("Succeeded");
  });

  test("tries both ends and lists the tables, steps 9 to 12, over TLS by default", async () => {
    const input = { sourceConnectionInfo: connection(source, "listdb"), targetConnectionInfo: connection(target, "listdb") };
    await client.tasks.createOrUpdate({ properties: { taskType: "ConnectToSource.PostgreSql.Sync", input } }, ...at, "connect-source");
    await client.tasks.createOrUpdate(
      { properties: { taskType: "ConnectToTarget.AzureDbForPostgreSql.Sync", input } },
      ...at,
      "connect-target",
    );
    await client.tasks.createOrUpdate(
      {
        properties: {
          taskType: "GetUserTablesPostgreSql",
          input: { connectionInfo: input.sourceConnectionInfo, selectedDatabases: ["listdb"] },
        },
      },
      ...at,
      "tables",
    );
    const [fromSource, fromTarget, tables] = await Promise.all([ended("connect-source"), ended("connect-target"), ended("tables")]);
    expect(fromSource).toMatchObject({ state: "Succeeded", output: [{ sourceServerVersion: expect.stringMatching(/^13/) as string }] });
    expect(JSON.stringify(fromSource.output)).toContain('"listdb"');
    expect(fromTarget).toMatchObject({ state: "Succeeded", output: [{ targetServerVersion: expect.stringMatching(/^17/) as string }] });
    const [listdb] = tables.output as unknown as { tables: { name: string; hasRows: boolean }[] }[];
    expect(listdb?.tables.map(({ name, hasRows }) => [name, hasRows]).sort()).toEqual([
      ["public.empty_one", false],
      ["public.items", true],
      ["public.lists", true],
    ]);
  });

  test("migrates, watches, cuts over and ends, steps 13 to 18", async () => {
    const made = await client.tasks.createOrUpdate(
      {
        properties: {
          taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync",
          clientData: { ticket: "CHG-4711" },
          input: {
            sourceConnectionInfo: connection(source, "listdb"),
            targetConnectionInfo: connection(target, "listdb"),
            selectedDatabases: [{ name: "listdb", targetDatabaseName: "listdb", migrationSetting: { fullLoadStreams: "2" } }],
          },
        },
      },
      ...at,
      "migrate-listdb",
    );
    expect(made.properties?.state).toBe("Queued");
    const outputs = async (): Promise<readonly DataMigrationServiceModels.MigratePostgreSqlAzureDbForPostgreSqlSyncTaskOutputUnion[]> => {
      const { properties } = await client.tasks.get(...at, "migrate-listdb", { expand: "output" });
      return (properties as DataMigrationServiceModels.MigratePostgreSqlAzureDbForPostgreSqlSyncTaskProperties).output ?? [];
    };
    const databaseIn = async (state: string): Promise<DatabaseLevelOutput | false> => {
      const found = (await outputs()).find((item) => item.resultType === "DatabaseLevelOutput") as DatabaseLevelOutput | undefined;
      return found?.migrationState === state && found;
    };
    await until(() => databaseIn("READY_TO_COMPLETE"), "Ready to cutover", WAIT_MS);
    const [sessions] = await query(
      source,
      "listdb",
      "SELECT count(*) AS all, count(*) FILTER (WHERE ssl) AS encrypted FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'pgdms%'",
    );
    expect(Number(sessions?.["all"])).toBeGreaterThan(0);
    expect(sessions?.["encrypted"]).toBe(sessions?.["all"]);
    rows.push(...(await allRows(environment.tablesConnection)));
    await query(source, "listdb", "INSERT INTO items (list_id, note) SELECT 1, 'late' FROM generate_series(1, 50)");
    await query(source, "listdb", "UPDATE items SET note = 'changed' WHERE id <= 20");
    await query(source, "listdb", "DELETE FROM items WHERE id BETWEEN 30 AND 34");
    await until(
      async () => {
        const found = await databaseIn("READY_TO_COMPLETE");
        return found && found.appliedChanges === 75 && found.incomingChanges === 0 && found;
      },
      "the changes",
      WAIT_MS,
    );
    const tables = (await outputs()).filter((item) => item.resultType === "TableLevelOutput") as unknown as TableLevelOutput[];
    expect(tables.find(({ tableName }) => tableName === "public.items")).toMatchObject({
      cdcInsertCounter: 50,
      cdcUpdateCounter: 20,
      cdcDeleteCounter: 5,
      fullLoadTotalRows: 5000,
      state: "COMPLETED",
    });
    const command = await client.tasks.command(...at, "migrate-listdb", {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName: "listdb", commitTimeStamp: new Date() },
    });
    expect(command.state).toBe("Accepted");
    expect(await ended("migrate-listdb")).toMatchObject({ state: "Succeeded", errors: [] });
    expect(await databaseIn("COMPLETE")).toMatchObject({ initializationCompleted: true, cutover: { sequencesSet: 2, tablesDifferent: 0 } });
    const { properties } = await client.tasks.get(...at, "migrate-listdb", { expand: "command" });
    expect(properties?.commands).toMatchObject([{ state: "Succeeded" }]);
    await expectMoved("listdb");
  });

  test("a certificate of an unknown authority, or of another name, is refused, with the remedy", async () => {
    const stranger = await makeAuthority("nobody knows it");
    const server = await stranger.startServer("13", [LOCALHOST]);
    try {
      const untrusted = connection(server, "postgres");
      const misnamed = { ...connection(source, "listdb"), serverName: "127.0.0.1" };
      const named = { ...connection(target, "listdb"), serverName: "127.0.0.1" }; // its certificate has the address too
      const taskType = "ConnectToSource.PostgreSql.Sync" as const;
      await client.tasks.createOrUpdate({ properties: { taskType, input: { sourceConnectionInfo: untrusted } } }, ...at, "untrusted");
      await client.tasks.createOrUpdate({ properties: { taskType, input: { sourceConnectionInfo: misnamed } } }, ...at, "misnamed");
      const input = { sourceConnectionInfo: connection(source, "listdb"), targetConnectionInfo: named };
      await client.tasks.createOrUpdate({ properties: { taskType: "ConnectToTarget.AzureDbForPostgreSql.Sync", input } }, ...at, "named");
      for (const name of ["untrusted", "misnamed"]) {
        const { state, errors } = await ended(name);
        expect(state, name).toBe("Failed");
        expect(errors, name).toMatchObject([{ code: "PG1005", message: expect.stringContaining("trustServerCertificate") as string }]);
      }
      expect(await ended("named")).toMatchObject({ state: "Succeeded" });
    } finally {
      await server.stop();
      await stranger.remove();
    }
  }, 120_000);
});

describe("the JSON that az dms sends", () => {
  const services = `/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}/providers/Microsoft.DataMigration/services`;
  const project = `${services}/${SERVICE}/projects/pg-az`;
  const az = async <T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> => {
    const response = await fetch(`${recorder.url}${path}${path.includes("?") ? "&" : "?"}api-version=2021-06-30`, {
      method,
      headers: { "content-type": "application/json", authorization: "Bearer local" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as T };
  };
  const azConnection = (server: PostgresServer) => ({
    ...connection(server, "shopdb"),
    encryptConnection: true,
    trustServerCertificate: false,
  });

  test("goes the whole way too: az dms create, project, task, show, cutover, delete", async () => {
    await prepare("shopdb");
    const check = await az(
      "POST",
      `/subscriptions/${SUBSCRIPTION}/providers/Microsoft.DataMigration/locations/westeurope/checkNameAvailability`,
      {
        name: SERVICE,
        type: "services",
      },
    );
    expect(check.status).toBe(200);
    const subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/a";
    const sku = { name: "Premium_4vCores" };
    const service = await az("PUT", `${services}/${SERVICE}`, { location: "westeurope", properties: { virtualSubnetId: subnet }, sku });
    expect([200, 201]).toContain(service.status);
    const properties = { sourcePlatform: "postgresql", targetPlatform: "azuredbforpostgresql" };
    expect((await az("PUT", project, { location: "westeurope", properties })).status).toBe(201);
    const free = await az("POST", `${services}/${SERVICE}%2Fprojects%2Fpg-az/checkNameAvailability`, {
      name: "migrate-shopdb",
      type: "tasks",
    });
    expect(free.body).toMatchObject({ nameAvailable: true });
    expect((await az("GET", project)).body).toMatchObject({ properties: { sourcePlatform: "PostgreSQL" } });
    const task = `${project}/tasks/migrate-shopdb`;
    const made = await az("PUT", task, {
      properties: {
        taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
        input: {
          selectedDatabases: [
            {
              name: "shopdb",
              targetDatabaseName: "shopdb",
              selectedTables: [{ name: "public.lists" }, { name: "public.items" }],
              migrationSetting: {},
              sourceSetting: {},
              targetSetting: {},
            },
          ],
          sourceConnectionInfo: azConnection(source),
          targetConnectionInfo: azConnection(target),
        },
      },
    });
    expect(made.status).toBe(201);
    const shown = async (): Promise<Task["properties"]> => (await az<Task>("GET", `${task}?$expand=output`)).body.properties;
    const reaches = (state: string): Promise<unknown> =>
      until(async () => JSON.stringify((await shown()).output ?? []).includes(`"migrationState":"${state}"`), state, WAIT_MS);
    await reaches("READY_TO_COMPLETE");
    rows.push(...(await allRows(environment.tablesConnection)));
    const cutover = await az("POST", `${task}/command`, {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName: "shopdb" },
    });
    expect(cutover.status).toBe(200);
    await until(async () => (await shown()).state === "Succeeded", "Succeeded", WAIT_MS);
    await expectMoved("shopdb");
    expect((await az("GET", `${project}/tasks?taskType=Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2`)).body).toMatchObject({
      value: [{ name: "migrate-shopdb" }],
    });
    expect((await az("DELETE", `${task}?deleteRunningTasks=false`)).status).toBe(200);
    expect((await az("DELETE", `${project}?deleteRunningTasks=true`)).status).toBe(200);
  });
});

describe("after both migrations", () => {
  test("events told each of them, in order", async () => {
    for (const name of ["listdb", "shopdb"]) {
      await automation.event("pgdms.database.cutoverFinished", ({ data }) => data.databaseName === name && data.succeeded);
      const states = automation.events.flatMap((event) =>
        event.type === "pgdms.database.stateChanged" && event.data.databaseName === name ? [event.data.state] : [],
      );
      // COMPLETING may be over within one report, and then nobody hears of it.
      expect(states.filter((state) => state !== "COMPLETING").slice(-2)).toEqual(["READY_TO_COMPLETE", "COMPLETE"]);
    }
  });

  test("no log line, row, message, event or answer holds a password", async () => {
    const bus = join(environment.dataDir, "bus");
    rows.push(...(await allRows(environment.tablesConnection)));
    // What is to be found is found, in each of these places: else the search would prove nothing.
    expect(await messagesWith(bus, "shopdb")).toEqual(expect.arrayContaining([`commands-${SERVICE}`, "reports"]));
    expect(holds(rows, "listdb")).toBe(true);
    expect(holds(rows, "shopdb")).toBe(true);
    expect((await filesWith(environment.logsDir, SERVICE)).length).toBeGreaterThan(0);
    expect(holds(recorder.answers, "shopdb")).toBe(true);
    for (const password of [sourcePassword(), target.password ?? "?"]) {
      expect(password.length).toBeGreaterThan(20);
      expect(await messagesWith(bus, password)).toEqual([]);
      expect(await filesWith(environment.dataDir, password)).toEqual([]);
      expect(holds(rows, password)).toBe(false);
      expect(holds(recorder.answers, password)).toBe(false);
      expect(holds([JSON.stringify(automation.events)], password)).toBe(false);
    }
  });
});
