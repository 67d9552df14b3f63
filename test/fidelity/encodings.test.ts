import { afterEach, describe, expect, inject, test } from "vitest";
import { type errors } from "../../contracts/errors.ts";
import { compareTables } from "../../worker/cutover/compare.ts";
import { connect } from "../../worker/postgres/connect.ts";
import { quoteName } from "../../worker/postgres/quote.ts";
import { asciiSql } from "../../worker/postgres/ascii-sql.ts";
import { createDatabase, type TestDatabase } from "../setup/databases.ts";
import { type Engine, type Pair, startEngine } from "./engine.ts";

const PLUGINS = ["pgoutput", "test_decoding"] as const;

let engine: Engine | undefined;
let pair: Pair | undefined;
afterEach(async () => {
  await engine?.stop();
  await Promise.all([pair?.source.drop(), pair?.target.drop()]);
  engine = pair = undefined;
}, 150_000);

async function createPairOf(source: string, target: string): Promise<Pair> {
  pair = {
    source: await createDatabase("source", inject("postgres13Port"), source),
    target: await createDatabase("target", inject("postgres17Port"), target),
  };
  return pair;
}

/** As a client that sends bytes as they are. */
async function unconverted(database: TestDatabase, sql: string): Promise<Record<string, unknown>[]> {
  const client = await connect(database.server, { purpose: "test", clientEncoding: "SQL_ASCII", session: { search_path: "public" } });
  try {
    const results = (await client.query<Record<string, unknown>>(sql)) as unknown;
    return (
      Array.isArray(results) ? (results.at(-1) as { rows: Record<string, unknown>[] }) : (results as { rows: Record<string, unknown>[] })
    ).rows;
  } finally {
    await client.end();
  }
}

/** The cutover's own comparison. */
async function equalTables(
  { source, target }: Pair,
  tables: readonly { schema: string; name: string; columns: readonly string[] }[],
): Promise<string[]> {
  const equal: string[] = [];
  await compareTables({
    source: source.server,
    target: target.server,
    tables: tables.map(({ columns, ...table }) => ({ ...table, target: table, columns: columns.map((name) => ({ name })) })),
    mode: "checksum",
    connections: 1,
    signal: new AbortController().signal,
    onTable: (table, comparison) => void (comparison.equal && equal.push(table.name)),
  });
  return equal;
}

