import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MigrationError } from "../../contracts/errors.ts";
import { type Lsn, parseLsn } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { PgoutputDecoder } from "../../worker/incremental-sync/decoder.ts";
import { SourceTypes } from "../../worker/incremental-sync/source-types.ts";
import { type SyncTarget } from "../../worker/incremental-sync/sync-table.ts";
import { TestDecodingDecoder } from "../../worker/incremental-sync/text-decoder.ts";
import { withConnection } from "../../worker/postgres/connect.ts";
import { readTables } from "../../worker/source/catalog.ts";
import { createPairFrom, type TestDatabase } from "../setup/databases.ts";
import { casesOf } from "../setup/thorough.ts";
import { differences, type Engine, type EngineOptions, type Pair, startEngine, streamEverything } from "./engine.ts";

// Each test is named after what it prevents; the numbers are those of the reports of users of other tools.

/** A type, what it becomes on the source, and a value that shows it. */
const RETYPED = [
  ["numeric(10,2)", "numeric(10,4)", "1.2345"],
  ["numeric(10,2)[]", "numeric(10,4)[]", "'{{1.2,NULL},{NaN,1.2345}}'"],
  ["numeric(10,2)", "numeric", "1.234"],
  ["numeric(10,4)", "numeric(10,2)", "1.23"],
  ["numeric(10,4)[]", "numeric(10)[]", "'[0:1]={NaN,7}'"],
  ["real", "double precision", "0.1"],
  ["integer", "bigint", "1"],
  ["integer[]", "bigint[]", "'{1}'"],
  ["varchar(5)", "varchar(10)", "'1234567'"],
  ["varchar(5)", "varchar(10)", "'ü23    '"],
  ["char(2)", "char(4)", "'ü'"],
  ["char(4)", "char(2)", "'ü'"],
  ["char(2)[]", "char(4)[]", "'{ü,NULL}'"],
  ["varchar(2)[]", "varchar(4)[]", `'[5:6]={NULL,"\\"  "}'`],
  ["timestamp", "timestamptz", "'2026-01-01 00:00:00+05'"],
  ["timestamp(0)", "timestamp(3)", "'2026-01-01 00:00:00.123'"],
  ["time(0)[]", "time(6)[]", "'{00:00:00,12:00:00.000001}'"],
  ["interval(0)", "interval(3)", "'00:00:00.123'"],
  ["interval hour to minute", "interval", "'25:10:01'"],
  ["interval day", "interval day to hour", "'1 day 01:00'"],
  ["int", "text", "'many'"],
  ["mood", "text", "'many'"],
  ["text", "mood", "'sad'"],
  ["numeric(10,2)", "exact", "1.2345"],
] as const;

/** The source's tables as a sync would know them. */
async function targetsOf({ source, target }: Pair): Promise<Map<string, SyncTarget>> {
  const [ours, theirs] = await Promise.all(
    [source, target].map(({ server }) => withConnection(server, { purpose: "test" }, (client) => readTables(client, 130_000))),
  );
  const found = new Map(theirs?.map((table) => [tableKey(table), table.columns]));
  return new Map(
    ours?.map(({ schema, name, columns, primaryKey }) => {
      const targetColumns = new Map((found.get(tableKey({ schema, name })) ?? []).map((column) => [column.name, column]));
      const sourceColumns = columns.map((column) => column.name);
      const keys = { keyColumns: primaryKey, snapshotLsn: 0n as Lsn, isInsertOnly: false, isTargetPartitioned: false };
      return [tableKey({ schema, name }), { schema, name, target: { schema, name }, targetColumns, sourceColumns, ...keys }];
    }),
  );
}

/** What the plugin writes of some work, as it would be streamed. */
async function recorded(source: TestDatabase, plugin: string, work: () => Promise<void>): Promise<{ data: Buffer; lsn: Lsn }[]> {
  await source.query("CREATE PUBLICATION every FOR ALL TABLES");
  await source.query("SELECT pg_create_logical_replication_slot($1, $2)", [source.name, plugin]);
  await work();
  const options = plugin === "pgoutput" ? "'proto_version', '1', 'publication_names', 'every'" : "'include-timestamp', '1'";
  const { rows } = await source
    .query(
      `SET search_path = pg_catalog; SELECT lsn::text, data FROM pg_logical_slot_get_binary_changes('${source.name}', NULL, NULL, ${options})`,
    )
    .then((results) => (results as unknown as (typeof results)[])[1] ?? results);
  await source.query("RESET search_path");
  await source.query("SELECT pg_drop_replication_slot($1)", [source.name]);
  return rows.map(({ data, lsn }) => ({ data: data as Buffer, lsn: parseLsn(String(lsn)) }));
}

