import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type DefinitionsReport } from "../../../contracts/reports.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { compareDefinitions } from "../../../worker/schema/compare-definitions.ts";
import { createPair, type TestDatabase } from "../../setup/databases.ts";
import { bringSchema, dumpDefinitions, readSample, SAMPLES } from "../../scenarios/schemas.ts";

async function compare(source: TestDatabase, target: TestDatabase, onlyTables?: readonly string[]): Promise<DefinitionsReport> {
  const [onSource, onTarget] = [await connect(source.server, { purpose: "test" }), await connect(target.server, { purpose: "test" })];
  try {
    return await compareDefinitions({ source: onSource, target: onTarget, onlyTables, withReplicaIdentity: true });
  } finally {
    await Promise.all([onSource.end(), onTarget.end()]);
  }
}

test.each(SAMPLES)("nothing differs in the sample %s, from 13 to 17", { timeout: 60_000 }, async (name) => {
  const pair = await createPair();
  onTestFinished(() => pair.drop());
  const sample = await readSample(name, 13);
  await pair.source.query(sample.setup);
  await bringSchema(await dumpDefinitions(pair.source), pair.target, 17);
  const { compared, ...differences } = await compare(pair.source, pair.target);
  expect(differences).toEqual({ missing: 0, different: 0, onlyOnTarget: 0, differences: [] });
  expect(compared).toBeGreaterThan(50);
});

/** One object of each kind. On the target each is made with one thing changed, and undone where it is to be missing. */
const everything = `
  CREATE SCHEMA shop;
  CREATE EXTENSION citext WITH SCHEMA shop;
  CREATE TYPE shop.mood AS ENUM ('glad', 'sad');
  CREATE DOMAIN shop.price AS numeric CHECK (VALUE > 0);
  CREATE TYPE shop.pair AS (a int, b text);
  CREATE COLLATION shop.plain (provider = libc, locale = 'C');
  CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
  CREATE FUNCTION shop.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE FUNCTION shop.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
  CREATE AGGREGATE shop.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
  CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
  CREATE CAST (shop.pair AS text) WITH INOUT;
  CREATE TEXT SEARCH CONFIGURATION shop.words (COPY = simple);
  CREATE SEQUENCE shop.counter INCREMENT 2;
  CREATE TABLE shop.goods (id int GENERATED ALWAYS AS IDENTITY, name varchar(20) NOT NULL DEFAULT 'none', kind shop.mood, owner text DEFAULT 'nobody',
    CONSTRAINT goods_key PRIMARY KEY (id), CONSTRAINT goods_named CHECK (name <> ''), CONSTRAINT goods_other UNIQUE (name));
  CREATE TABLE shop.orders (id int PRIMARY KEY, good int, CONSTRAINT orders_good FOREIGN KEY (good) REFERENCES shop.goods);
  CREATE INDEX goods_kind ON shop.goods (kind);
  CREATE STATISTICS shop.goods_stats (dependencies) ON name, kind FROM shop.goods;
  CREATE TRIGGER noting BEFORE INSERT ON shop.goods FOR EACH ROW EXECUTE FUNCTION shop.note();
  CREATE RULE quiet AS ON DELETE TO shop.orders DO INSTEAD NOTHING;
  CREATE POLICY own_goods ON shop.goods USING (owner = CURRENT_USER);
  CREATE VIEW shop.cheap AS SELECT id FROM shop.goods;
  CREATE MATERIALIZED VIEW shop.counted AS SELECT count(*) AS n FROM shop.goods;
  COMMENT ON TABLE shop.orders IS 'what was sold';
  CREATE EVENT TRIGGER watch_ddl ON ddl_command_end EXECUTE FUNCTION shop.on_ddl();
  ALTER EVENT TRIGGER watch_ddl DISABLE`;

