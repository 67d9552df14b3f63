import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { LSN_ZERO } from "../../../contracts/lsn.ts";
import { type Comparison } from "../../../contracts/reports.ts";
import { type TableName } from "../../../contracts/tables.ts";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { compareTables, type ComparedTable, type CompareOptions } from "../../../worker/cutover/compare.ts";
import { valueSql } from "../../../worker/cutover/compare-sql.ts";
import { SnapshotLost } from "../../../worker/full-load/snapshot-lost.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

const NEVER = new AbortController().signal;

function compared(name: string, columns: readonly string[], more: Partial<ComparedTable> = {}): ComparedTable {
  const table: TableName = { schema: "public", name };
  return { ...table, target: table, columns: columns.map((column) => ({ name: column })), ...more };
}

const DIFFERENCES = [
  ["a value", "UPDATE t SET b = 'y' WHERE a = 2"],
  ["NULL instead of the empty text", "UPDATE t SET b = NULL WHERE a = 3"],
  ["values that moved to the next column", "UPDATE t SET b = c, c = b WHERE a = 1"],
  ["a value of the last bit", "UPDATE t SET f = 0.30000000000000004 WHERE a = 1"],
  ["the sign of zero", "UPDATE t SET f = '-0' WHERE a = 2"],
  ["values that two rows have exchanged", "UPDATE t SET c = CASE a WHEN 1 THEN 'x2' WHEN 2 THEN 'x1' ELSE c END"],
  ["one row twice instead of another", "DELETE FROM t WHERE a = 1; INSERT INTO t SELECT * FROM t WHERE a = 2"],
  ["a long value that differs at its end", "UPDATE t SET b = repeat('x', 1000001) || 'y' WHERE a = 4"],
] as const;

