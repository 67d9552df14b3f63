import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { Command } from "./command.ts";
import { contents } from "./world.ts";

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const ending of endings.splice(0)) await ending();
});

interface Item {
  readonly resultType?: string;
  readonly migrationState?: string;
  readonly incomingChanges?: number;
  readonly fullLoadCompletedTables?: number;
  readonly databases?: readonly string[];
  readonly tables?: readonly { readonly name: string; readonly hasRows: boolean }[];
}

interface TaskBody {
  readonly properties: { readonly state: string; readonly output?: readonly Item[]; readonly errors: unknown };
}

// What a person's script would be: nothing of ours is imported for the calls.
test("a script with plain fetch does the tutorial's steps 7 to 18 against npm start", { timeout: 120_000 }, async () => {
  const pair = await createPair();
  const { source, target } = pair;
  await source.query(
    "CREATE TABLE lists (id serial PRIMARY KEY, title text); INSERT INTO lists (title) SELECT 'list ' || n FROM generate_series(1, 300) n",
  );
  const folder = Command.makeFolder();
  const start = new Command("start", ["--port", "0", "--data", `${folder}/data`], folder);
  endings.push(
    () => start.cleanUp(),
    () => pair.drop(),
  );
  const [, url] = await start.says(/pgdms is ready at (http:\/\/127\.0\.0\.1:\d+)/);

  const service = `${url}/subscriptions/${"0".repeat(8)}/resourceGroups/rg-list/providers/Microsoft.DataMigration/services/dms-list`;
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const answer = await fetch(`${service}${path}${path.includes("?") ? "&" : "?"}api-version=2018-07-15-preview`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    const text = await answer.text();
    expect(answer.status, text).toBeLessThan(300);
    return JSON.parse(text) as T;
  };
  const tasks = "/projects/pg-online/tasks";
  const until = async (name: string, isThere: (task: TaskBody) => boolean): Promise<readonly Item[]> => {
    for (;;) {
      const task = await call<TaskBody>("GET", `${tasks}/${name}?$expand=output`);
      if (isThere(task)) return task.properties.output ?? [];
      expect(["Queued", "Running"], JSON.stringify(task.properties)).toContain(task.properties.state);
      await sleep(200);
    }
  };
  const isDone = ({ properties }: TaskBody): boolean => properties.state === "Succeeded";
  const run = async (name: string, taskType: string, input: unknown): Promise<readonly Item[]> => {
    await call("PUT", `${tasks}/${name}`, { properties: { taskType, input } });
    return until(name, isDone);
  };
  const connection = (port: number, databaseName: string) => ({
    serverName: "127.0.0.1",
    port,
    databaseName,
    userName: "postgres",
    encryptConnection: false,
  });
  const sourceConnectionInfo = connection(source.port, source.name);
  const targetConnectionInfo = connection(target.port, target.name);
  const database = (task: TaskBody): Item | undefined =>
    task.properties.output?.find(({ resultType }) => resultType === "DatabaseLevelOutput");

  // 7 and 8: service and project
  await call("PUT", "", { location: "westeurope", sku: { name: "Premium_4vCores" }, properties: { virtualSubnetId: "/subnet" } });
  await expect.poll(async () => (await call<{ status: string }>("POST", "/checkStatus")).status, { timeout: 30_000 }).toBe("Online");
  await call("PUT", "/projects/pg-online", {
    location: "westeurope",
    properties: { sourcePlatform: "PostgreSql", targetPlatform: "AzureDbForPostgreSql" },
  });

  // 9 to 12: source, target, databases, tables
  const [seen] = await run("source", "ConnectToSource.PostgreSql.Sync", { sourceConnectionInfo });
  expect(seen?.databases).toContain(source.name);
  const [seenTarget] = await run("target", "ConnectToTarget.AzureDbForPostgreSql.Sync", { sourceConnectionInfo, targetConnectionInfo });
  expect(seenTarget?.databases).toContain(target.name);
  const [listed] = await run("tables", "GetUserTablesPostgreSql", {
    connectionInfo: sourceConnectionInfo,
    selectedDatabases: [source.name],
  });
  expect(listed?.tables).toMatchObject([{ name: "public.lists", hasRows: true }]);

  // 13 to 16: settings, start, monitor
  const input = {
    sourceConnectionInfo,
    targetConnectionInfo,
    selectedDatabases: [
      {
        name: source.name,
        targetDatabaseName: target.name,
        selectedTables: [{ name: "public.lists" }],
        migrationSetting: { migrateSchema: "true" },
      },
    ],
  };
  await call("PUT", `${tasks}/move`, { properties: { taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.Sync", input } });
  await until("move", (task) => database(task)?.migrationState === "READY_TO_COMPLETE");
  await source.query("UPDATE lists SET title = 'changed while it was followed' WHERE id <= 50; INSERT INTO lists (title) VALUES ('new')");

  // 17 and 18: cutover, completed
  await call("POST", `${tasks}/move/command`, { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: source.name } });
  const output = await until("move", isDone);
  expect(output.find(({ resultType }) => resultType === "DatabaseLevelOutput")).toMatchObject({
    migrationState: "COMPLETE",
    incomingChanges: 0,
    fullLoadCompletedTables: 1,
  });
  expect(await contents(target, "lists")).toEqual(await contents(source, "lists"));
  await target.query("INSERT INTO lists (title) VALUES ('the sequence goes on')");
  expect((await target.query("SELECT max(id) AS id FROM lists")).rows).toEqual([{ id: 302 }]);
});
