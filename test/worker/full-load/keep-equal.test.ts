import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { createPair } from "../../setup/databases.ts";
import { runMigration, type RunningMigration } from "../run-migration.ts";

const ROWS = "SELECT g, 'row ' || g FROM generate_series(1, 300) g";

/** What is on the target before: by table, whether it is to be kept. */
const TABLES = {
  in_another_order: { isKept: true, rows: `${ROWS} ORDER BY md5(g::text)` },
  as_it_is: { isKept: true, rows: ROWS },
  other_value: { isKept: false, rows: "SELECT g, 'row ' || CASE g WHEN 7 THEN 8 ELSE g END FROM generate_series(1, 300) g" },
  null_value: { isKept: false, rows: "SELECT g, CASE g WHEN 7 THEN NULL ELSE 'row ' || g END FROM generate_series(1, 300) g" },
  missing_row: { isKept: false, rows: "SELECT g, 'row ' || g FROM generate_series(1, 299) g" },
  another_row: { isKept: false, rows: `${ROWS} UNION ALL SELECT 301, 'row 301'` },
  one_row_twice: {
    isKept: false,
    rows: "SELECT CASE g WHEN 7 THEN 8 ELSE g END, 'row ' || CASE g WHEN 7 THEN 8 ELSE g END FROM generate_series(1, 300) g",
  },
  not_begun: { isKept: false, rows: `${ROWS} LIMIT 0` },
} as const;
const names = Object.keys(TABLES) as (keyof typeof TABLES)[];

describe("target tables that hold rows already, with onExistingRows keepEqual", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  let migration: RunningMigration | undefined;
  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(async () => {
    migration?.orders.cancel();
    await migration?.ended;
    migration = undefined;
    await pair.drop();
  });

  async function start(setting: Record<string, string> = {}, plugin = "pgoutput"): Promise<RunningMigration> {
    const migrationSetting = { onExistingRows: "keepEqual", tablesWithoutKey: "replicaIdentityFull", ...setting };
    const begun = runMigration(pair, { migrationSetting, sourceSetting: { plugin } });
    migration = begun;
    await begun.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    return begun;
  }

  async function finish(tables: readonly string[]): Promise<void> {
    expect(await migration?.cutOver()).toEqual([]);
    expect(await migration?.ended).toEqual({ end: "COMPLETE", codes: [] });
    for (const table of tables) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect([await leftOnSource(pair.source), await leftOnTarget(pair.target)]).toEqual([[], []]);
  }

  const files = async (tables: readonly string[]): Promise<Record<string, unknown>[]> =>
    (await pair.target.query("SELECT n AS name, pg_relation_filenode(n) AS file FROM unnest($1::text[]) n ORDER BY 1", [tables])).rows;

  test.each(["pgoutput", "test_decoding"])("stay as they are if they equal the source, and are loaded if not (%s)", async (plugin) => {
    for (const name of names) {
      for (const side of [pair.source, pair.target])
        await side.query(`CREATE TABLE ${name} (id int, note text); CREATE INDEX ${name}_note ON ${name} (note)`);
      await pair.source.query(`INSERT INTO ${name} ${ROWS}`);
      await pair.target.query(`INSERT INTO ${name} ${TABLES[name].rows}`);
    }
    const kept = names.filter((name) => TABLES[name].isKept);
    const before = await files(kept);
    const { table } = await start({}, plugin);
    const figures = names.map((name) => ({ name, rows: table(name)?.fullLoadRows, isKept: table(name)?.fullLoadBytes === 0 }));
    expect(figures).toEqual(names.map((name) => ({ name, rows: 300, isKept: TABLES[name].isKept })));
    expect(await files(kept)).toEqual(before);
    for (const name of names)
      await pair.source.query(
        `UPDATE ${name} SET note = 'followed' WHERE id = 1; DELETE FROM ${name} WHERE id = 2; INSERT INTO ${name} VALUES (0, 'new')`,
      );
    await finish(names);
  });

  test("of a partitioned table are kept one by one, with their indexes; what shares its target with others is loaded", async () => {
    const partitioned = (name: string): string => `
      CREATE TABLE ${name} (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
      CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM (0) TO (200);
      CREATE TABLE ${name}_2 PARTITION OF ${name} FOR VALUES FROM (200) TO (1000);`;
    await pair.source.query(`${partitioned("p")} ${partitioned("q")}`);
    await pair.target.query(`${partitioned("p")} CREATE TABLE q (id int PRIMARY KEY, note text)`);
    for (const side of [pair.source, pair.target]) await side.query(`INSERT INTO p ${ROWS}; INSERT INTO q ${ROWS}`);
    // Large enough for its index to be set aside.
    await pair.source.query("UPDATE p SET note = repeat('x', 9000) WHERE id >= 200");
    const before = await files(["p_1", "p_1_pkey"]);
    const { table } = await start();
    expect(["p_1", "p_2", "q_1", "q_2"].map((name) => table(name)?.fullLoadBytes === 0)).toEqual([true, false, false, false]);
    expect(await files(["p_1", "p_1_pkey"])).toEqual(before);
    await pair.source.query("DELETE FROM p WHERE id % 3 = 0; UPDATE q SET id = id + 500 WHERE id % 7 = 0");
    await finish(["p", "q"]);
    expect(
      (await pair.target.query("SELECT FROM pg_index WHERE indrelid::regclass::text IN ('p', 'p_1', 'p_2') AND indisvalid")).rowCount,
    ).toBe(3);
  });
});