describe.each([
  ["LATIN1", "é", "Größe", "ÿþ¡×"],
  ["EUC_JP", "表", "列の名", "日本語、テスト"],
  ["KOI8R", "таблица", "Имя", "Ёжик ─│"],
])("a source in %s", (encoding, tableName, columnName, text) => {
  test.each(PLUGINS)("arrives in UTF8 with its names and its values by %s", async (plugin) => {
    const { source, target } = await createPairOf(encoding, "UTF8");
    const [schema, table, column, type] = [`s ${tableName}`, `${tableName}"t`, columnName, `y ${columnName}`];
    const name = `${quoteName(schema)}.${quoteName(table)}`;
    const sql = `CREATE SCHEMA ${quoteName(schema)}; CREATE TYPE ${quoteName(schema)}.${quoteName(type)} AS ENUM ('${text}', 'x');
      CREATE TABLE ${name} (id int PRIMARY KEY, ${quoteName(column)} text, e ${quoteName(schema)}.${quoteName(type)}, es ${quoteName(schema)}.${quoteName(type)}[], v varchar(${text.length}));
      CREATE TABLE ${quoteName(`k${tableName}`)} (${quoteName(column)} text PRIMARY KEY, n int); CREATE TABLE f (${quoteName(column)} text, j json)`;
    await source.query(sql);
    await target.query(sql);
    const insert = (from: number, to: number): string =>
      `INSERT INTO ${name} SELECT g, '${text}' || g, '${text}', ARRAY['${text}', 'x']::text[]::${quoteName(schema)}.${quoteName(type)}[], '${text}' FROM generate_series(${from}, ${to}) g;
       INSERT INTO ${quoteName(`k${tableName}`)} SELECT '${text}' || g, g FROM generate_series(${from}, ${to}) g; INSERT INTO f SELECT '${text}' || g, to_json('${text}'::text) FROM generate_series(${from}, ${to}) g`;
    await source.query(insert(1, 40));
    engine = await startEngine({ source, target }, { plugin });
    await source.query(insert(41, 80)); // enough for staging tables
    await source.query(
      `UPDATE ${name} SET ${quoteName(column)} = '${text}!' WHERE id > 30; UPDATE ${quoteName(`k${tableName}`)} SET ${quoteName(column)} = ${quoteName(column)} || '${text}' WHERE n % 2 = 0;
       DELETE FROM f WHERE ${quoteName(column)} = '${text}7'`,
    );
    await engine.drain();
    await source.query(
      `INSERT INTO ${name} VALUES (0, '${text}', NULL, NULL, ''); DELETE FROM ${quoteName(`k${tableName}`)} WHERE ${quoteName(column)} = '${text}1';
       CREATE TABLE ${quoteName(`other ${tableName}`)} (id int PRIMARY KEY); INSERT INTO ${quoteName(`other ${tableName}`)} VALUES (1)`,
    );
    await engine.drain();
    for (const read of [name, quoteName(`k${tableName}`), "f"]) {
      const rows = async (database: TestDatabase): Promise<string[]> =>
        (await database.query(`SELECT t::text AS row FROM ${read} t`)).rows.map(({ row }) => String(row)).sort();
      expect(await rows(target)).toEqual(await rows(source));
    }
    expect(await equalTables({ source, target }, [{ schema, name: table, columns: ["id", column, "e", "es", "v"] }])).toEqual([table]);
    const counted = await target.query("SELECT schema_name, table_name FROM pgdms.table_sync WHERE inserts > 0 ORDER BY 2");
    expect(counted.rows).toContainEqual({ schema_name: schema, table_name: table });
    expect(counted.rows).toHaveLength(3);
  });
});

test.each(PLUGINS)(
  "a column with letters of the source's encoding that is added is an error, and goes on when the target has it, by %s",
  async (plugin) => {
    const { source, target } = await createPairOf("LATIN1", "UTF8");
    for (const database of [source, target]) await database.query("CREATE TABLE t (id int PRIMARY KEY)");
    engine = await startEngine({ source, target }, { plugin });
    await source.query("INSERT INTO t VALUES (1); ALTER TABLE t ADD \"é\" text; INSERT INTO t VALUES (2, 'ü')");
    const drained = engine.drain();
    await expect.poll(() => engine?.interruptions.at(-1), { timeout: 30_000 }).toMatchObject({ kind: "SourceTableChanged" });
    await target.query('ALTER TABLE t ADD "é" text');
    await drained;
    expect((await target.query('SELECT id, "é" AS e FROM t ORDER BY id')).rows).toEqual([
      { id: 1, e: null },
      { id: 2, e: "ü" },
    ]);
  },
);