/** 10 writes floats otherwise than 17; 13 does not. */
describe.each(["10", "13"] as const)("comparing PostgreSQL %s with 17", (version) => {
  let old: PostgresServer | undefined;
  let source: TestDatabase;
  let target: TestDatabase;

  beforeAll(async () => {
    if (version === "10") old = await startPostgres({ version });
  });
  afterAll(async () => {
    await old?.stop();
  });
  beforeEach(async () => {
    source = await createDatabase("source", old?.port ?? inject("postgres13Port"));
    target = await createDatabase("target", inject("postgres17Port"));
  });
  afterEach(async () => {
    await Promise.all([source.drop(), target.drop()]);
  });

  async function both(sql: string): Promise<void> {
    await Promise.all([source.query(sql), target.query(sql)]);
  }

  async function compare(
    tables: readonly ComparedTable[],
    mode: "checksum" | "count" = "checksum",
    more: Pick<CompareOptions<ComparedTable>, "snapshot" | "mayBegin"> = {},
  ): Promise<Map<string, Comparison>> {
    const results = new Map<string, Comparison>();
    await compareTables({
      source: source.server,
      target: target.server,
      tables,
      mode,
      connections: 2,
      signal: NEVER,
      ...more,
      onTable: (table, comparison) => results.set(table.name, comparison),
    });
    return results;
  }

  test("with a snapshot, compares the source as it was then; a table that was rewritten since needs a later one", async () => {
    await both("CREATE TABLE t (a int, b text); INSERT INTO t SELECT g, 'x' FROM generate_series(1, 10) g; CREATE TABLE u AS TABLE t");
    const exporter = await source.connect();
    await exporter.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    const { rows } = await exporter.query<{ name: string }>("SELECT pg_export_snapshot() AS name");
    const snapshot = { name: rows[0]?.name ?? "", lsn: LSN_ZERO, isAlive: () => true };
    await source.query("UPDATE t SET b = 'later' WHERE a = 1");
    const [t, u] = [compared("t", ["a", "b"]), compared("u", ["a", "b"])];
    const equal = async (more: Parameters<typeof compare>[2]): Promise<unknown[]> =>
      [...(await compare([t, u], "checksum", more))].map(([name, comparison]) => `${name} ${comparison.equal}`).sort();
    expect(await equal({})).toEqual(["t false", "u true"]);
    expect(await equal({ snapshot })).toEqual(["t true", "u true"]);
    expect(await equal({ snapshot, mayBegin: () => false })).toHaveLength(1);
    await source.query("VACUUM FULL u");
    await expect(compare([u], "checksum", { snapshot })).rejects.toThrow("public.u was rewritten since the snapshot");
    await exporter.end();
    await expect(compare([t], "checksum", { snapshot })).rejects.toThrow(SnapshotLost);
    await expect(compare([t], "checksum", { snapshot: { ...snapshot, isAlive: () => false } })).rejects.toThrow(SnapshotLost);
  });

  const KINDS = `CREATE DOMAIN ratio AS float8; CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE kinds (id int, f4 float4, f8 float8, fs float8[], p point, b box, ps point[], pth path, pol polygon, c circle, l line, s lseg,
      n numeric, ts timestamptz, iv interval, by bytea, tx text, ch char(5), oc "char", js json, jb jsonb, u uuid, ip inet, bt bit(3), d ratio, m mood,
      ms mood[], mo money, r int4range, x xml)`;
  const ROWS = `INSERT INTO kinds VALUES
    (1, 0.1, 0.1::float8 + 0.2, '{1e-300,0.30000000000000004,NULL}', '(0.1,0.2)', '(1.1,2.2),(0.3,0.4)', '{"(0.1,3)"}', '[(0.1,1),(2,3)]', '((0.1,1),(2,3),(4,5))',
     '<(0.1,2),3.3>', '{0.1,2,3}', '[(0.1,2),(3,4)]', 1.10, '2020-02-30'::date - 1 + time '00:00:00.000001', '1 year -2 days', '\\x00ff', E'a"b\\\\c,(d)', 'ab', 'z',
     ' {"a" : 1.0}', '{"b":1,"a":2.0}', '00000000-0000-0000-0000-000000000001', '10.0.0.1/8', '101', 0.7, 'ok', '{sad}', 12.34, '[1,5)', '<a> b</a>'),
    (2, 'NaN', '-Infinity', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'NaN', 'infinity', NULL, '', '', '', '', NULL, 'null', NULL, NULL, NULL, '-0', NULL, NULL, NULL, 'empty', NULL),
    (3, '-0', '0', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`.replace(
    "'2020-02-30'::date - 1 + time '00:00:00.000001'",
    "'2020-02-29 00:00:00.000001+00'",
  );
  const COLUMNS = "id f4 f8 fs p b ps pth pol c l s n ts iv by tx ch oc js jb u ip bt d m ms mo r x".split(" ");

  test("the same values of every kind have the same checksum, in any order", async () => {
    await both(KINDS);
    await source.query(ROWS);
    await target.query(ROWS);
    await target.query("INSERT INTO kinds SELECT * FROM kinds; DELETE FROM kinds WHERE ctid IN (SELECT min(ctid) FROM kinds GROUP BY id)");
    const result = (await compare([compared("kinds", COLUMNS)])).get("kinds");
    expect(result).toMatchObject({ sourceRows: "3", targetRows: "3", equal: true });
    expect(result?.sourceChecksum).toMatch(/^-?\d+$/);
    for (const column of COLUMNS) {
      const [one] = [...(await compare([compared("kinds", [column])])).values()];
      expect([column, one?.equal]).toEqual([column, true]);
    }
  }, 120_000);

  test("numbers that are no number are equal whatever their bits are", async () => {
    await both("CREATE TABLE nan (id int, a float8, b float4)");
    await source.query("INSERT INTO nan VALUES (1, 'Infinity'::float8 - 'Infinity'::float8, 'NaN')");
    await target.query("INSERT INTO nan VALUES (1, 'NaN', 'Infinity'::float4 - 'Infinity'::float4)");
    expect((await compare([compared("nan", ["id", "a", "b"])])).get("nan")?.equal).toBe(true);
  });

  test("a difference is seen, whatever it is", async () => {
    const columns = ["a", "b", "c", "f"];
    for (const [what, change] of DIFFERENCES) {
      await both(`DROP TABLE IF EXISTS t; CREATE TABLE t (a int, b text, c text, f float8);
        INSERT INTO t VALUES (1, 'x', 'x1', 0.3), (2, 'x', 'x2', 0), (3, '', 'x3', 1), (4, repeat('x', 1000002), 'x4', 1)`);
      expect([what, (await compare([compared("t", columns)])).get("t")?.equal]).toEqual([what, true]);
      await target.query(change);
      const after = (await compare([compared("t", columns)])).get("t");
      expect([what, after]).toMatchObject([what, { equal: false, sourceRows: "4", targetRows: "4" }]);
    }
  });

  test("counting sees rows that are missing and nothing else", async () => {
    await both("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)");
    await target.query("UPDATE t SET a = 9");
    expect((await compare([compared("t", ["a"])], "count")).get("t")).toEqual({
      sourceRows: "2",
      targetRows: "2",
      sourceChecksum: null,
      targetChecksum: null,
      equal: true,
    });
    await source.query("INSERT INTO t VALUES (3)");
    expect((await compare([compared("t", ["a"])], "count")).get("t")).toMatchObject({ sourceRows: "3", targetRows: "2", equal: false });
  });

  test("columns that were added on one side later, and children of a table, are not compared", async () => {
    await both("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 2)");
    await source.query("ALTER TABLE t ADD COLUMN more int DEFAULT 5; CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES (3, 4)");
    expect((await compare([compared("t", ["a", "b"])])).get("t")).toMatchObject({ sourceRows: "1", equal: true });
  });

  test("a wider type on the target is no difference as long as it holds the value", async () => {
    await source.query("CREATE TABLE t (i int, v varchar(10), r real, n numeric(6, 2), u uuid)");
    await target.query("CREATE TABLE t (i bigint, v text, r float8, n numeric, u text)");
    const rows = (await source.query("INSERT INTO t VALUES (1, 'abc', 0.1, 1.10, md5('')::uuid) RETURNING i, v, n::text, u::text")).rows;
    expect(rows).toHaveLength(1);
    // What the load did: the source's text, read as the target's type.
    const text = (await source.query("SET extra_float_digits = 3; SELECT 1")) && (await source.query("SELECT r::text FROM t")).rows[0];
    await target.query(`INSERT INTO t VALUES (1, 'abc', $1::float8, 1.10, md5('')::uuid::text)`, [text?.["r"]]);
    expect((await compare([compared("t", ["i", "v", "r", "n", "u"])])).get("t")?.equal).toBe(true);
  });

  test("tables that go to one partitioned table are compared together", async () => {
    await source.query("CREATE TABLE p1 (a int); CREATE TABLE p2 (a int); INSERT INTO p1 VALUES (1), (2); INSERT INTO p2 VALUES (11)");
    await target.query(`CREATE TABLE root (a int) PARTITION BY HASH (a); CREATE TABLE h0 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 0);
      CREATE TABLE h1 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO root VALUES (1), (2), (11)`);
    const shared = { target: { schema: "public", name: "root" } };
    const tables = [compared("p1", ["a"], shared), compared("p2", ["a"], shared)];
    const results = await compare(tables);
    expect(results.get("p1")).toMatchObject({ sourceRows: "3", targetRows: "3", equal: true });
    expect(results.get("p2")).toEqual(results.get("p1"));
    await target.query("DELETE FROM root WHERE a = 11");
    expect((await compare(tables)).get("p1")?.equal).toBe(false);
  });

  test("a table without columns, an empty one, and one with the worst names", async () => {
    await both(`CREATE TABLE none (); CREATE TABLE empty (a int); CREATE TABLE "we'ird ""t" ("co""l" int)`);
    await both(`INSERT INTO none DEFAULT VALUES; INSERT INTO "we'ird ""t" VALUES (1)`);
    const results = await compare([compared("none", []), compared("empty", ["a"]), compared(`we'ird "t`, ['co"l'])]);
    expect([...results.values()].map(({ equal, sourceRows }) => [equal, sourceRows]).sort()).toEqual([
      [true, "0"],
      [true, "1"],
      [true, "1"],
    ]);
  });

  test("a table or column that is gone is an error that names it", async () => {
    await source.query("CREATE TABLE t (a int)");
    await expect(compare([compared("t", ["a"])])).rejects.toMatchObject({ kind: "TableMissingOnTarget", detail: { table: "public.t" } });
    await target.query("CREATE TABLE t (b int)");
    await expect(compare([compared("t", ["a"])])).rejects.toMatchObject({ kind: "ColumnMissingOnTarget" });
    await expect(compare([compared("u", ["a"])])).rejects.toMatchObject({ kind: "TableMissingOnSource" });
  });

  test("an abort ends the queries on both servers", async () => {
    await both("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10)");
    const lock = await target.connect();
    await lock.query("BEGIN; LOCK TABLE t");
    const controller = new AbortController();
    const comparing = compareTables({
      source: source.server,
      target: target.server,
      tables: [compared("t", ["a"])],
      mode: "checksum",
      connections: 1,
      signal: controller.signal,
    });
    const outcome = comparing.catch((thrown: unknown) => thrown);
    const waiting =
      "SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = 't'::regclass";
    await expect.poll(async () => (await target.query(waiting)).rows, { timeout: 20_000 }).toEqual([{ n: 1 }]);
    controller.abort(new Error("cancelled"));
    expect(await outcome).toMatchObject({ message: "cancelled" });
    await expect.poll(async () => (await target.query(waiting)).rows, { timeout: 20_000 }).toEqual([{ n: 0 }]);
    await lock.query("ROLLBACK");
    await lock.end();
  });
});

