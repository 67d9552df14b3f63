import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { differences, type Engine, type EngineOptions, type Pair, startEngine } from "./engine.ts";

// Each test is named after what it prevents; the numbers are those of the reports of users of other tools.

describe.each(["pgoutput", "test_decoding"] as const)("what others lost or changed, by %s", (plugin) => {
  let pair: Pair & { drop(): Promise<void> };
  let engine: Engine | undefined;
  beforeEach(async () => {
    pair = await createPair();
  }, 150_000);
  afterEach(async () => {
    await engine?.stop();
    engine = undefined;
    await pair.drop();
  }, 150_000);

  const both = async (sql: string): Promise<void> => {
    await pair.source.query(sql);
    await pair.target.query(sql);
  };
  const start = async (options: Partial<EngineOptions> = {}): Promise<Engine> => (engine = await startEngine(pair, { plugin, ...options }));

  async function expectSame(...tables: string[]): Promise<void> {
    await engine?.drain();
    expect(await differences(pair, tables)).toEqual([]);
  }
  const targetRows = async (sql: string): Promise<unknown[]> => (await pair.target.query(sql)).rows;

  test("a transaction that began first and committed last is not dropped (pgcopydb 1044)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await pair.source.query("INSERT INTO t VALUES (1, 0)");
    await start();
    const [one, two] = [await pair.source.connect(), await pair.source.connect()];
    await one.query("BEGIN; INSERT INTO t VALUES (2, 1)");
    await two.query("BEGIN; INSERT INTO t VALUES (3, 1); UPDATE t SET n = 7 WHERE id = 1; COMMIT");
    await engine?.drain();
    expect(await targetRows("SELECT id FROM t ORDER BY id")).toEqual([{ id: 1 }, { id: 3 }]);
    await one.query("UPDATE t SET n = n + 1 WHERE id = 1; COMMIT");
    await expectSame("t");
    await Promise.all([one.end(), two.end()]);
  });

  test("a transaction that was open when the slot was made, and one that committed in the load, come once (pgcopydb 263, 331)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await pair.source.query("INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g");
    await start({
      duringLoad: async () =>
        void (await pair.source.query("UPDATE t SET n = n + 1; INSERT INTO t VALUES (1000, 0); DELETE FROM t WHERE id = 1")),
    });
    await pair.source.query("UPDATE t SET n = n + 1");
    await expectSame("t");
  });

  test("large numbers keep every digit (pgcopydb 127, pgstream 833, pgcopydb 980)", async () => {
    await both("CREATE TABLE t (id bigint PRIMARY KEY, n numeric, f float8, o oid, m money)");
    await start();
    await pair.source.query(
      "INSERT INTO t VALUES (9007199254740993, 2120000.000000000000000000001, 0.1::float8 + 0.2, 4294967295, '92233720368547758.07')",
    );
    await pair.source.query(
      "INSERT INTO t SELECT 9007199254740993 + g, 10::numeric ^ 40 + g, pi() / g, 4294967295::bigint - g, '0.01' FROM generate_series(1, 60) g",
    );
    await expectSame("t");
  });

  test("an update that does not touch a TOASTed value keeps it, also as the key's neighbour and under FULL (pgcopydb 877, PeerDB 3897)", async () => {
    await both(
      "CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int); CREATE TABLE f (id int, a text, n int); ALTER TABLE t ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL; ALTER TABLE f ALTER a SET STORAGE EXTERNAL",
    );
    await start();
    await pair.source.query(
      "BEGIN; INSERT INTO t SELECT g, repeat(md5(g::text), 200), repeat(md5((-g)::text), 200), 0 FROM generate_series(1, 60) g; UPDATE t SET n = 1; UPDATE t SET a = 'x' WHERE id % 3 = 0; UPDATE t SET id = id + 100 WHERE id % 2 = 0; COMMIT",
    );
    await pair.source.query(
      "INSERT INTO f SELECT g % 2, repeat(md5('f'), 200), 0 FROM generate_series(1, 4) g; UPDATE f SET n = 1 WHERE ctid = (SELECT min(ctid) FROM f)",
    );
    await engine?.drain();
    await pair.source.query("UPDATE t SET n = 2, b = NULL WHERE id % 5 = 0; UPDATE t SET n = n + 1; UPDATE f SET n = n + 5");
    await expectSame("t", "f");
  });

  test("a key that is TOASTed itself finds its row", async () => {
    await both(
      "CREATE TABLE t (id text PRIMARY KEY, pad text, n int); ALTER TABLE t ALTER id SET STORAGE EXTERNAL, ALTER pad SET STORAGE PLAIN",
    );
    await start();
    await pair.source.query("INSERT INTO t SELECT repeat(md5(g::text), 70), repeat('x', 3000), 0 FROM generate_series(1, 30) g");
    await engine?.drain();
    await pair.source.query("UPDATE t SET n = 1; UPDATE t SET id = 'short' WHERE id LIKE 'c4ca%'; DELETE FROM t WHERE id LIKE 'c8%'");
    await expectSame("t");
  });

  test("an identity column that is ALWAYS follows updates of the key (pgcopydb 976)", async () => {
    await both("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int)");
    await start();
    await pair.source.query(
      "INSERT INTO t (n) SELECT g FROM generate_series(1, 30) g; UPDATE t SET id = DEFAULT WHERE n < 5; UPDATE t SET n = -n WHERE n > 20",
    );
    await pair.source.query("INSERT INTO t (n) VALUES (1)");
    await expectSame("t");
  });

  test("a unique value that moves between keys within a group is no duplicate (PeerDB 4169)", async () => {
    await both(`CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b text, c int, d text COLLATE "C", EXCLUDE USING btree (c WITH =));
      CREATE UNIQUE INDEX ON t (lower(b)); CREATE UNIQUE INDEX ON t (d) WHERE id > 10`);
    await start({ limits: { maxChanges: 5_000, maxBytes: 1024 * 1024 } });
    await pair.source.query("INSERT INTO t SELECT g, g, 'B' || g, g, 'd' || g FROM generate_series(1, 50) g");
    for (const column of ["a = id + 100", "b = 'other' || id", "c = id + 100", "d = 'e' || id"])
      await pair.source.query(`UPDATE t SET ${column}`);
    await pair.source.query(
      "BEGIN; UPDATE t SET a = -1 WHERE id = 1; UPDATE t SET a = 101 WHERE id = 2; UPDATE t SET a = 102 WHERE id = 1; COMMIT",
    );
    await pair.source.query(
      "BEGIN; DELETE FROM t WHERE id = 3; UPDATE t SET c = 103, b = 'OTHER3' WHERE id = 4; INSERT INTO t VALUES (3, 103, 'b', 104, 'x'); COMMIT",
    );
    await expectSame("t");
  });

  test("NULL, empty, and words that look like either stay what they are (pgstream 1051, pgcopydb 933)", async () => {
    await both("CREATE TABLE t (id serial PRIMARY KEY, a text, b bytea, c text[], d json, e jsonb, f char(4))");
    await start();
    const values = ["NULL", "''", "'\\N'", "'\\\\N'", "'null'", "'NULL'", "'\\x'", "'unchanged-toast-datum'"];
    const insert = values
      .map(
        (value) =>
          `(${value}, convert_to(${value}, 'UTF8'), ARRAY[${value}, NULL, ''], to_json(${value}::text), 'null', left(${value}, 4))`,
      )
      .join(", ");
    await pair.source.query(`INSERT INTO t (a, b, c, d, e, f) VALUES ${insert}`);
    await pair.source.query(`INSERT INTO t (a, b, c, d, e, f) SELECT a, b, c, d, e, f FROM t, generate_series(1, 10)`);
    await pair.source.query("UPDATE t SET a = nullif(a, ''), e = NULL WHERE id % 2 = 0");
    await expectSame("t");
  });

  test("rows without equality or key are deleted one at a time (pgcopydb 28, 706)", async () => {
    await both("CREATE TABLE t (j json, x xml, p point, n numeric, v float8); CREATE TABLE none ()");
    await start();
    await pair.source.query(
      `INSERT INTO t SELECT '{"a": 1}', '<a/>', '(0,0)', NULL, 'NaN' FROM generate_series(1, 5); INSERT INTO t SELECT '{"a":1}', NULL, '(0,-0)', 1.0, '-0' FROM generate_series(1, 3)`,
    );
    await pair.source.query("INSERT INTO t VALUES (NULL, '<a></a>', NULL, 1.00, 0); INSERT INTO none SELECT FROM generate_series(1, 40)");
    await pair.source.query(
      "DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE n IS NULL LIMIT 2); UPDATE t SET n = 1.00 WHERE ctid = (SELECT min(ctid) FROM t WHERE v = 0); DELETE FROM none WHERE ctid IN (SELECT ctid FROM none LIMIT 7)",
    );
    await expectSame("t", "none");
  });

  test("rows that only a collation takes for equal are told apart", async () => {
    await both(
      `CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE t (a text COLLATE blind, b varchar(5) COLLATE blind, n int)`,
    );
    await start();
    await pair.source.query("INSERT INTO t VALUES ('A', 'x', 1), ('a', 'X', 1), ('a', 'x', 1), ('A', 'X', 1)");
    await pair.source.query(
      "UPDATE t SET n = 2 WHERE ctid = (SELECT max(ctid) FROM t WHERE a COLLATE \"C\" = 'a'); DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t)",
    );
    await expectSame("t");
  });

  test("keys of extensions' types are found with their own operators", async () => {
    await both(
      "CREATE EXTENSION ltree; CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TABLE l (p ltree PRIMARY KEY, n int); CREATE TABLE c (p citext PRIMARY KEY, n int); CREATE TABLE h (p hstore PRIMARY KEY, n int); CREATE DOMAIN way AS ltree; CREATE TABLE d (p way PRIMARY KEY, n int)",
    );
    await start();
    for (const [table, value] of [
      ["l", "('a.b' || g)::ltree"],
      ["d", "('a.b' || g)::ltree"],
      ["c", "('Ab' || g)::citext"],
      ["h", "hstore('k', g::text)"],
    ] as const) {
      await pair.source.query(`INSERT INTO ${table} SELECT ${value}, 0 FROM generate_series(1, 40) g`);
      await engine?.drain();
      await pair.source.query(`UPDATE ${table} SET n = 1`);
      await pair.source.query(
        `UPDATE ${table} SET n = 2 WHERE ctid = (SELECT min(ctid) FROM ${table}); DELETE FROM ${table} WHERE ctid = (SELECT max(ctid) FROM ${table})`,
      );
      await engine?.drain();
      await pair.source.query(`DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} LIMIT 20)`);
    }
    await expectSame("l", "d", "c", "h");
  });

  test("enum labels that come on the way stop with the type's name, and go on when the target has them (dbz 304, pgstream 1038)", async () => {
    await both("CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[])");
    await start();
    await pair.source.query("ALTER TYPE mood ADD VALUE 'new one'");
    await pair.source.query("INSERT INTO t VALUES (1, 'new one', '{sad,new one}')");
    const drained = engine?.drain();
    await expect.poll(() => String((engine?.interruptions.at(-1) as Error | undefined)?.message), { timeout: 30_000 }).toMatch(/mood/);
    expect(engine?.interruptions.at(-1)).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows("SELECT * FROM t")).toEqual([]);
    await pair.target.query("ALTER TYPE mood ADD VALUE 'new one'");
    await drained;
    await expectSame("t");
  });

  test("a column that is added stops with its statement, and goes on when the target has it (pgstream 1058)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY)");
    await start();
    await pair.source.query("INSERT INTO t VALUES (1)");
    await pair.source.query('ALTER TABLE t ADD "New, one" text');
    await pair.source.query("INSERT INTO t VALUES (2, 'x')");
    const drained = engine?.drain();
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    await pair.target.query('ALTER TABLE t ADD "New, one" text');
    await drained;
    await expectSame("t");
  });

  test("a column that is dropped or renamed stops, never loses its values", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, a int, b int)");
    await start();
    await pair.source.query("INSERT INTO t VALUES (1, 1, 1)");
    await pair.source.query("ALTER TABLE t RENAME a TO c");
    await pair.source.query("INSERT INTO t VALUES (2, 2, 2)");
    void engine?.drain().catch(() => undefined);
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows("SELECT id FROM t WHERE id = 2")).toEqual([]);
  });

  // test_decoding names types without their modifiers, and its text is not compared with the target: only pgoutput tells.
  test.skipIf(plugin === "test_decoding").each([
    ["numeric(10,2)", "numeric(10,4)", "1.2345"],
    ["real", "double precision", "0.1"],
    ["varchar(5)", "varchar(10)", "'1234567'"],
    ["timestamp", "timestamptz", "'2026-01-01 00:00:00+05'"],
    ["int", "text", "'many'"],
  ])("a column of %s that becomes %s stops before a value is rounded, and goes on when the target fits", async (before, after, value) => {
    await both(`CREATE TABLE t (id int PRIMARY KEY, a ${before})`);
    await start();
    await pair.source.query("INSERT INTO t VALUES (1, NULL)");
    await engine?.drain();
    await pair.source.query(`ALTER TABLE t ALTER a TYPE ${after}`);
    await pair.source.query(`INSERT INTO t VALUES (2, ${value})`);
    const drained = engine?.drain();
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    await pair.target.query(`ALTER TABLE t ALTER a TYPE ${after}`);
    await drained;
    await expectSame("t");
  });

  test("a TRUNCATE from before a table's snapshot does not empty it, nor what refers to it", async () => {
    await both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a)");
    // b was loaded under a snapshot after the TRUNCATE: its rows are on the target already.
    await start({
      loadedLater: {
        names: ["b"],
        load: async () => {
          await pair.source.query(
            "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); TRUNCATE a CASCADE; INSERT INTO a VALUES (2); INSERT INTO b VALUES (2)",
          );
          await pair.target.query("SET session_replication_role = replica; INSERT INTO b VALUES (2); RESET session_replication_role");
        },
      },
    });
    await expectSame("a", "b");
    await pair.source.query("TRUNCATE a CASCADE");
    await expectSame("a", "b");
  });

  test("changes of a table that is not in the list are left alone, TRUNCATE included", async () => {
    await both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)");
    await pair.target.query("INSERT INTO other VALUES (7)");
    await start({ leaveOut: ["other"] });
    if (plugin === "pgoutput") await pair.source.query("ALTER PUBLICATION p ADD TABLE other");
    await pair.source.query(
      "INSERT INTO other VALUES (1); INSERT INTO a VALUES (1); TRUNCATE other; CREATE TABLE fresh (id int PRIMARY KEY); INSERT INTO fresh VALUES (1); INSERT INTO a VALUES (2)",
    );
    await expectSame("a");
    expect(await targetRows("SELECT id FROM other")).toEqual([{ id: 7 }]);
  });

  test("a materialized view's refresh is no change of rows (pgcopydb 981)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW v AS SELECT id FROM t; CREATE UNIQUE INDEX ON v (id)");
    await start();
    await pair.source.query("INSERT INTO t VALUES (1)");
    await pair.source.query("REFRESH MATERIALIZED VIEW v");
    await pair.source.query("REFRESH MATERIALIZED VIEW CONCURRENTLY v");
    await expectSame("t");
    expect(await targetRows("SELECT * FROM v")).toEqual([]);
  });

  test("a rewrite of a table is no change of its rows", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await start();
    await pair.source.query("INSERT INTO t SELECT g, g FROM generate_series(1, 50) g");
    await pair.source.query("VACUUM FULL t");
    await pair.source.query("CLUSTER t USING t_pkey");
    await pair.source.query("UPDATE t SET n = 0");
    await expectSame("t");
  });

  test("tables whose names differ by case, quotes and dots are not mixed up (classic DMS, pgcopydb 852)", async () => {
    await both(
      `CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE "T" (id int PRIMARY KEY); CREATE SCHEMA a; CREATE TABLE a."b.c" (id int PRIMARY KEY); CREATE SCHEMA "a.b"; CREATE TABLE "a.b".c (id int PRIMARY KEY, "Id" int, """" int)`,
    );
    await start();
    await pair.source.query(
      `INSERT INTO t VALUES (1); INSERT INTO "T" VALUES (2); INSERT INTO a."b.c" VALUES (3); INSERT INTO "a.b".c VALUES (4, 5, 6); UPDATE "a.b".c SET "Id" = 7`,
    );
    await expectSame("t", '"T"', 'a."b.c"', '"a.b".c');
  });
});