/** What, the change on the target, the object, and what its definitions hold on the target and on the source. */
const changes: readonly (readonly [string, string, string, string | undefined, string | undefined])[] = [
  ["a schema", "CREATE SCHEMA empty", "schema empty", "SCHEMA", undefined],
  ["an extension", "DROP EXTENSION citext", "extension citext", undefined, "EXTENSION"],
  ["an enum's labels", "ALTER TYPE shop.mood ADD VALUE 'calm'", "type shop.mood", "ENUM ('glad', 'sad', 'calm')", "ENUM ('glad', 'sad')"],
  ["a domain's constraint", "ALTER DOMAIN shop.price DROP CONSTRAINT price_check", "type shop.price", "DOMAIN numeric", "CHECK ((VALUE >"],
  [
    "a composite's column",
    "ALTER TYPE shop.pair ADD ATTRIBUTE c date",
    "type shop.pair",
    "(a integer, b text, c date)",
    "(a integer, b text)",
  ],
  ["a collation", "DROP COLLATION shop.plain", "collation shop.plain", undefined, "COLLATION c"],
  [
    "a function's body",
    "CREATE OR REPLACE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n'",
    "function shop.twice(integer)",
    "SELECT n$",
    "SELECT 2 * n$",
  ],
  ["an aggregate", "DROP AGGREGATE shop.total(int)", "function shop.total(integer)", undefined, "INITCOND '0'"],
  ["an operator", "DROP OPERATOR shop.=== (int, int)", "operator shop.=== (integer, integer)", undefined, "int4eq"],
  ["a cast", "DROP CAST (shop.pair AS text)", "cast shop.pair AS text", undefined, "CAST"],
  [
    "a text search configuration",
    "DROP TEXT SEARCH CONFIGURATION shop.words",
    "text search configuration shop.words",
    undefined,
    "TEXT SEARCH",
  ],
  ["a sequence's step", "ALTER SEQUENCE shop.counter INCREMENT 3", "sequence shop.counter", "INCREMENT 3", "INCREMENT 2"],
  ["a table", "CREATE TABLE shop.more ()", "table shop.more", "TABLE", undefined],
  ["a table's comment", "COMMENT ON TABLE shop.orders IS 'other'", "table shop.orders", "COMMENT 'other'", "COMMENT 'what was sold'"],
  [
    "a column's type",
    "ALTER TABLE shop.goods ALTER name TYPE varchar(30)",
    "column shop.goods.name",
    "character varying(30) NOT NULL",
    "character varying(20) NOT NULL",
  ],
  ["a column's default", "ALTER TABLE shop.goods ALTER owner DROP DEFAULT", "column shop.goods.owner", "text", "text DEFAULT 'nobody'"],
  [
    "an identity",
    "ALTER TABLE shop.goods ALTER id SET GENERATED BY DEFAULT",
    "column shop.goods.id",
    "BY DEFAULT AS IDENTITY",
    "ALWAYS AS IDENTITY",
  ],
  ["a key", "ALTER TABLE shop.goods DROP CONSTRAINT goods_other", "constraint goods_other on shop.goods", undefined, "UNIQUE (name)"],
  ["the index of a key", "SELECT 1", "index shop.goods_other", undefined, "goods_other"],
  [
    "a constraint that is not validated",
    "ALTER TABLE shop.orders DROP CONSTRAINT orders_good, ADD CONSTRAINT orders_good FOREIGN KEY (good) REFERENCES shop.goods NOT VALID",
    "constraint orders_good on shop.orders",
    "NOT VALID",
    "REFERENCES shop.goods(id)",
  ],
  [
    "an index",
    "DROP INDEX shop.goods_kind; CREATE INDEX goods_kind ON shop.goods USING hash (kind)",
    "index shop.goods_kind",
    "USING hash",
    "USING btree",
  ],
  ["a trigger's state", "ALTER TABLE shop.goods DISABLE TRIGGER noting", "trigger noting on shop.goods", "DISABLED", "BEFORE INSERT"],
  ["a rule", "DROP RULE quiet ON shop.orders", "rule quiet on shop.orders", undefined, "DO INSTEAD NOTHING"],
  ["a policy", "ALTER POLICY own_goods ON shop.goods USING (true)", "policy own_goods on shop.goods", "USING (true)", "CURRENT_USER"],
  ["a view", "CREATE OR REPLACE VIEW shop.cheap AS SELECT id FROM shop.goods WHERE id > 1", "view shop.cheap", "id > 1", "SELECT"],
  ["a materialized view", "DROP MATERIALIZED VIEW shop.counted", "materialized view shop.counted", undefined, "count(*)"],
  ["a statistics object", "DROP STATISTICS shop.goods_stats", "statistics object shop.goods_stats", undefined, "dependencies"],
  ["an event trigger", "ALTER EVENT TRIGGER watch_ddl ENABLE", "event trigger watch_ddl", "shop.on_ddl", "DISABLED"],
  ["row level security", "ALTER TABLE shop.goods ENABLE ROW LEVEL SECURITY", "table shop.goods", "ROW LEVEL SECURITY", "TABLE"],
];

describe("a difference is named with both definitions", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  let report: DefinitionsReport;

  beforeAll(async () => {
    pair = await createPair();
    for (const side of [pair.source, pair.target]) await side.query(everything);
    for (const [, change] of changes) await pair.target.query(change);
    report = await compare(pair.source, pair.target);
  });
  afterAll(() => pair.drop());

  test.each(changes)("%s", (_what, _change, object, onTarget, onSource) => {
    const difference = report.differences.find(({ kind, name }) => `${kind} ${name}` === object);
    expect(difference).toMatchObject({
      source: onSource === undefined ? null : (expect.stringContaining(onSource) as unknown),
      target: onTarget === undefined ? null : (expect.stringContaining(onTarget) as unknown),
    });
  });

  test("the counts are exact", () => {
    const has = (side: string | undefined): boolean => side !== undefined;
    const expected = {
      missing: changes.filter(([, , , onTarget, onSource]) => has(onSource) && !has(onTarget)).length,
      different: changes.filter(([, , , onTarget, onSource]) => has(onSource) && has(onTarget)).length,
      onlyOnTarget: changes.filter(([, , , onTarget, onSource]) => !has(onSource) && has(onTarget)).length,
    };
    expect(report).toMatchObject(expected);
    expect(report.differences).toHaveLength(changes.length);
  });

  test("with chosen tables, only what belongs to them is compared", async () => {
    const { missing, different, onlyOnTarget, differences } = await compare(pair.source, pair.target, ["shop.orders"]);
    expect([missing, different, onlyOnTarget]).toEqual([1, 2, 0]);
    expect(differences.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "table shop.orders",
      "constraint orders_good on shop.orders",
      "rule quiet on shop.orders",
    ]);
  });

  test("a list that has no room for all keeps its counts exact, and every difference in bounds", async () => {
    await pair.target.query(`CREATE SCHEMA many; DO $$ BEGIN
      FOR n IN 1 .. 400 LOOP EXECUTE format('CREATE TABLE many.t%s (id int, note text)', n); END LOOP; END $$`);
    await pair.target.query(`CREATE FUNCTION many.long() RETURNS text LANGUAGE sql AS $$ SELECT '${"x".repeat(5000)}' $$`);
    const bounded = await compare(pair.source, pair.target);
    expect(bounded.onlyOnTarget).toBe(report.onlyOnTarget + 1 + 400 + 800 + 1);
    expect(JSON.stringify(bounded).length).toBeLessThan(22_000);
    expect(bounded.differences.find(({ name }) => name === "many.long()")?.target).toHaveLength(1201);
  });
});
