import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPair, type TestDatabase } from "../setup/databases.ts";
import { Random } from "../chaos/random.ts";
import { differences, type Engine, type EngineOptions, type Plugin, startEngine } from "./engine.ts";

// A load that breaks off inside a large table goes on there: the parts that are loaded stay as of the snapshot before, and the
// sync brings each part on from its own.

const ROWS = 3_000;
const PART_MB = 0.25;

let pair: Awaited<ReturnType<typeof createPair>>;
let engine: Engine | undefined;
let source: TestDatabase;
let target: TestDatabase;
beforeEach(async () => {
  pair = await createPair();
  ({ source, target } = pair);
});
afterEach(async () => {
  await engine?.stop();
  engine = undefined;
  await pair.drop();
});

async function createLarge(more = ""): Promise<void> {
  for (const side of [source, target]) {
    await side.query("CREATE TABLE large (id int PRIMARY KEY, n int, note text)");
    await side.query(`ALTER TABLE large ALTER note SET STORAGE EXTERNAL; ${more}`);
  }
  // Every tenth row has a value that lies in the TOAST table; keys leave room between them.
  await source.query(
    `INSERT INTO large SELECT i * 2, i, repeat(md5(i::text), CASE WHEN i % 10 = 0 THEN 100 ELSE 8 END) FROM generate_series(1, ${ROWS}) i; ANALYZE large`,
  );
}

const start = (plugin: Plugin, meanwhile: () => Promise<void>, more: Partial<EngineOptions> = {}): Promise<Engine> =>
  startEngine(pair, { plugin, interruptedLoad: { partMB: PART_MB, afterParts: 2, meanwhile }, ...more });

/** How many parts are of which snapshot, the earliest first. */
async function partsBySnapshot(): Promise<number[]> {
  const { rows } = await target.query(
    "SELECT count(*)::int AS parts FROM pgdms.table_load WHERE table_name = 'large' GROUP BY snapshot_lsn ORDER BY snapshot_lsn",
  );
  return rows.map((row) => Number(row["parts"]));
}

/** Transactions of every kind of change, all over the table. */
function history(random: Random, transactions: number, keysOf: (at: string) => string): string[] {
  const key = (): number => random.between(1, ROWS * 2);
  const kinds = [
    () => `UPDATE large SET n = n + 1 WHERE id BETWEEN ${key()} AND ${key()}`,
    () => `UPDATE large SET n = -n WHERE id % 97 = ${random.between(0, 96)}`,
    () => `UPDATE large SET note = repeat('x', ${random.between(1, 3_000)}) WHERE id = ${key()}`,
    () => `DELETE FROM large WHERE id % 101 = ${random.between(0, 100)}`,
    () => `INSERT INTO large VALUES (${key()}, 0, 'new') ON CONFLICT (id) DO UPDATE SET note = 'again'`,
    // Rows move to keys that are free, near and far.
    () => keysOf(`${random.between(-20, 20)}`),
    () => keysOf(`${random.between(-ROWS, ROWS)}`),
  ];
  return Array.from({ length: transactions }, () =>
    ["BEGIN", ...Array.from({ length: random.between(1, 4) }, () => random.one(kinds)()), random.next() < 0.1 ? "ROLLBACK" : "COMMIT"].join(
      "; ",
    ),
  );
}

const move = (which: string) => (by: string) =>
  `UPDATE large l SET id = l.id + ${by} WHERE l.id % 53 = 7 ${which} AND NOT EXISTS (SELECT FROM large o WHERE o.id = l.id + ${by})`;

describe.each([["pgoutput"], ["test_decoding"]] as const)("%s", (plugin) => {
  test.each([
    ["by its key", "", move("AND length(l.note) < 1000")],
    ["by whole rows", "ALTER TABLE large REPLICA IDENTITY FULL", move("")],
  ])("parts of two snapshots become one table: a row is told %s", async (_how, identity, keysOf) => {
    const random = new Random(plugin.length);
    await createLarge(identity);
    const run = async (): Promise<void> => {
      for (const sql of history(random, 40, keysOf)) await source.query(sql);
    };
    engine = await start(plugin, run);
    await run();
    await engine.drain();
    expect(await differences(pair, ["large"])).toEqual([]);
    const [first, second, ...others] = await partsBySnapshot();
    expect([first, others.length]).toEqual([2, 0]);
    expect(second).toBeGreaterThan(2);
  });
});

