import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { deploy, type Deployed } from "./deployed.ts";
import { connectionOf, contents, leftOnSource, leftOnTarget, World } from "./world.ts";

const HOOK_MS = 150_000;
const STOP_MS_MAX = 10_000;

type Pair = Awaited<ReturnType<typeof createPair>>;

// As in the tutorial, the user has brought the schema to the target.
const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, owner text UNIQUE, balance numeric NOT NULL);
  CREATE TABLE moves (id bigserial PRIMARY KEY, account int REFERENCES accounts, amount numeric, note text);
  CREATE INDEX moves_account ON moves (account);`;

const fill = (moves: number) => `
  INSERT INTO accounts SELECT g, 'owner ' || g, 0 FROM generate_series(1, 2000) g;
  INSERT INTO moves (account, amount, note) SELECT 1 + g % 2000, g, repeat('x', 400) FROM generate_series(1, ${moves}) g;`;

describe("what is deployed, from a folder that holds nothing else", () => {
  let deployed: Deployed;
  let world: World;
  let pair: Pair;

  beforeAll(async () => {
    deployed = await deploy();
    await deployed.startWorker();
    world = await World.over(deployed);
  }, HOOK_MS);
  afterAll(() => deployed.stop(), HOOK_MS);
  beforeEach(async () => {
    pair = await createPair();
    await Promise.all([pair.source.query(SCHEMA), pair.target.query(SCHEMA)]);
  });
  afterEach(() => pair.drop());

  async function expectMoved() {
    for (const table of ["accounts", "moves"]) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect(await leftOnSource(pair.source)).toEqual([]);
    expect(await leftOnTarget(pair.target)).toEqual([]);
  }

  test("neither folder finds packages of ours, and the worker has no rights and can write nothing beside it", () => {
    for (let folder = deployed.functionsFolder; folder !== dirname(folder); folder = dirname(folder))
      expect(existsSync(join(folder, "node_modules"))).toBe(false);
    const [worker] = deployed.workers;
    const status = readFileSync(`/proc/${worker?.pid}/status`, "utf8");
    expect(/^Uid:\s+(\d+)/m.exec(status)?.[1]).not.toBe("0");
    expect(/^CapEff:\s+(\w+)/m.exec(status)?.[1]).toMatch(/^0+$/);
    const entries = readdirSync(deployed.imageFolder, { recursive: true, withFileTypes: true });
    const writable = entries.filter((entry) => (statSync(join(entry.parentPath, entry.name)).mode & 0o222) !== 0);
    expect(writable.map(({ name }) => name)).toEqual([]);
    expect(entries.map(({ name }) => name)).toEqual(expect.arrayContaining(["main.js", "database-thread.js", "telemetry-sdk.js"]));
  });

  test("the package serves the page and the API, and the tutorial is walked to its end", async () => {
    const page = await fetch(`${deployed.url}/portal/`);
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining("<title>")]);
    expect((await fetch(`${deployed.url}/health`)).status).toBe(200);
    await pair.source.query(fill(5_000));
    const { source, target } = pair;
    await world.putTask("source", "ConnectToSource.PostgreSql.Sync", { sourceConnectionInfo: connectionOf(source) });
    await world.putTask("target", "ConnectToTarget.AzureDbForPostgreSql.Sync", {
      sourceConnectionInfo: connectionOf(source),
      targetConnectionInfo: connectionOf(target),
    });
    await world.putTask("tables", "GetUserTablesPostgreSql", {
      connectionInfo: connectionOf(source),
      selectedDatabases: [source.name],
    });
    for (const name of ["source", "target", "tables"]) {
      const { state, errors } = await taskEnd(name);
      expect({ name, state, errors }).toEqual({ name, state: "Succeeded", errors: [] });
    }
    expect(JSON.stringify((await world.task("tables")).output)).toContain("moves");
    const migration = await world.migrate([pair]);
    await migration.reaches(source.name, "READY_TO_COMPLETE");
    await source.query("UPDATE accounts SET balance = balance + 1 WHERE id <= 100; DELETE FROM moves WHERE id <= 50");
    await migration.cutover(source.name);
    await migration.ended("Succeeded");
    await expectMoved();
  });

  async function taskEnd(name: string) {
    await expect.poll(async () => (await world.task(name)).state, { timeout: 60_000, interval: 100 }).toMatch(/Succeeded|Failed|Faulted/);
    return world.task(name);
  }

  test("a worker ends a running load within 10 s of SIGTERM, and another one resumes it", async () => {
    await pair.source.query(fill(40_000));
    const [first] = deployed.workers.filter(({ pid }) => existsSync(`/proc/${pid}`));
    if (!first) throw new Error("no worker runs");
    const migration = await world.migrate([pair], { fullLoadStreams: "1", largeTablePartMB: "2" }, { maxLoadMBps: "5" });
    const release = await migration.heldInLoad(pair, "accounts");
    await migration.loaded(pair.source.name, 10_000);
    const askedMs = Date.now();
    first.kill("SIGTERM");
    const { code } = await first.exited;
    expect(code).toBe(0);
    expect(Date.now() - askedMs).toBeLessThan(STOP_MS_MAX);
    // In the middle of the load, and all sessions are gone.
    expect((await pair.target.query("SELECT phase, epoch::int FROM pgdms.migration")).rows).toEqual([{ phase: "loading", epoch: 1 }]);
    const sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'pgdms%' AND datname = current_database()";
    for (const side of [pair.source, pair.target])
      await expect.poll(async () => (await side.query(sessions)).rowCount, { timeout: 5_000 }).toBe(0);
    const loadedBefore = Number((await pair.target.query("SELECT count(*) FROM moves")).rows[0]?.["count"]);
    expect(loadedBefore).toBeGreaterThan(0);
    await release();
    await pair.source.query("UPDATE accounts SET balance = balance + 1 WHERE id <= 100");
    await deployed.startWorker();
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    expect((await pair.target.query("SELECT epoch::int FROM pgdms.migration")).rows).toEqual([{ epoch: 2 }]);
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    await expectMoved();
  }, 150_000);

  test("nothing was written into the image's folder, and telemetry, which nobody asked for, stayed off", () => {
    const newest = Math.max(
      ...readdirSync(deployed.imageFolder, { recursive: true, withFileTypes: true }).map(
        (entry) => statSync(join(entry.parentPath, entry.name)).ctimeMs,
      ),
    );
    const logs = deployed.workers.map(({ logFile }) => readFileSync(logFile, "utf8"));
    for (const log of logs) {
      const [started] = log.split("\n").filter((line) => line.includes('"event":"worker.started"'));
      expect(newest).toBeLessThan(Date.parse((JSON.parse(started ?? "{}") as { time: string }).time));
      expect(log).not.toContain('"event":"telemetry.');
    }
  });
});
