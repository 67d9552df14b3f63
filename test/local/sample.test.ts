import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { compareSides } from "../../local/demo/proof.ts";
import { createListdb } from "../../local/sample/listdb.ts";
import { changedRows, Writer } from "../../local/sample/writer.ts";
import { createDatabase, type TestDatabase } from "../setup/databases.ts";

const commonTypes =
  "account_plan,bigint,bit,bit varying,boolean,bytea,character varying,cidr,colour,date,double precision,inet,int4range,integer,interval,json,jsonb,macaddr,numeric,point,postal_address,real,smallint,smallint[],text,text[],time without time zone,timestamp with time zone,timestamp without time zone,tstzrange,tsvector,uuid".split(
    ",",
  );

describe("listdb", () => {
  let listdb: TestDatabase;
  let twin: TestDatabase;
  const url = ({ port, name }: TestDatabase): string => `postgresql://postgres@127.0.0.1:${port}/${name}`;

  beforeAll(async () => {
    [listdb, twin] = await Promise.all([
      createDatabase("source", inject("postgres13Port")),
      createDatabase("target", inject("postgres13Port")),
    ]);
    const { signal } = new AbortController();
    await Promise.all([createListdb(url(listdb), 5_000, signal), createListdb(url(twin), 5_000, signal)]);
  });
  afterAll(async () => {
    await Promise.all([listdb.drop(), twin.drop()]);
  });

  const has = async (sql: string): Promise<unknown> => (await listdb.query(`SELECT ${sql} AS answer`)).rows[0]?.["answer"];

  test("has what migrations stumble over", async () => {
    expect(await has("(SELECT count(*)::int FROM pg_tables WHERE schemaname IN ('public', 'billing'))")).toBeGreaterThanOrEqual(12);
    expect(await has("(SELECT count(*)::int FROM pg_attribute WHERE attidentity <> '' AND attnum > 0)")).toBeGreaterThan(0);
    expect(await has("pg_get_serial_sequence('lists', 'id')")).toBe("public.lists_id_seq");
    expect(await has("(SELECT count(*)::int FROM pg_constraint WHERE contype = 'f')")).toBeGreaterThanOrEqual(15);
    expect(await has("(SELECT count(*)::int FROM pg_trigger WHERE NOT tgisinternal)")).toBe(3);
    expect(await has("(SELECT count(*)::int FROM pg_inherits WHERE inhparent = 'activity'::regclass)")).toBe(5);
    expect(await has("(SELECT max(length(body)) FROM comments)")).toBeGreaterThan(10_000);
    const { rows } = await listdb.query(`
      SELECT DISTINCT format_type(atttypid, NULL) AS type FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
      WHERE relkind = 'r' AND attnum > 0 AND relnamespace IN ('public'::regnamespace, 'billing'::regnamespace)`);
    expect(rows.map(({ type }) => type)).toEqual(expect.arrayContaining(commonTypes));
  });

  test("made twice differs in its uuids, and the proof names exactly the tables that have some", async () => {
    const { differences, tables, sequences } = await compareSides(url(listdb), url(twin));
    expect([tables, sequences]).toEqual([17, 10]);
    expect(differences.map((text) => text.split(":").slice(0, 2).join(":"))).toEqual(["tables: public.comments", "tables: public.lists"]);
  });

  test("one row that differs is found", async () => {
    const before = await compareSides(url(listdb), url(twin));
    await twin.query("UPDATE labels SET name = name || ' ' WHERE id = 1");
    const after = await compareSides(url(listdb), url(twin));
    await twin.query("UPDATE labels SET name = rtrim(name) WHERE id = 1");
    expect(after.differences.filter((text) => !before.differences.includes(text))).toEqual([
      expect.stringMatching(/^tables: public\.labels: /),
    ]);
  });

  test("its writer does everything it knows, stands still while it is paused, and stops between transactions", async () => {
    const writer = await Writer.start({ url: url(listdb), pauseMs: 0 });
    await expect.poll(() => writer.byKind.size, { timeout: 30_000 }).toBe(13);
    writer.pause();
    await expect
      .poll(
        async () =>
          (await listdb.query("SELECT FROM pg_stat_activity WHERE application_name = 'listdb writer' AND state <> 'idle'")).rowCount,
      )
      .toBe(0);
    const paused = writer.counts;
    await listdb.query("SELECT pg_sleep(0.3)");
    expect(writer.counts).toEqual(paused);
    writer.resume();
    await expect.poll(() => changedRows(paused, writer.counts)).toBeGreaterThan(0);
    await writer.stop();
    expect(writer.failure).toBeUndefined();
    expect((await listdb.query("SELECT FROM pg_stat_activity WHERE application_name = 'listdb writer'")).rowCount).toBe(0);
    // The trigger and the application agree on how many items each list has.
    const wrong = "SELECT FROM lists l WHERE item_count <> (SELECT count(*) FROM items i WHERE i.list_id = l.id)";
    expect((await listdb.query(wrong)).rowCount).toBe(0);
  });
});
