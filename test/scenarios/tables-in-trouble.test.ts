import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { contents, leftOnSource, leftOnTarget, type Migration, type OutputItem, type TaskView, World } from "./world.ts";

const TABLES = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);";
const ROWS =
  "INSERT INTO a SELECT g, 'loaded' FROM generate_series(1, 500) g; INSERT INTO b SELECT g, 'loaded' FROM generate_series(1, 500) g;";

const tableOf = ({ output }: TaskView, name: string): OutputItem | undefined =>
  output.find((item) => item.resultType === "TableLevelOutput" && item.tableName === `public.${name}`);
const errorOf = (task: TaskView, name: string): { code?: string; remedy?: string } | undefined =>
  tableOf(task, name)?.["error"] as { code?: string; remedy?: string } | undefined;

interface Command {
  readonly commandType: string;
  readonly state: string;
  readonly input: { readonly tableNames?: string[] };
  readonly errors?: readonly { readonly code: string; readonly message: string }[];
}

describe("a table in trouble", () => {
  let world: World;
  let pair: Awaited<ReturnType<typeof createPair>>;
  beforeAll(async () => {
    world = await World.start({ workers: 1 });
  }, 150_000);
  afterAll(() => world.stop());
  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(() => pair.drop());

  const start = async (setting: Record<string, string> = {}): Promise<Migration> => {
    await pair.source.query(TABLES + ROWS);
    await pair.target.query(TABLES);
    return world.migrate([pair], setting);
  };
  const ready = (migration: Migration): Promise<TaskView> => migration.reaches(pair.source.name, "READY_TO_COMPLETE");
  const isIn = (migration: Migration, table: string, state: string): Promise<TaskView> =>
    migration.until((task) => tableOf(task, table)?.state === state);

  async function reload(migration: Migration, tableNames: readonly string[]) {
    return world.call("POST", `/projects/moves/tasks/${migration.name}/command`, {
      commandType: "Migrate.Sync.Reload.Table",
      input: { databaseName: pair.source.name, tableNames },
    });
  }
  async function commands(migration: Migration): Promise<readonly Command[]> {
    const { body } = await world.call("GET", `/projects/moves/tasks/${migration.name}?$expand=command`);
    return (body["properties"] as { commands?: Command[] }).commands ?? [];
  }
  /** Waits until the last command has its outcome. */
  async function outcome(migration: Migration, type: string): Promise<Command> {
    let found: Command | undefined;
    await migration.until(async () => {
      found = (await commands(migration)).findLast(({ commandType }) => commandType === type);
      return found?.state === "Succeeded" || found?.state === "Failed";
    });
    return found as Command;
  }

  async function finish(migration: Migration, tables: readonly string[] = ["a", "b"]): Promise<void> {
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    for (const table of tables) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect([...(await leftOnSource(pair.source)), ...(await leftOnTarget(pair.target))]).toEqual([]);
  }

  test("is suspended alone, keeps the cutover from being done, and is loaded anew while the others are followed", async () => {
    const migration = await start({ onTableError: "suspendTable" });
    await ready(migration);
    await pair.target.query("DELETE FROM a WHERE id = 7");
    await pair.source.query("UPDATE a SET v = 'changed' WHERE id = 7; UPDATE b SET v = 'changed' WHERE id = 8");
    const task = await isIn(migration, "a", "ERROR");
    expect(errorOf(task, "a")).toMatchObject({ code: "PG1205", remedy: expect.stringMatching(/reload the table/) as string });
    // The others go on.
    await pair.source.query("INSERT INTO b VALUES (1000, 'after'); INSERT INTO a VALUES (1000, 'left out for now')");
    await expect.poll(async () => (await pair.target.query("SELECT FROM b WHERE id = 1000")).rowCount, { timeout: 30_000 }).toBe(1);
    await migration.cutover(pair.source.name);
    const refused = await outcome(migration, "Migrate.Sync.Complete.Database");
    expect(refused).toMatchObject({ state: "Failed", errors: [{ code: "PG1213", message: expect.stringMatching(/public\.a/) as string }] });
    expect((await migration.database(pair.source.name))?.migrationState).toBe("READY_TO_COMPLETE");

    expect((await reload(migration, [])).status).toBe(400);
    const writing = writeOn(200);
    expect((await reload(migration, ["public.a"])).body).toMatchObject({ state: "Accepted", input: { tableNames: ["public.a"] } });
    expect(await outcome(migration, "Migrate.Sync.Reload.Table")).toMatchObject({ state: "Succeeded" });
    const after = await isIn(migration, "a", "COMPLETED");
    expect(errorOf(after, "a")).toBeNull();
    await writing;
    await finish(migration);
  });

  /** Both tables change, in one transaction and one after the other. */
  async function writeOn(rounds: number): Promise<void> {
    for (let n = 0; n < rounds; n++)
      await pair.source.query(
        `BEGIN; UPDATE a SET v = v || '.' WHERE id = ${1 + (n % 100)}; INSERT INTO b VALUES (${5000 + n}, 'x'); DELETE FROM a WHERE id = ${300 + n}; COMMIT`,
      );
  }

  test("a worker that is killed in the middle of a reload leaves it to the next one", async () => {
    const migration = await start({ onTableError: "suspendTable", fullLoadStreams: "1" });
    await ready(migration);
    // The reload waits for this transaction at its snapshot.
    const open = await pair.source.connect();
    await open.query("BEGIN; INSERT INTO b VALUES (7777, 'open')");
    await reload(migration, ["public.a"]);
    await isIn(migration, "a", "FULL_LOAD");
    await expect
      .poll(async () => (await pair.target.query("SELECT FROM pgdms.table_sync WHERE is_reload_asked")).rowCount, { timeout: 30_000 })
      .toBe(1);
    const [worker] = world.environment.workers;
    await world.environment.killWorker(worker?.workerId ?? "", "SIGKILL");
    await pair.source.query("UPDATE a SET v = 'meanwhile' WHERE id < 50");
    await open.query("COMMIT");
    await open.end();
    await world.environment.startWorker();
    expect(await outcome(migration, "Migrate.Sync.Reload.Table")).toMatchObject({ state: "Succeeded" });
    await ready(migration);
    await finish(migration);
  });
});