test.each([
  ["has another unique key", "CREATE UNIQUE INDEX ON large (n)", "UPDATE large SET n = n + 10000"],
  ["was emptied meanwhile", "", "TRUNCATE large; INSERT INTO large VALUES (1, 1, 'only')"],
  ["was rewritten meanwhile", "", "ALTER TABLE large ALTER n TYPE int USING -n"],
  ["gave its name to another meanwhile", "", "ALTER TABLE large RENAME TO old; CREATE TABLE large AS SELECT id, n + 1 AS n, note FROM old"],
])("a table that %s begins again", async (_why, more, meanwhile) => {
  await createLarge(more);
  engine = await start("pgoutput", async () => void (await source.query(meanwhile)));
  await engine.drain();
  expect(await differences(pair, ["large"])).toEqual([]);
  expect(await partsBySnapshot()).toHaveLength(1);
});

test("a key that only the target has keeps its parts of one snapshot", async () => {
  await createLarge();
  await target.query("CREATE UNIQUE INDEX ON large (n)");
  engine = await start("pgoutput", async () => void (await source.query("UPDATE large SET n = n + 10000")));
  await engine.drain();
  expect(await differences(pair, ["large"])).toEqual([]);
  expect(await partsBySnapshot()).toHaveLength(1);
});

test.each([
  ["in a tablespace", "SET LOCAL default_tablespace = fast;\nCREATE UNIQUE INDEX large_n_idx ON public.large USING btree (n)"],
  ["made whole", "ALTER TABLE ONLY public.large ADD CONSTRAINT large_n_key UNIQUE (n)"],
])("a key that the target gets back later, %s, keeps its parts of one snapshot", async (_how, sql) => {
  await createLarge();
  engine = await start("pgoutput", async () => {
    await target.query(
      "INSERT INTO pgdms.deferred_ddl (stage, kind, schema_name, table_name, object_name, restore_sql) VALUES ('load', 'index', 'public', 'large', 'key', $1)",
      [sql],
    );
    await source.query("UPDATE large SET n = n + 10000");
  });
  await engine.drain();
  expect(await partsBySnapshot()).toHaveLength(1);
});

test("a key that is a generated column, which no change names, keeps its parts of one snapshot", async () => {
  for (const side of [source, target])
    await side.query("CREATE TABLE large (n int, note text, id int GENERATED ALWAYS AS (n * 2) STORED PRIMARY KEY)");
  await source.query(`INSERT INTO large SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, ${ROWS}) i; ANALYZE large`);
  engine = await start("pgoutput", async () => void (await source.query("UPDATE large SET note = 'new' WHERE n % 7 = 0")));
  await engine.drain();
  expect(await differences(pair, ["large"])).toEqual([]);
  expect(await partsBySnapshot()).toHaveLength(1);
});

test("a key whose name is a keyword is a key like others", async () => {
  for (const side of [source, target])
    await side.query(`CREATE TABLE large ("order" int, "Of" int, note text, PRIMARY KEY ("order", "Of"))`);
  await source.query(`INSERT INTO large SELECT i, 1, repeat(md5(i::text), 8) FROM generate_series(1, ${ROWS}) i; ANALYZE large`);
  engine = await start("pgoutput", async () => void (await source.query(`UPDATE large SET "order" = -"order" WHERE "order" % 7 = 0`)));
  await engine.drain();
  expect(await differences(pair, ["large"])).toEqual([]);
  expect(await partsBySnapshot()).toHaveLength(2);
});

test("a transaction too large for a group, whose commit test_decoding tells last, is not applied to rows that have it already", async () => {
  await createLarge();
  // Larger than what the sockets hold, the rows that are loaded with it first.
  const meanwhile = async (): Promise<void> =>
    void (await source.query("INSERT INTO large SELECT i * 2 + 1, i, repeat('new', 2000) FROM generate_series(2999, 1, -2) i"));
  engine = await start("test_decoding", meanwhile, { limits: { maxChanges: 20, maxBytes: 1024 * 1024 } });
  await engine.drain();
  expect(await differences(pair, ["large"])).toEqual([]);
  expect(await partsBySnapshot()).toHaveLength(2);
});

test("a row that moves between the parts without a value that it keeps stops the sync with the table's name: nobody has that value", async () => {
  await createLarge();
  // From the last part, which is of the second snapshot, to the first.
  engine = await start("pgoutput", async () => void (await source.query(`UPDATE large SET id = 1 WHERE id = ${ROWS * 2}`)));
  await expect(engine.drain()).rejects.toMatchObject({ kind: "ApplyFailed", detail: { table: "public.large" } });
});
