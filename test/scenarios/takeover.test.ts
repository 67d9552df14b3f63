import { randomUUID } from "node:crypto";
import { ServiceBusClient } from "@azure/service-bus";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type CleanUpCommand, commandsQueue, messageIdOf, SelectedDatabase, TASK_TYPES } from "../../contracts/commands.ts";
import { objectName } from "../../worker/target/prepare.ts";
import { createPair } from "../setup/databases.ts";
import { contents, leftOnSource, leftOnTarget, World } from "./world.ts";

type Pair = Awaited<ReturnType<typeof createPair>>;

const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, owner text UNIQUE, balance numeric NOT NULL);
  CREATE TABLE moves (id bigserial PRIMARY KEY, account int REFERENCES accounts, amount numeric, note text);
  CREATE INDEX moves_account ON moves (account);`;
const ACCOUNTS = "INSERT INTO accounts SELECT g, 'owner ' || g, 0 FROM generate_series(1, 2000) g";
/** At 400 bytes a row, 5,000 are enough for indexes and keys to be deferred: they have to come back as well. */
const moves = (count: number) =>
  `INSERT INTO moves (account, amount, note) SELECT 1 + g % 2000, g, repeat('x', 400) FROM generate_series(1, ${count}) g`;

describe("another worker goes on", () => {
  let world: World;
  let pair: Pair;
  beforeAll(async () => {
    world = await World.start({ workers: 1, lockSeconds: 8, functionsSettings: { WATCHDOG_CRON: "*/2 * * * * *" } });
  });
  afterAll(() => world.stop());
  beforeEach(async () => {
    pair = await createPair();
    await pair.source.query(`${SCHEMA}${ACCOUNTS};${moves(5_000)}`);
  });
  afterEach(() => pair.drop());

  /** Money moves, and every move is written down: a lost or doubled change would show in the sums. */
  async function move(rounds: number) {
    for (let n = 0; n < rounds; n++) {
      await pair.source.query(
        "BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = 1 + $n % 2000; INSERT INTO moves (account, amount) VALUES (1 + $n % 2000, 1); COMMIT".replaceAll(
          "$n",
          String(n),
        ),
      );
    }
  }

  async function replaceWorker(signal: NodeJS.Signals) {
    const [worker] = world.environment.workers;
    if (!worker) throw new Error("no worker runs");
    await world.environment.killWorker(worker.workerId, signal);
    await world.environment.startWorker();
  }

  async function finish(migration: Awaited<ReturnType<World["migrate"]>>) {
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    for (const table of ["accounts", "moves"]) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect(await leftOnSource(pair.source)).toEqual([]);
    expect(await leftOnTarget(pair.target)).toEqual([]);
    const constraints =
      "SELECT conname, convalidated FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY 1";
    expect((await pair.target.query(constraints)).rows).toEqual((await pair.source.query(constraints)).rows);
  }

  test("after a SIGKILL inside a large table: its loaded parts stay, equal databases, nothing twice", async () => {
    await pair.source.query(moves(25_000));
    // Several parts, slow enough that the table is locked before the last of them.
    const parts = { fullLoadStreams: "2", largeTablePartMB: "1" };
    const migration = await world.migrate([pair], { migrateSchema: "true", ...parts }, { maxLoadMBps: "3" });
    const release = await migration.heldInside(pair, "moves");
    const done = "SELECT table_name, part, snapshot_lsn, ended_on FROM pgdms.table_load WHERE state = 'done' ORDER BY 1, 2";
    const before = (await pair.target.query(done)).rows;
    await replaceWorker("SIGKILL");
    await release();
    await move(200); // before the next worker's snapshot: it has the task when the session's lock has ended
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    expect((await pair.target.query(done)).rows).toEqual(expect.arrayContaining(before));
    await move(200);
    await finish(migration);
  });

  test("after a SIGKILL in the sync: equal databases, nothing twice", async () => {
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const moving = move(1_000);
    await replaceWorker("SIGKILL");
    await moving;
    await finish(migration);
  });

  test("after a SIGTERM the task is handed over at once", async () => {
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const moving = move(500);
    await replaceWorker("SIGTERM");
    await moving;
    await finish(migration);
  });

  test("a cutover that is asked for while the worker stops is carried out by the next one", async () => {
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const [worker] = world.environment.workers;
    await Promise.all([world.environment.killWorker(worker?.workerId ?? "", "SIGTERM"), migration.cutover(pair.source.name)]);
    await world.environment.startWorker();
    await migration.ended("Succeeded");
    expect(await contents(pair.target, "moves")).toEqual(await contents(pair.source, "moves"));
    expect(await leftOnSource(pair.source)).toEqual([]);
  });

  test("a cancel that is asked for while the worker stops is carried out by the next one", async () => {
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const [worker] = world.environment.workers;
    await Promise.all([world.environment.killWorker(worker?.workerId ?? "", "SIGTERM"), migration.cancel()]);
    await world.environment.startWorker();
    await migration.ended("Canceled");
    expect(await leftOnSource(pair.source)).toEqual([]);
    expect(await leftOnTarget(pair.target)).toEqual([]);
  });

  test("a source that could not be reached at its task's end is cleaned up when the watchdog asks for it", async () => {
    const { source, target } = pair;
    const taskId = randomUUID();
    const name = objectName(taskId, source.name);
    await source.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [name]);
    await source.query(`CREATE PUBLICATION ${name} FOR TABLE accounts`);
    const command: CleanUpCommand = {
      version: 1,
      type: "cleanUp",
      taskId,
      attempt: 1,
      afterEpoch: 3,
      work: {
        taskType: TASK_TYPES.migrateV2,
        source: source.reference,
        target: target.reference,
        selectedDatabases: [SelectedDatabase.parse({ name: source.name, targetDatabaseName: target.name })],
      },
      databases: [{ name: source.name, end: "CANCELLED" }],
    };
    const client = new ServiceBusClient(world.environment.serviceBusConnection);
    const queue = commandsQueue("dms-local");
    await client.createSender(queue).sendMessages({ body: command, sessionId: taskId, messageId: messageIdOf(command) });
    await expect.poll(() => leftOnSource(source), { timeout: 30_000 }).toEqual([]);
    const left = async (): Promise<number | "held"> => {
      const session = await client.acceptSession(queue, taskId).catch(() => undefined);
      const messages = await session?.peekMessages(1);
      await session?.close();
      return messages?.length ?? "held";
    };
    await expect.poll(left, { timeout: 30_000 }).toBe(0);
    await client.close();
  });

  test("a worker that was paused and lost its task cannot write when it wakes up", async () => {
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const [paused] = world.environment.workers;
    if (!paused) throw new Error("no worker runs");
    process.kill(paused.pid, "SIGSTOP");
    await move(50);
    await world.environment.startWorker();
    // The lock ends after its time; the second worker raises the epoch on the target.
    await migration.until(async () => (await pair.target.query("SELECT epoch FROM pgdms.migration")).rows[0]?.["epoch"] !== "1");
    process.kill(paused.pid, "SIGCONT");
    await move(300);
    await finish(migration);
    await world.environment.killWorker(paused.workerId, "SIGTERM");
  }, 180_000);

  test("a worker that joins gets its share of the tasks, and they go on there", async () => {
    const second = await createPair();
    await second.source.query("CREATE TABLE moves (id int PRIMARY KEY)");
    const migrations = [await world.migrate([pair], { migrateSchema: "true" }), await world.migrate([second], { migrateSchema: "true" })];
    await migrations[0]?.reaches(pair.source.name, "READY_TO_COMPLETE");
    await migrations[1]?.reaches(second.source.name, "READY_TO_COMPLETE");
    const tasksOfWorkers = async (): Promise<number[]> => {
      const { body } = await world.call("POST", "/checkStatus");
      const workers = body["workers"] as { alive: boolean; stopping: boolean; taskIds: string[] }[];
      return workers.filter(({ alive, stopping }) => alive && !stopping).map(({ taskIds }) => taskIds.length);
    };
    await expect.poll(tasksOfWorkers).toEqual([2]);
    const joined = await world.environment.startWorker();
    await expect.poll(tasksOfWorkers).toEqual([1, 1]);
    await second.source.query("INSERT INTO moves SELECT generate_series(1, 100)");
    await move(50);
    for (const [n, { source }] of [pair, second].entries()) await migrations[n]?.cutover(source.name);
    for (const migration of migrations) await migration.ended("Succeeded");
    for (const { source, target } of [pair, second]) {
      expect(await contents(target, "moves")).toEqual(await contents(source, "moves"));
      expect(await leftOnSource(source)).toEqual([]);
    }
    await world.environment.killWorker(joined.workerId, "SIGTERM");
    await second.drop();
  });
});