describe.each(PLUGINS)("SQL_ASCII by %s", (plugin) => {
  test("text that is UTF-8 just works", async () => {
    const { source, target } = await createPairOf("SQL_ASCII", "UTF8");
    const sql = 'CREATE TABLE "täble" (id int PRIMARY KEY, "ç" text, c char(6))';
    await source.query(`${sql}; INSERT INTO "täble" VALUES (1, 'grüße', 'ü')`);
    await target.query(sql);
    engine = await startEngine({ source, target }, { plugin });
    await source.query(
      `INSERT INTO "täble" SELECT g, '日本' || g, 'é' FROM generate_series(2, 40) g; UPDATE "täble" SET "ç" = '€' WHERE id < 3`,
    );
    await engine.drain();
    const rows = async (database: TestDatabase): Promise<unknown[]> =>
      (await database.query('SELECT id, "ç" AS v, rtrim(c) AS c FROM "täble" ORDER BY id')).rows;
    expect(await rows(target)).toEqual(await rows(source));
    expect(await equalTables({ source, target }, [{ schema: "public", name: "täble", columns: ["id", "ç", "c"] }])).toEqual(["täble"]);
  });

  test("to SQL_ASCII every byte stays what it is, and from LATIN1 too", async () => {
    for (const encoding of ["SQL_ASCII", "LATIN1"]) {
      const { source, target } = await createPairOf(encoding, "SQL_ASCII");
      const sql = "CREATE TABLE t (id int PRIMARY KEY, v text, k text)";
      const bytes = "array_to_string(ARRAY(SELECT chr(b) FROM generate_series(1, 255) b), '')";
      const insert = (from: number, to: number): string =>
        `INSERT INTO t SELECT g, ${bytes}, chr(g + 128) FROM generate_series(${from}, ${to}) g`;
      await unconverted(source, `${sql}; ${insert(1, 20)}`);
      await target.query(sql);
      engine = await startEngine({ source, target }, { plugin });
      await unconverted(source, `${insert(21, 60)}; UPDATE t SET k = chr(254) WHERE id = 5; SELECT 1`);
      await engine.drain();
      const rows = (database: TestDatabase): Promise<unknown[]> =>
        unconverted(
          database,
          `SELECT id, encode(convert_to(v, '${database === source ? encoding : "SQL_ASCII"}'), 'hex') AS v, encode(convert_to(k, '${database === source ? encoding : "SQL_ASCII"}'), 'hex') AS k FROM t ORDER BY id`,
        );
      expect(await rows(target)).toEqual(await rows(source));
      expect((await rows(target)).length).toBe(60);
      expect(await equalTables({ source, target }, [{ schema: "public", name: "t", columns: ["id", "v", "k"] }])).toEqual(["t"]);
      await engine.stop();
      engine = undefined;
      await Promise.all([source.drop(), target.drop()]);
      pair = undefined;
    }
  });

  test("bytes that are no text on the target end the sync with the table's name and the statement that finds them", async () => {
    const { source, target } = await createPairOf("SQL_ASCII", "UTF8");
    for (const database of [source, target])
      await database.query("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text)");
    await unconverted(source, "INSERT INTO u VALUES (1, chr(252)), (2, 'fine'); SELECT 1");
    const failed = await startEngine({ source, target }, { plugin }).then(
      () => undefined,
      (thrown: unknown) => thrown as Error & { kind: keyof typeof errors; detail: { table: string; remedy: string; detail: string } },
    );
    expect(failed).toMatchObject({ kind: "TextNotConvertible", detail: { table: "public.u", sqlState: "22021" } });
    const find = /SELECT ctid.*?;/s.exec(failed?.detail.remedy ?? "")?.[0] ?? "";
    expect((await unconverted(source, find.replace("ctid, *", "id"))).map(({ id }) => id)).toEqual([1]);
    await source.query(
      `DELETE FROM u; SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()`,
    );
    await target.query("DROP SCHEMA pgdms CASCADE; TRUNCATE u");
    engine = await startEngine({ source, target }, { plugin });
    await unconverted(source, "INSERT INTO t VALUES (1, 'fine'); INSERT INTO t VALUES (2, chr(252)); SELECT 1");
    await expect(engine.drain()).rejects.toMatchObject({ kind: "TextNotConvertible", detail: { table: "public.t" } });
  });
});

test("a statement's names and strings are written in ASCII, and mean the same", async () => {
  const { target } = await createPairOf("UTF8", "UTF8");
  const sql = `SELECT 'é\\x' || E'\\\\ü''😀' AS "ä""b\\c", 'plain' AS "p"`;
  expect(asciiSql(sql)).toMatch(/^[ -~]*$/);
  expect((await target.query(asciiSql(sql))).rows).toEqual((await target.query(sql)).rows);
});
