import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { Client } from "../../local/client.ts";
import { startEnvironment, type Environment } from "../../local/environment.ts";
import { createPair } from "../setup/databases.ts";
import { readMigration, troubleOf, untilPhase, type MigrationView, type Phase } from "../../local/watch.ts";
import { contents, leftOnSource, leftOnTarget } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 }); // each test starts all of pgdms, some twice

const endings: (() => Promise<unknown>)[] = [];
const atEnd = (ending: () => Promise<unknown>): void => void endings.unshift(ending);
afterEach(async () => {
  for (const ending of endings.splice(0)) await ending();
});

async function start(options: Partial<Parameters<typeof startEnvironment>[0]> = {}): Promise<Environment> {
  const environment = await startEnvironment({ port: 0, ...options });
  atEnd(() => environment.stop());
  return environment;
}

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgdms-test-"));
  atEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const serviceUrl = ({ url }: Environment, name: string, action = ""): string =>
  `${url}/subscriptions/s/resourceGroups/g/providers/Microsoft.DataMigration/services/${name}${action}?api-version=2021-06-30`;

async function statusOf(
  environment: Environment,
  name: string,
): Promise<{ status: string; workers: { workerId: string; alive: boolean }[] }> {
  const answer = await fetch(serviceUrl(environment, name, "/checkStatus"), { method: "POST" });
  const { status, workers = [] } = (await answer.json()) as { status: string; workers?: { workerId: string; alive: boolean }[] };
  return { status, workers };
}

const put = (environment: Environment, name: string): Promise<Response> =>
  fetch(serviceUrl(environment, name), {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ location: "local" }),
  });

const clientOf = ({ url }: Environment): Client =>
  new Client(url, { subscription: "s", resourceGroup: "g", service: "dms-local", project: "moves" }, new AbortController().signal);

async function reaches(client: Client, databaseName: string, phase: Phase): Promise<MigrationView> {
  const read = (): Promise<MigrationView> => readMigration(client, "move", databaseName);
  const view = await untilPhase(
    read,
    (seen) => seen.phase === phase,
    () => undefined,
    AbortSignal.timeout(60_000),
  );
  expect(view.phase, troubleOf(view).join("\n")).toBe(phase);
  return view;
}

const soon = { timeout: 30_000, interval: 100 };

test("a service of any name gets workers, loses them when it is stopped, and has them back when it is started", async () => {
  const environment = await start({ workers: 2 });
  await put(environment, "dms-of-mine");
  await expect
    .poll(() => statusOf(environment, "dms-of-mine"), soon)
    .toMatchObject({ status: "Online", workers: [{ alive: true }, { alive: true }] });
  const ours = (): number => environment.workers.filter(({ serviceName }) => serviceName === "dms-of-mine").length;
  await fetch(serviceUrl(environment, "dms-of-mine", "/stop"), { method: "POST" });
  await expect.poll(ours, soon).toBe(0);
  await fetch(serviceUrl(environment, "dms-of-mine", "/start"), { method: "POST" });
  await expect.poll(ours, soon).toBe(2);
});

test("a worker that dies is replaced, and the person at the terminal is told", async () => {
  const said: string[] = [];
  const environment = await start({ say: (line) => said.push(line) });
  const [first] = environment.workers;
  await environment.killWorker(first?.workerId ?? "", "SIGKILL");
  await expect.poll(() => environment.workers.map(({ workerId }) => workerId), soon).toEqual(["dms-local-2"]);
  expect(said.join("\n")).toMatch(/worker dms-local-1 died \(SIGKILL\) and is replaced/);
});

test("the end of a part that nothing replaces is told with its log", async () => {
  const environment = await start();
  const [broker = 0] = environment.pids;
  process.kill(broker, "SIGKILL");
  expect((await environment.failed).message).toMatch(/the broker ended \(SIGKILL\)\. Its log: .*broker\.log/);
});

test("a migration that runs when everything is stopped goes on after the next start on the same folder", async () => {
  const dataDir = await makeFolder();
  const pair = await createPair();
  atEnd(() => pair.drop());
  const { source, target } = pair;
  await source.query(
    "CREATE TABLE notes (id int PRIMARY KEY, note text); INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 500) n",
  );
  const first = await start({ dataDir });
  const before = clientOf(first);
  await before.putService();
  await before.putProject();
  await before.putMigration("move", {
    sourceConnectionInfo: { ...source.reference },
    targetConnectionInfo: { ...target.reference },
    selectedDatabases: [{ name: source.name, targetDatabaseName: target.name, migrationSetting: { migrateSchema: "true" } }],
  });
  await reaches(before, source.name, "sync");
  await first.stop();

  await source.query("UPDATE notes SET note = 'written while pgdms was down' WHERE id <= 10; DELETE FROM notes WHERE id > 490");
  const after = clientOf(await start({ dataDir }));
  await reaches(after, source.name, "sync");
  await after.cutOver("move", source.name);
  const { task } = await reaches(after, source.name, "over");
  expect(task.properties.state).toBe("Succeeded");
  expect(await contents(target, "notes")).toEqual(await contents(source, "notes"));
  expect([await leftOnSource(source), await leftOnTarget(target)]).toEqual([[], []]);
});

test("a data folder that another environment uses is refused by the process that holds it", async () => {
  const dataDir = await makeFolder();
  await start({ dataDir });
  await expect(startEnvironment({ port: 0, dataDir })).rejects.toThrow(`${dataDir} is in use by process ${process.pid}: stop that one`);
});

test("a port that is taken is refused by number, and nothing is left running", async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    }),
  );
  atEnd(() => new Promise((done) => server.close(done)));
  const dataDir = await makeFolder();
  await expect(startEnvironment({ port, dataDir })).rejects.toThrow(`port ${port} of 127.0.0.1 is taken: choose another one with --port`);
  await start({ dataDir }); // the folder is free again
});

test("a start that is called off ends what had started", async () => {
  const dataDir = await makeFolder();
  const controller = new AbortController();
  const starting = startEnvironment({ port: 0, dataDir, signal: controller.signal });
  controller.abort(new Error("changed my mind"));
  await expect(starting).rejects.toThrow("changed my mind");
  await start({ dataDir });
});