test("columns that both sides compute are compared too", async () => {
  const source = await createDatabase("source", inject("postgres13Port"));
  const target = await createDatabase("target", inject("postgres17Port"));
  try {
    await source.query("CREATE TABLE t (a int, twice int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (1)");
    await target.query("CREATE TABLE t (a int, twice int GENERATED ALWAYS AS (a * 3) STORED); INSERT INTO t VALUES (1)");
    let equal: boolean | undefined;
    await compareTables({
      source: source.server,
      target: target.server,
      tables: [compared("t", ["a"])],
      mode: "checksum",
      connections: 1,
      signal: NEVER,
      onTable: (_table, comparison) => (equal = comparison.equal),
    });
    expect(equal).toBe(false);
  } finally {
    await Promise.all([source.drop(), target.drop()]);
  }
});

test.each([
  [701, 701, false, `"c"::text`],
  [701, 701, true, `CASE WHEN "c" = 'NaN' THEN 'NaN' ELSE encode(float8send("c"), 'hex') END`],
  [1022, 1022, true, `array_send("c")`],
  [700, 701, false, `"c"::text::float8::text`],
  [1043, 25, true, `CASE WHEN octet_length("c"::text) > 1000000 THEN md5("c"::text::text) ELSE "c"::text::text END`],
  [17, 17, true, `md5("c")`],
  [23, 20, true, `"c"::text::text`],
] as const)("a column of type %s that goes to type %s (floats differ: %s) is written as %s", (typeOid, targetTypeOid, differs, sql) => {
  expect(valueSql({ name: "c", typeOid, targetTypeOid }, { floatTextDiffers: differs })).toBe(sql);
});
