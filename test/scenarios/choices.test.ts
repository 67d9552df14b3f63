import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPair, type TestDatabase } from "../setup/databases.ts";
import { dumpDefinitions, readSample } from "./schemas.ts";
import { connectionOf, contents, leftOnSource, leftOnTarget, Migration, World } from "./world.ts";

const TABLES = ["shop.orders", "shop.order_lines", "shop.old_orders", "audit.log", '"odd.schema"."odd, name"'] as const;

const SCHEMA = `CREATE SCHEMA shop; CREATE SCHEMA audit; CREATE SCHEMA "odd.schema";
  ${TABLES.map((table) => `CREATE TABLE ${table} (id int PRIMARY KEY, v text);`).join("")}
  CREATE INDEX orders_v ON shop.orders (v); ALTER TABLE shop.order_lines ADD CONSTRAINT of_order FOREIGN KEY (id) REFERENCES shop.orders`;

const ROWS = TABLES.map((table) => `INSERT INTO ${table} SELECT g, 'row ' || g FROM generate_series(1, 50) g`).join(";");

describe("what a user may choose", () => {
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

  async function start(setting: Record<string, string>, selectedTables: readonly string[] = []): Promise<Migration> {
    const name = `choice-${pair.source.name}`;
    await world.putTask(name, "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2", {
      sourceConnectionInfo: connectionOf(pair.source),
      targetConnectionInfo: connectionOf(pair.target),
      selectedDatabases: [
        {
          name: pair.source.name,
          targetDatabaseName: pair.target.name,
          migrationSetting: setting,
          ...(selectedTables.length > 0 ? { selectedTables: selectedTables.map((table) => ({ name: table })) } : {}),
        },
      ],
    });
    return new Migration(world, name);
  }

  /** Writes to every table during the sync, and cuts over. */
  async function finish(migration: Migration): Promise<void> {
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await pair.source.query(TABLES.map((table) => `UPDATE ${table} SET v = 'later' WHERE id = 7`).join(";"));
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    expect([...(await leftOnSource(pair.source)), ...(await leftOnTarget(pair.target))]).toEqual([]);
  }

  const filled = async (database: TestDatabase): Promise<string[]> => {
    const found: string[] = [];
    for (const table of TABLES) if ((await contents(database, table)).length > 0) found.push(table);
    return found;
  };

  test("tables by name and by pattern, in and out: only those that are meant move, and nothing else is touched", async () => {
    await pair.source.query(`${SCHEMA};${ROWS}`);
    await pair.target.query(SCHEMA);
    const definitions = await dumpDefinitions(pair.target);
    await finish(await start({ includeTables: 'shop.*, "odd.schema"."odd, *"', excludeTables: "*.old_*" }));
    expect(await filled(pair.target)).toEqual(["shop.orders", "shop.order_lines", '"odd.schema"."odd, name"']);
    for (const table of await filled(pair.target)) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect(withoutKeys(await dumpDefinitions(pair.target))).toBe(withoutKeys(definitions));
  });

  test("tables by name alone: the others stay as they are", async () => {
    await pair.source.query(`${SCHEMA};${ROWS}`);
    await pair.target.query(SCHEMA);
    await finish(await start({}, ["audit.log", '"odd.schema"."odd, name"']));
    expect(await filled(pair.target)).toEqual(["audit.log", '"odd.schema"."odd, name"']);
  });

  test("rows that are on the target are emptied with onExistingRows=truncate", async () => {
    await pair.source.query(`${SCHEMA};${ROWS}`);
    await pair.target.query(`${SCHEMA}; INSERT INTO shop.orders VALUES (1, 'another'), (1000, 'of before')`);
    await finish(await start({ onExistingRows: "truncate" }));
    for (const table of TABLES) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
  });

  test("rows that are on the target stay with onExistingRows=append; the comparison is told to leave them out", async () => {
    await pair.source.query(`${SCHEMA};${ROWS}`);
    await pair.target.query(`${SCHEMA}; INSERT INTO shop.orders VALUES (1000, 'of before')`);
    await finish(await start({ onExistingRows: "append", compareAtCutover: "none" }));
    expect(await contents(pair.target, "shop.orders")).toEqual(
      [...(await contents(pair.source, "shop.orders")), '(1000,"of before")'].sort(),
    );
    expect(await contents(pair.target, "shop.order_lines")).toEqual(await contents(pair.source, "shop.order_lines"));
  });

  test("a cancel, in the load or in the sync, gives a schema that the user brought all its definitions back", async () => {
    const { setup } = await readSample("nasty", 13);
    await pair.target.query(setup);
    const truncate = await pair.target.query(
      "SELECT string_agg(oid::regclass::text, ', ') AS all FROM pg_class WHERE relkind = 'r' AND oid >= 16384",
    );
    await pair.target.query(`TRUNCATE ${String(truncate.rows[0]?.["all"])}`);
    await pair.source.query(
      `${setup}; CREATE TABLE big (id int PRIMARY KEY, v text); INSERT INTO big SELECT g, md5(g::text) FROM generate_series(1, 50000) g`,
    );
    await pair.target.query("CREATE TABLE big (id int PRIMARY KEY, v text); CREATE INDEX big_v ON big (v)");
    const definitions = await dumpDefinitions(pair.target);
    for (const phase of ["load", "sync"]) {
      const pace: Record<string, string> = phase === "load" ? { maxLoadMBps: "1" } : {};
      const migration = await world.migrate([pair], { fullLoadStreams: "1", onExistingRows: "truncate" }, pace);
      if (phase === "load")
        await migration.until(({ output }) =>
          output.some((item) => item.resultType === "TableLevelOutput" && item.state !== "BEFORE_LOAD"),
        );
      else await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
      await migration.cancel();
      await migration.ended("Canceled");
      expect(withoutKeys(await dumpDefinitions(pair.target))).toBe(withoutKeys(definitions));
      expect([...(await leftOnSource(pair.source)), ...(await leftOnTarget(pair.target))]).toEqual([]);
    }
  });
});

/** Each run of pg_dump 18 has a key of its own in \restrict. */
const withoutKeys = (dump: string): string => dump.replaceAll(/^\\.*$/gm, "");
