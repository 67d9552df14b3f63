import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { createPair } from "../../setup/databases.ts";
import { runMigration, type RunningMigration } from "../run-migration.ts";

const SCHEMA =
  "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE a (id int PRIMARY KEY, m mood); CREATE TABLE b (id int PRIMARY KEY, v text)";
const ROWS = "INSERT INTO a SELECT g, 'sad' FROM generate_series(1, 20) g";
const soon = { timeout: 30_000, interval: 50 };

describe("the source is changed while changes are followed", () => {
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

  async function start(setting: Record<string, string> = {}, schema = SCHEMA, rows = ROWS, plugin = "auto"): Promise<RunningMigration> {
    await pair.source.query(`${schema}; ${rows}`);
    await pair.target.query(schema);
    const begun = (migration = runMigration(pair, { migrationSetting: setting, sourceSetting: { plugin } }));
    await begun.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    return begun;
  }
  const arrives = (sql: string): Promise<void> => expect.poll(async () => (await pair.target.query(sql)).rowCount, soon).toBeGreaterThan(0);
  const isTold = (code: string): Promise<void> => expect.poll(() => migration?.open(code).length, soon).toBe(1);
  const remedyOf = (code: string): string => migration?.open(code)[0]?.error.remedy ?? "";

  async function finish(tables: readonly string[] = ["a", "b"]): Promise<void> {
    expect(await migration?.cutOver()).toEqual([]);
    expect(await migration?.ended).toEqual({ end: "COMPLETE", codes: [] });
    for (const table of tables) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect([await leftOnSource(pair.source), await leftOnTarget(pair.target)]).toEqual([[], []]);
  }

  test("the sync waits with the exact statements, and goes on by itself when they were run", async () => {
    await start();
    await pair.source.query("INSERT INTO b VALUES (0, 'before')"); // a transaction of its own
    await pair.source.query("ALTER TABLE a ADD n numeric(8,2) NOT NULL DEFAULT 1.5; INSERT INTO a VALUES (100, 'glad', 3)");
    await isTold("PG1206");
    expect(remedyOf("PG1206")).toContain('ALTER TABLE "public"."a" ADD COLUMN "n" numeric(8,2) DEFAULT 1.5 NOT NULL;');
    await arrives("SELECT FROM b WHERE id = 0"); // what came whole before it
    await pair.target.query("ALTER TABLE public.a ADD COLUMN n numeric(8,2) DEFAULT 1.5 NOT NULL");
    await arrives("SELECT FROM a WHERE id = 100");
    await expect.poll(() => migration?.open("PG1206"), soon).toEqual([]);
    await finish();
  });

  test("a column that the target got with other values in its old rows keeps the cutover from being done", async () => {
    const { cutOver } = await start();
    await pair.target.query("ALTER TABLE a ADD n int");
    await pair.source.query("ALTER TABLE a ADD n int DEFAULT 7; INSERT INTO a VALUES (100, 'glad', 3)");
    expect(await cutOver()).toMatchObject([{ code: "PG1208" }]);
    await pair.target.query("UPDATE a SET n = 7 WHERE n IS NULL");
    await finish();
  });

  test("a column that the target does not have keeps the cutover from being done, also when no row was written since", async () => {
    const { cutOver } = await start();
    await pair.source.query("ALTER TABLE a ADD n int DEFAULT 7");
    expect(await cutOver()).toMatchObject([{ message: expect.stringMatching(/public\.a/) as string }]);
    await pair.target.query("ALTER TABLE a ADD n int DEFAULT 7");
    await finish();
  });

  test("new columns that take NULL, and new labels in their order, are followed where the setting says so; columns with a default are not", async () => {
    await start({ followSourceDdl: "additions" });
    await pair.source.query('ALTER TABLE a ADD "New, one" varchar(9) COLLATE "C"; UPDATE a SET "New, one" = \'x\' WHERE id < 5');
    await pair.source.query("ALTER TYPE mood ADD VALUE 'so so' BEFORE 'glad'");
    await pair.source.query("ALTER TYPE mood ADD VALUE 'worst' BEFORE 'sad'");
    await pair.source.query("INSERT INTO a VALUES (200, 'so so', 'y'), (201, 'worst', 'z')");
    await arrives("SELECT FROM a WHERE id = 201");
    const labels = "SELECT enumlabel FROM pg_enum WHERE enumtypid = 'mood'::regtype ORDER BY enumsortorder";
    expect((await pair.target.query(labels)).rows).toEqual((await pair.source.query(labels)).rows);
    const columns =
      "SELECT format_type(atttypid, atttypmod) AS type, attcollation::regcollation::text AS collation FROM pg_attribute WHERE attrelid = 'a'::regclass AND attname = 'New, one'";
    expect((await pair.target.query(columns)).rows).toEqual((await pair.source.query(columns)).rows);
    await expect.poll(() => migration?.findings.some(({ error }) => error.code === "PG1219"), soon).toBe(true);

    await pair.source.query("ALTER TABLE a ADD n int DEFAULT 7; INSERT INTO a VALUES (300, 'sad')");
    await isTold("PG1206");
    await pair.target.query("ALTER TABLE a ADD n int DEFAULT 7");
    await finish();
  });

  test("a label that is renamed is no new one: rows that have it would keep its old name", async () => {
    await start({ followSourceDdl: "additions", compareAtCutover: "none" });
    await pair.source.query("ALTER TYPE mood RENAME VALUE 'sad' TO 'it''s blue'; INSERT INTO a VALUES (100, 'it''s blue')");
    await isTold("PG1206");
    const statement = `ALTER TYPE "public"."mood" RENAME VALUE 'sad' TO 'it''s blue';`;
    expect(remedyOf("PG1206")).toContain(statement);
    await pair.target.query(statement);
    await arrives("SELECT FROM a WHERE id = 100");
    await finish();
  });

  test("only the table is left out where the setting says so, and it is loaded anew by itself when it fits", async () => {
    await start({ onTableError: "suspendTable" });
    await pair.source.query("ALTER TABLE a RENAME m TO feeling; INSERT INTO a VALUES (100, 'glad'); INSERT INTO b VALUES (1, 'goes on')");
    await expect.poll(() => migration?.table("a")?.state, soon).toBe("ERROR");
    expect(migration?.table("a")?.error).toMatchObject({
      code: "PG1206",
      remedy: expect.stringContaining('ALTER TABLE "public"."a" RENAME COLUMN "m" TO "feeling";') as string,
    });
    await arrives("SELECT FROM b");
    await pair.target.query("ALTER TABLE a RENAME m TO feeling");
    await expect.poll(() => migration?.table("a")?.state, soon).toBe("COMPLETED");
    await finish();
  });

  test("a partition that was added keeps the cutover from being done, and joins by a reload", async () => {
    const schema =
      "CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE m_1 PARTITION OF m FOR VALUES FROM (0) TO (10)";
    const { cutOver, reload } = await start({}, schema, "INSERT INTO m SELECT generate_series(0, 9)");
    const added = "CREATE TABLE m_2 PARTITION OF m FOR VALUES FROM (10) TO (20)";
    await pair.source.query(`${added}; INSERT INTO m SELECT generate_series(10, 15)`);
    expect(await cutOver()).toMatchObject([{ code: "PG1220" }]);
    await pair.target.query(added);
    expect(await reload("public.m_2")).toEqual([]);
    await pair.source.query("INSERT INTO m VALUES (16); DELETE FROM m WHERE id IN (3, 11)");
    await finish(["m"]);
  });

  test("tables that are renamed or dropped keep the cutover from being done, whoever leads it and whether rows are compared or not", async () => {
    const setting = { migrationSetting: { compareAtCutover: "none" } };
    const first = await start(
      setting.migrationSetting,
      `${SCHEMA}; CREATE TRIGGER t BEFORE UPDATE ON b FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
    );
    await pair.source.query(
      "CREATE SCHEMA other; ALTER TABLE a SET SCHEMA other; ALTER TABLE other.a RENAME TO c; INSERT INTO other.c VALUES (100, 'sad'); DROP TABLE b",
    );
    await arrives("SELECT FROM a WHERE id = 100");
    first.orders.stop();
    migration = runMigration(pair, setting, { taskId: first.taskId, epoch: 2, ended: undefined });
    await pair.source.query("INSERT INTO other.c VALUES (101, 'sad')");
    await arrives("SELECT FROM a WHERE id = 101");
    const asked = await migration.cutOver();
    expect(asked).toMatchObject([
      { code: "PG1206", message: expect.stringContaining("public.a is called other.c") as string },
      { code: "PG1119", remedy: expect.stringContaining('DROP TABLE "public"."b";') as string },
    ]);
    await pair.target.query("DROP TABLE b");
    await pair.source.query(/On the source: (.*;) Then/.exec(asked[0]?.remedy ?? "")?.[1] ?? "");
    await finish(["a"]);
  });

  test("a table that was dropped and made again, or taken out of the publication, is published again when it is loaded anew", async () => {
    const { cutOver, reload } = await start({ compareAtCutover: "none" });
    await pair.source.query("DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY, v text); INSERT INTO b VALUES (1, 'made again')");
    expect(await cutOver()).toMatchObject([{ code: "PG1206", remedy: expect.stringContaining("Reload the table") as string }]);
    expect(await reload("public.b")).toEqual([]);
    const { rows } = await pair.source.query(
      "SELECT format('ALTER PUBLICATION %I DROP TABLE a; DELETE FROM a', pubname) AS sql FROM pg_publication",
    );
    await pair.source.query(String(rows[0]?.["sql"]));
    expect(await cutOver()).toMatchObject([{ code: "PG1206", message: expect.stringContaining("taken out") as string }]);
    expect(await reload("public.a")).toEqual([]);
    await pair.source.query("INSERT INTO b VALUES (2, 'followed'); UPDATE b SET v = v || '!'; DELETE FROM b WHERE id = 1");
    await arrives("SELECT FROM b WHERE id = 2 AND v = 'followed!'");
    await finish();
  });

  test.each([
    [
      "pgoutput",
      [
        "ALTER TABLE b ALTER v TYPE text USING v || '!'",
        "ALTER TABLE n ALTER id TYPE int USING id + 100",
        "ALTER TABLE o DROP v; ALTER TABLE o ADD v text",
      ],
    ],
    [
      "test_decoding",
      [
        "ALTER TABLE n RENAME TO m; INSERT INTO m VALUES (7); ALTER TABLE m RENAME TO n",
        "ALTER TABLE b SET UNLOGGED; INSERT INTO b VALUES (7, 'unseen'); ALTER TABLE b SET LOGGED",
        "ALTER TABLE o SET UNLOGGED; INSERT INTO o VALUES (7, 'unseen')",
      ],
    ],
  ])("what the stream of %s does not tell keeps the cutover from being done, also when no rows are compared", async (plugin, changes) => {
    const schema = `${SCHEMA}; CREATE TABLE n (id int PRIMARY KEY); CREATE TABLE o (id int PRIMARY KEY, v text)`;
    const { cutOver, reload } = await start(
      { compareAtCutover: "none" },
      schema,
      "INSERT INTO b VALUES (1, 'x'); INSERT INTO n VALUES (1); INSERT INTO o VALUES (1, 'x')",
      plugin,
    );
    // One transaction each: in one, test_decoding would find a table under its last name.
    const harmless =
      "VACUUM FULL a; VACUUM FULL b; VACUUM FULL n; ANALYZE; CREATE INDEX ON b (v); ALTER TABLE b ALTER v SET STATISTICS 7; TRUNCATE a";
    for (const sql of [harmless, ...changes].flatMap((each) => each.split("; "))) await pair.source.query(sql);
    const tables = ["b", "n", "o"].slice(0, changes.length);
    const about = (table: string) => expect.stringMatching(`public\\.${table} (was rewritten|had another name|is unlogged now)`) as string;
    expect(await cutOver()).toMatchObject(tables.map((table) => ({ code: "PG1206", message: about(table) })));
    expect(await reload(...tables.map((table) => `public.${table}`))).toEqual([]);
    await pair.source.query("INSERT INTO b VALUES (8, 'followed'); INSERT INTO n VALUES (8)");
    await finish(["a", "b", "n", "o"]);
  });

  test("columns that the target takes no values for keep the cutover from being done, also when nobody wrote to them and no rows are compared", async () => {
    const schema = "CREATE TABLE g (id int PRIMARY KEY, d int GENERATED ALWAYS AS (id * 2) STORED); CREATE TABLE c (id int PRIMARY KEY)";
    const rows = "INSERT INTO g VALUES (1); INSERT INTO c VALUES (1)";
    const { cutOver, reload } = await start({ compareAtCutover: "none" }, schema, rows, "test_decoding");
    // A stream that begins after the change waits for the target to fit, and the cutover with it.
    await pair.source.query("INSERT INTO c VALUES (5)");
    await arrives("SELECT FROM c WHERE id = 5");
    const change = "ALTER TABLE g ALTER d DROP EXPRESSION";
    await pair.source.query(`${change}; INSERT INTO g VALUES (2, 99); ALTER TABLE c ADD n int DEFAULT 7`);
    const about = (text: string) => ({ code: "PG1206", message: expect.stringContaining(text) as string });
    expect(await cutOver()).toMatchObject([about("public.c has the column n"), about("public.g has the column d")]);
    await pair.target.query(`${change}; ALTER TABLE c ADD n int DEFAULT 7`);
    expect(await reload("public.g", "public.c")).toEqual([]);
    await finish(["g", "c"]);
  });

  test("unlogged tables come once more at the cutover, and sequences are ahead before it and exact after it", async () => {
    const schema =
      "CREATE TABLE a (id serial PRIMARY KEY, v text); CREATE UNLOGGED TABLE b (id int PRIMARY KEY, v text); CREATE SEQUENCE s INCREMENT -2";
    await start(
      { sequenceIntervalSeconds: "1" },
      schema,
      "INSERT INTO a (v) SELECT 'x' FROM generate_series(1, 30); INSERT INTO b VALUES (1, 'loaded')",
    );
    await pair.source.query("INSERT INTO a (v) VALUES ('later'); SELECT nextval('s') FROM generate_series(1, 5)");
    await pair.source.query("DELETE FROM b; INSERT INTO b SELECT g, 'new' FROM generate_series(10, 40) g");
    const values = "SELECT (SELECT last_value FROM a_id_seq)::int AS a, (SELECT last_value FROM s)::int AS s";
    await arrives("SELECT FROM a_id_seq, s WHERE a_id_seq.last_value >= 31 + 500 AND s.last_value <= -9 - 2 * 500");
    await finish();
    expect((await pair.target.query(values)).rows).toEqual((await pair.source.query(values)).rows);
  });
});