/** By either plugin; and by pgoutput from a source that sends each change before its transaction ends. */
const ways = casesOf(["pgoutput", "test_decoding"], ["pgoutput, streamed"]);

describe.each(ways)("what others lost or changed, by %s", (way) => {
  const plugin = way === "test_decoding" ? way : "pgoutput";
  let pair: Pair & { drop(): Promise<void> };
  let engine: Engine | undefined;
  beforeEach(async () => {
    pair = await createPairFrom(way === "pgoutput, streamed" ? "17" : "13");
    if (way === "pgoutput, streamed") await streamEverything(pair.source);
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

  test("quotes, backslashes, bytea and bit strings are read as what they are (pgcopydb 338, 979, 747, 736)", async () => {
    await both(`CREATE TABLE t (id int PRIMARY KEY, a text, "it's" text, b bytea, c bit(3), d varbit, e bit(3)[], f varbit[])`);
    await start();
    const texts = ["''; DROP TABLE t; --", "\\x5c''\\", "B''101''", "a\n''b'' c[text]:''d''", "''".repeat(999)];
    const bytes = texts.map((text) => `convert_to('${text}', 'UTF8') || '\\x00ff5c27'`);
    const values = texts.map((text, n) => `(${n}, '${text}', '${text}', ${bytes[n]}, B'101', B'', '{101,NULL}', '{"",1,0011}')`);
    await pair.source.query(`INSERT INTO t VALUES ${values.join(", ")}`);
    await pair.source.query(`UPDATE t SET c = B'000', d = B'1', "it's" = '''' WHERE id % 2 = 0`);
    await pair.source.query("UPDATE t SET f = NULL WHERE id = 1; DELETE FROM t WHERE id = 4");
    await expectSame("t");
  });

  test("dates that other stores do not reach are the same by load and by stream (PeerDB 4600, pgstream 451)", async () => {
    await both("CREATE TABLE t (id serial PRIMARY KEY, d date, t timestamp, z timestamptz, i interval)");
    const rows = [
      "('-infinity', 'infinity', '-infinity', '-178000000 years')",
      "('4713-01-01 BC', '0001-12-31 BC', '294276-12-31 23:59:59.999999+00', '178000000 years')",
      "('5874897-12-31', '294276-12-31 23:59:59.999999', '4713-01-02 00:00:00+00 BC', '-1 mon +1 day -00:00:00.000001')",
      "('1582-10-10', '9999-12-31 24:00', '1900-01-01 00:00:00+00:19:32', NULL)",
    ];
    const insert = `INSERT INTO t (d, t, z, i) VALUES ${rows.join(", ")}`;
    await pair.source.query(insert);
    await start();
    await pair.source.query(`${insert}; UPDATE t SET d = 'infinity' WHERE id = 5`);
    await expectSame("t");
    expect(await targetRows("SELECT id FROM t WHERE t = 'infinity' ORDER BY id")).toEqual([{ id: 1 }, { id: 5 }]);
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

  test("an update that sends no value at all, since each is TOASTed and none was touched, changes nothing and stops nothing", async () => {
    await both("CREATE TABLE k (a text PRIMARY KEY); CREATE TABLE f (a text, b text)");
    await pair.source.query(
      "ALTER TABLE k ALTER a SET STORAGE EXTERNAL; ALTER TABLE f ALTER a SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL",
    );
    await pair.source.query("INSERT INTO k SELECT repeat(md5(g::text), 70) FROM generate_series(1, 3) g; INSERT INTO f SELECT a, a FROM k");
    await start();
    await pair.source.query("UPDATE k SET a = a; UPDATE f SET a = a; UPDATE f SET b = 'short' WHERE ctid = (SELECT min(ctid) FROM f)");
    await expectSame("k", "f");
  });

  test("rows that swap a key which is checked late are not taken for each other", async () => {
    await both("CREATE TABLE t (a int PRIMARY KEY DEFERRABLE, b text); ALTER TABLE t REPLICA IDENTITY FULL");
    await pair.source.query("INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')");
    await start();
    await pair.source.query("UPDATE t SET a = 3 - a WHERE a < 3");
    await expectSame("t");
    await pair.source.query(
      "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE t SET a = 2 WHERE b = 'three'; UPDATE t SET a = 3 WHERE b = 'one'; COMMIT",
    );
    await expectSame("t");
  });

  test("keys of types that have no equality of their own find their rows", async () => {
    const tables = ["pair", "pairs", "pair[]", "regclass", "regtype"];
    await both(`CREATE TYPE pair AS (a int, b varchar(3)); CREATE DOMAIN pairs AS pair;
      ${tables.map((type, n) => `CREATE TABLE t${n} (k ${type} PRIMARY KEY, n int)`).join("; ")}`);
    await pair.source.query(`INSERT INTO t0 VALUES ((1, 'a'), 0), ((2, NULL), 0); INSERT INTO t1 VALUES ((1, 'a'), 0);
      INSERT INTO t2 VALUES (ARRAY[(1, 'a,b')::pair], 0); INSERT INTO t3 VALUES ('t0', 0), ('t1', 0); INSERT INTO t4 VALUES ('int', 0), ('pair[]', 0)`);
    await start();
    await pair.source.query(
      tables.map((_, n) => `UPDATE t${n} SET n = 1; DELETE FROM t${n} WHERE ctid = (SELECT max(ctid) FROM t${n})`).join("; "),
    );
    await expectSame(...tables.map((_, n) => `t${n}`));
  });

  test("a key that several rows of the target have stops the sync before it changes them", async () => {
    await pair.source.query("CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)");
    await pair.target.query("CREATE TABLE t (id int, n int)");
    await start();
    await pair.target.query("INSERT INTO t VALUES (1, 0)");
    await pair.source.query("UPDATE t SET n = 1 WHERE id = 1");
    await expect(engine?.drain()).rejects.toMatchObject({ kind: "RowMissingOnTarget", detail: { table: "public.t" } });
    expect((await pair.target.query("SELECT count(*)::int AS rows, sum(n)::int AS sum FROM t")).rows).toEqual([{ rows: 3, sum: 0 }]);
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
    // All in one group: the update does not send the key of the row that came just before.
    await pair.source.query(`BEGIN; INSERT INTO t VALUES (repeat(md5('31'), 70), repeat('x', 3000), 0);
      UPDATE t SET n = 2 WHERE n = 0; DELETE FROM t WHERE n = 2; COMMIT`);
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

  test("keys of enums, ranges and arrays, and of domains over them, find their rows, in small and in large groups (pgstream 1035)", async () => {
    await both(`CREATE TYPE mood AS ENUM ('sad', 'it''s ok', ''); CREATE DOMAIN feelings AS mood; CREATE DOMAIN feeling AS feelings;
      CREATE DOMAIN time_span AS tstzrange; CREATE DOMAIN moods AS mood[];
      CREATE TABLE t (m mood, f feeling, ms mood[], r tstzrange, dr time_span, dm moods, g int, n int, PRIMARY KEY (m, f, ms, r, dr, dm, g))`);
    await start();
    const moods = "unnest(enum_range(NULL::mood))";
    const spans = "tstzrange('2026-01-01', NULL), tstzrange(NULL, '2026-01-01')";
    await pair.source.query(
      `INSERT INTO t SELECT m, f, ARRAY[m, NULL], ${spans}, ARRAY[f], g, 1 FROM ${moods} m, ${moods} f, generate_series(1, 20) g`,
    );
    await engine?.drain();
    await pair.source.query("UPDATE t SET n = 2 WHERE g = 1 AND m = ''; DELETE FROM t WHERE g = 2 AND m = ''");
    await engine?.drain();
    await pair.source.query(
      "UPDATE t SET n = -n WHERE f::mood = ''; DELETE FROM t WHERE m = 'sad'; UPDATE t SET g = g + 20 WHERE f::mood = ''",
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

  test("a column that is added while tables are loaded breaks no copy, and is followed when the target has it (pgstream 1058)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, a int)");
    await pair.source.query("INSERT INTO t VALUES (1, 1), (2, 2)");
    await start({
      duringLoad: async () => void (await pair.source.query("ALTER TABLE t ADD b text; INSERT INTO t VALUES (3, 3, 'three')")),
    });
    const drained = engine?.drain();
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows("SELECT id FROM t ORDER BY id")).toEqual([{ id: 1 }, { id: 2 }]);
    await pair.target.query("ALTER TABLE t ADD b text");
    await drained;
    await expectSame("t");
  });

  test("a row that the target does not have, or refuses, stops the sync with the table's name; nothing is passed over (pgstream 973)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await pair.source.query("INSERT INTO t VALUES (1, 1), (2, 2)");
    await start();
    await pair.target.query("DELETE FROM t WHERE id = 2");
    await pair.source.query("INSERT INTO t VALUES (3, 3)");
    await engine?.drain();
    await pair.source.query("BEGIN; INSERT INTO t VALUES (4, 4); UPDATE t SET n = 0 WHERE id = 2; COMMIT; INSERT INTO t VALUES (5, 5)");
    await expect(engine?.drain()).rejects.toMatchObject({ kind: "RowMissingOnTarget", detail: { table: "public.t" } });
    expect(await targetRows("SELECT id FROM t ORDER BY id")).toEqual([{ id: 1 }, { id: 3 }]);
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

  test.each([
    ["numeric(10,2)", "numeric(10,4)", "1.2345"],
    ["mood[]", "text[]", "'{many}'"],
  ])("a column of %s that becomes %s stops before a value is changed, and goes on when the target fits", async (before, after, value) => {
    await both(`CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE t (id int PRIMARY KEY, a ${before})`);
    await start();
    await pair.source.query("INSERT INTO t VALUES (1, NULL)");
    await engine?.drain();
    await pair.source.query(`ALTER TABLE t ALTER a TYPE ${after}`);
    await pair.source.query(`INSERT INTO t VALUES (2, ${value})`);
    const drained = engine?.drain();
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows("SELECT id FROM t")).toEqual([{ id: 1 }]);
    await pair.target.query(`ALTER TABLE t ALTER a TYPE ${after}`);
    await drained;
    await expectSame("t");
  });

  test("whatever a column becomes, the stream shows it, and the error has the statement", async () => {
    await both(
      `CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN exact AS numeric(10,4); ${RETYPED.map(([before], n) => `CREATE TABLE t${n} (id int PRIMARY KEY, a ${before})`).join("; ")}`,
    );
    const targets = await targetsOf(pair);
    const messages = await recorded(pair.source, plugin, async () => {
      for (const [n, [, after, value]] of RETYPED.entries()) {
        await pair.source.query(`INSERT INTO t${n} VALUES (1, NULL)`);
        await pair.source.query(`ALTER TABLE t${n} ALTER a TYPE ${after} USING a::text::${after}`);
        await pair.source.query(`INSERT INTO t${n} VALUES (2, ${value})`);
      }
    });
    const types = await SourceTypes.read(pair.source.server, new Set());
    const pgoutput = new PgoutputDecoder(targets, (oid) => types.name(oid));
    const text = new TestDecodingDecoder(targets, { learned: new Map(), readName: (name) => name, encoding: "UTF8" });
    const errors = messages.flatMap(({ data, lsn }) => {
      try {
        return plugin === "pgoutput" ? (pgoutput.decode(data), []) : (text.decode(data, lsn), []);
      } catch (thrown) {
        return thrown instanceof MigrationError ? [`${thrown.kind}: ${thrown.detail.remedy}`] : []; // pgoutput: a change of what was just refused
      }
    });
    expect(errors).toEqual(
      RETYPED.map(
        (_, n) =>
          expect.stringContaining(`SourceTableChanged: On the target: ALTER TABLE "public"."t${n}" ALTER COLUMN "a" TYPE `) as string,
      ),
    );
  });

  test.each([
    ["k", "ALTER TABLE k RENAME id TO key", "DELETE FROM k WHERE key = 1"],
    ["f", "ALTER TABLE f ALTER b TYPE bigint", "DELETE FROM f WHERE a = 1"],
  ])("a column of %s that is renamed or retyped shows in a DELETE alone", async (table, change, deletion) => {
    await both("CREATE TABLE k (id int PRIMARY KEY, n int); CREATE TABLE f (a int, b int)");
    await pair.source.query("INSERT INTO k VALUES (1, 1), (2, 2); INSERT INTO f VALUES (1, 1), (2, 2)");
    await start();
    await pair.source.query(`${change}; ${deletion}`);
    void engine?.drain().catch(() => undefined);
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows(`SELECT count(*)::int AS count FROM ${table}`)).toEqual([{ count: 2 }]);
  });

  test("another replica identity on the way stops, and changes no row", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, u int NOT NULL); CREATE UNIQUE INDEX t_u ON t (u)");
    await pair.source.query("INSERT INTO t SELECT g, g FROM generate_series(1, 5) g");
    await start();
    await pair.source.query("ALTER TABLE t REPLICA IDENTITY USING INDEX t_u; DELETE FROM t WHERE id = 3");
    void engine?.drain().catch(() => undefined);
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    expect(await targetRows("SELECT count(*)::int AS count FROM t")).toEqual([{ count: 5 }]);
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

  test("a table that joins while transaction after transaction is written does not stop the stream (etl 510, spiceai 11289)", async () => {
    await both("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
    const writer = await pair.source.connect();
    let writing: Promise<unknown> = Promise.resolve();
    await start({
      loadedLater: {
        names: ["b"],
        load: async () => {
          await pair.source.query("INSERT INTO b VALUES (0)");
          await pair.target.query("INSERT INTO b VALUES (0)");
          // Goes on past the moment that b is as of, so that the stream has no pause there.
          writing = writer.query("DO $$ BEGIN FOR n IN 1..4000 LOOP INSERT INTO a VALUES (n); COMMIT; END LOOP; END $$");
          await expect.poll(async () => (await pair.source.query("SELECT FROM a LIMIT 10")).rowCount, { interval: 5 }).toBe(10);
        },
      },
    });
    await writing;
    await writer.end();
    await expectSame("a", "b");
  });

  test("what the target has not committed is never confirmed, however many keepalives come (pgcopydb 1050, 1049)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY)");
    const { sync } = await start();
    await engine?.drain();
    const holder = await pair.target.connect();
    await holder.query("BEGIN; LOCK TABLE t");
    await pair.source.query("INSERT INTO t VALUES (1)");
    // Other databases of the server write as well, so the position before the INSERT is no bound: idle, the slot advances.
    const { rows: committed } = await pair.source.query("SELECT pg_current_wal_insert_lsn()::text AS lsn");
    await expect.poll(() => sync.pendingChanges, { timeout: 30_000 }).toBe(1);
    // What is written now is sent as keepalives that are past the commit; two answers later the walsender dies.
    const slot = "pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE s.database = current_database()";
    await pair.source.query("SELECT pg_logical_emit_message(false, 'other', 'x') FROM generate_series(1, 200)");
    const { rows: written } = await pair.source.query("SELECT pg_current_wal_insert_lsn()::text AS lsn");
    for (let answers = 0; answers < 2; answers++) {
      const { rows } = await pair.source.query(`SELECT r.reply_time::text AS time FROM ${slot}`);
      const answered = `SELECT FROM ${slot} AND r.sent_lsn >= $1 AND r.reply_time > $2`;
      const soon = { timeout: 30_000, interval: 50 };
      await expect.poll(async () => (await pair.source.query(answered, [written[0]?.["lsn"], rows[0]?.["time"]])).rowCount, soon).toBe(1);
    }
    // Ended by the id that was read: as a condition it would be asked of every slot of the server, before the database is looked at.
    const { rows } = await pair.source.query(`SELECT confirmed_flush_lsn::text AS lsn, active_pid::text AS pid FROM ${slot}`);
    await pair.source.query("SELECT pg_terminate_backend($1)", [rows[0]?.["pid"]]);
    expect(parseLsn(String(rows[0]?.["lsn"]))).toBeLessThan(parseLsn(String(committed[0]?.["lsn"])));
    await holder.end();
    await expectSame("t");
  });

  test("messages of other tools in the stream are no changes, and do not stop it", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY)");
    await start();
    await pair.source.query(
      "BEGIN; SELECT pg_logical_emit_message(true, 'debezium', E'table public.t: INSERT: id[integer]:7'); INSERT INTO t VALUES (1); SELECT pg_logical_emit_message(false, '', repeat('x', 100000)); COMMIT",
    );
    await pair.source.query("SELECT pg_logical_emit_message(true, 'BEGIN 1', decode('00ff', 'hex'))");
    await expectSame("t");
  });

  test("thousands of tiny transactions, and thousands of savepoints in one, arrive as they were written", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await start();
    await pair.source.query("DO $$ BEGIN FOR g IN 1..3000 LOOP INSERT INTO t VALUES (g, 0); COMMIT; END LOOP; END $$");
    // A block with an exception handler is a subtransaction; every third is rolled back.
    await pair.source.query(`DO $$ BEGIN FOR g IN 1..2000 LOOP
        BEGIN UPDATE t SET n = g WHERE id = g; IF g % 3 = 0 THEN RAISE 'back'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END;
      END LOOP; END $$`);
    await expectSame("t");
  });

  test("thousands of rows are found by a key of several columns at once (pgstream 1024)", async () => {
    await both("CREATE TABLE t (a int, b text, c numeric, n int, PRIMARY KEY (a, b, c))");
    await start({ limits: { maxChanges: 20_000, maxBytes: 64 * 1024 * 1024 } });
    await pair.source.query("INSERT INTO t SELECT g, 'b' || g % 7, g / 2.0, 0 FROM generate_series(1, 9500) g");
    await pair.source.query("UPDATE t SET n = a");
    await pair.source.query("DELETE FROM t WHERE a % 50 > 0");
    await expectSame("t");
  });

  test("large values, key updates, TRUNCATE of partitions and enums just work (limits of the classic DMS)", async () => {
    await both(`CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, large text, bytes bytea, m mood);
      CREATE TABLE p (id int PRIMARY KEY, m mood) PARTITION BY RANGE (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
      CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20)`);
    const large = "repeat(md5('x'), 4000), decode(repeat('00ff5c', 40000), 'hex')"; // far over 32 KB each
    await pair.source.query(`INSERT INTO t SELECT 1, ${large}, 'sad'; INSERT INTO p SELECT g, 'sad' FROM generate_series(0, 19) g`);
    await start();
    await pair.source.query(`INSERT INTO t SELECT g, ${large}, 'glad' FROM generate_series(2, 5) g; UPDATE t SET id = id + 100, m = 'sad'`);
    await pair.source.query("TRUNCATE p_1; INSERT INTO p VALUES (3, 'glad'); UPDATE p SET id = 4 WHERE id = 15");
    await expectSame("t", "p_1", "p_2");
    await pair.source.query("TRUNCATE p, t; INSERT INTO p VALUES (1, 'glad')");
    await expectSame("t", "p_1", "p_2");
  });

  test("arrays with NULLs, of several dimensions and with bounds of their own stay what they are (etl 929)", async () => {
    await both("CREATE TABLE t (id serial PRIMARY KEY, a int[], b text[], c timestamptz[])");
    await start();
    await pair.source.query(
      "INSERT INTO t (a, b, c) VALUES ('[0:1]={7,8}', '{{NULL},{NULL}}', '{infinity,NULL}'), ('[-2:-1][3:4]={{1,2},{NULL,4}}', '{}', '[5:5]={-infinity}'), ('{}', '[3:3]={\"\"}', NULL)",
    );
    await pair.source.query("UPDATE t SET a[9] = 1 WHERE id = 1; UPDATE t SET b = array_append(b, NULL) WHERE id = 3");
    await expectSame("t");
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

  test("a TRUNCATE with CASCADE leaves tables alone that refer to the target's and are not in the list", async () => {
    await both(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a); CREATE SCHEMA "it's";
      CREATE TABLE "it's"."T" (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY REFERENCES a)`);
    await pair.source.query("INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES (2)");
    await start({ leaveOut: ["other"] });
    await pair.target.query("INSERT INTO other VALUES (1)");
    await pair.source.query(`TRUNCATE a, "it's"."T" CASCADE; INSERT INTO a VALUES (3)`);
    await expectSame("a", "b");
    expect(await targetRows("SELECT id FROM other")).toEqual([{ id: 1 }]);
    await pair.target.query("DROP TABLE other");
    await pair.source.query(`INSERT INTO b VALUES (3); TRUNCATE a, "it's"."T" RESTART IDENTITY CASCADE; INSERT INTO a VALUES (4)`);
    await expectSame("a", "b");
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
