import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { type Engine, type EngineOptions, type Pair, startEngine } from "./engine.ts";

const RANGES = `CREATE TABLE m (id int, place int, note text, PRIMARY KEY (id, place)) PARTITION BY RANGE (place);
  CREATE TABLE m_low PARTITION OF m FOR VALUES FROM (0) TO (100); CREATE TABLE m_high PARTITION OF m FOR VALUES FROM (100) TO (200);
  CREATE TABLE m_rest PARTITION OF m DEFAULT;`;
const PLAIN = "CREATE TABLE m (id int, place int, note text, PRIMARY KEY (id, place));";
const HASHES = `CREATE TABLE m (id int, place int, note text, PRIMARY KEY (id, place)) PARTITION BY HASH (id);
  CREATE TABLE h0 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 1);`;
// The same names with other bounds: a row that is right in the one is refused by the other.
const OTHER_RANGES = `CREATE TABLE m (id int, place int, note text, PRIMARY KEY (id, place)) PARTITION BY RANGE (place);
  CREATE TABLE m_low PARTITION OF m FOR VALUES FROM (0) TO (50); CREATE TABLE m_high PARTITION OF m FOR VALUES FROM (50) TO (200);
  CREATE TABLE m_rest PARTITION OF m DEFAULT;`;
// As the source, with one more: what it takes lies in the source's default partition.
const MORE_RANGES = `${RANGES} CREATE TABLE m_more PARTITION OF m FOR VALUES FROM (200) TO (250);`;
const NESTED = `CREATE TABLE m (id int, place int, note text, PRIMARY KEY (id, place)) PARTITION BY RANGE (place);
  CREATE TABLE m_low PARTITION OF m FOR VALUES FROM (0) TO (150) PARTITION BY LIST (place);
  CREATE TABLE m_low_1 PARTITION OF m_low FOR VALUES IN (1, 2, 3); CREATE TABLE m_low_rest PARTITION OF m_low DEFAULT;
  CREATE TABLE m_high PARTITION OF m FOR VALUES FROM (150) TO (1000);`;

/** Tables of the inheritance test. */
const TREE = ["p", "c", "q", "g"];

describe.each(["pgoutput", "test_decoding"] as const)("partitioned tables, by %s", (plugin) => {
  let pair: Pair & { drop(): Promise<void> };
  let engine: Engine | undefined;
  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(async () => {
    await engine?.stop();
    engine = undefined;
    await pair.drop();
  });

  const start = async (options: Partial<EngineOptions> = {}): Promise<Engine> => (engine = await startEngine(pair, { plugin, ...options }));
  const rowsOf = async (side: "source" | "target", from = "m"): Promise<unknown[]> =>
    (await pair[side].query(`SELECT t::text AS row FROM ${from} t ORDER BY 1`)).rows;
  async function expectSame(from?: string): Promise<void> {
    await engine?.drain();
    expect(await rowsOf("target", from)).toEqual(await rowsOf("source", from));
  }

  test.each([
    ["ranges", "a plain table", RANGES, PLAIN],
    ["a plain table", "ranges", PLAIN, RANGES],
    ["a plain table", "hashes", PLAIN, HASHES],
    ["ranges", "hashes", RANGES, HASHES],
    ["ranges", "other ranges of the same names", RANGES, OTHER_RANGES],
    ["ranges", "the same ranges and one more", RANGES, MORE_RANGES],
    ["ranges", "ranges of two levels", RANGES, NESTED],
    ["ranges of two levels", "a plain table", NESTED, PLAIN],
    ["ranges", "the same ranges", RANGES, RANGES],
  ])("%s to %s: load, changes, rows that move between partitions", async (_from, _to, source, target) => {
    await pair.source.query(`${source} INSERT INTO m SELECT g, g, 'loaded' FROM generate_series(1, 249) g`);
    await pair.target.query(target);
    await start();
    await pair.source.query(
      `INSERT INTO m SELECT g, g % 250, 'new' FROM generate_series(1000, 1250) g; UPDATE m SET note = 'changed' WHERE id % 7 = 0;
       UPDATE m SET place = (place + 60) % 250 WHERE id % 3 = 0; UPDATE m SET place = (place + 100) % 250; DELETE FROM m WHERE id % 5 = 0`,
    );
    // A row that goes and comes back in one transaction, after its new neighbours were met first.
    await pair.source.query(
      `BEGIN; UPDATE m SET note = 'first' WHERE id = 2; UPDATE m SET place = 199 - place WHERE id IN (1, 2) AND place < 200;
       UPDATE m SET place = 199 - place WHERE id IN (1, 2) AND place < 200; UPDATE m SET id = id + 5000 WHERE id < 20; COMMIT`,
    );
    await expectSame();
  });

  test.each([
    ["a plain table", PLAIN],
    ["hashes", HASHES],
  ])("a TRUNCATE of one partition takes its rows only, of all of them all, with %s as the target", async (_to, target) => {
    await pair.source.query(`${RANGES} INSERT INTO m SELECT g, g, 'loaded' FROM generate_series(1, 199) g`);
    await pair.target.query(target);
    await start();
    await pair.source.query("BEGIN; INSERT INTO m VALUES (500, 1, 'goes'), (501, 150, 'stays'); TRUNCATE m_low; COMMIT");
    await pair.source.query("INSERT INTO m VALUES (502, 2, 'later')");
    await expectSame();
    await pair.source.query("TRUNCATE m; INSERT INTO m VALUES (1, 1, 'only')");
    await expectSame();
    expect(await rowsOf("target")).toHaveLength(1);
  });

  test("rows without a key are told apart by all their values, whatever partition they lie in", async () => {
    const table = "CREATE TABLE m (place int, note text)";
    await pair.source.query(`${table} PARTITION BY LIST (place); CREATE TABLE m_1 PARTITION OF m FOR VALUES IN (1);
      CREATE TABLE m_2 PARTITION OF m FOR VALUES IN (2); INSERT INTO m SELECT 1 + g % 2, 'same' FROM generate_series(1, 10) g`);
    await pair.target.query(`${table} PARTITION BY HASH (note); CREATE TABLE h PARTITION OF m FOR VALUES WITH (MODULUS 1, REMAINDER 0)`);
    await start();
    await pair.source.query("DELETE FROM m_1 WHERE ctid IN (SELECT ctid FROM m_1 LIMIT 2); UPDATE m SET place = 1 WHERE place = 2");
    await expectSame();
  });

  test("children by inheritance stay tables of their own: neither load nor changes of the parent reach them", async () => {
    // g has two parents, one of them a child itself.
    const schema = `CREATE TABLE p (id int PRIMARY KEY, n int); CREATE TABLE c (CONSTRAINT c_key PRIMARY KEY (id), more text) INHERITS (p);
      CREATE TABLE q (id int PRIMARY KEY, n int, q bool); CREATE TABLE g (CONSTRAINT g_key PRIMARY KEY (id)) INHERITS (c, q)`;
    await pair.source.query(`${schema}; INSERT INTO p VALUES (1, 1), (2, 2); INSERT INTO c VALUES (1, 10, 'child'), (3, 30, NULL);
      INSERT INTO q VALUES (1, 1, true); INSERT INTO g VALUES (1, 100, 'grandchild', false), (7, 70, NULL, NULL)`);
    await pair.target.query(schema);
    await start();
    await pair.source.query(
      "UPDATE ONLY p SET n = 100 WHERE id = 1; DELETE FROM ONLY p WHERE id = 2; UPDATE p SET n = n + 1; TRUNCATE ONLY p",
    );
    await pair.source.query("INSERT INTO p VALUES (3, 3); INSERT INTO c VALUES (2, 2, 'x')");
    for (const table of TREE) await expectSame(`ONLY ${table}`);
    await pair.source.query("TRUNCATE c; INSERT INTO g VALUES (8, 8, 'new', true); UPDATE p SET id = id + 50; ALTER TABLE g NO INHERIT q");
    await pair.source.query("UPDATE q SET n = -n; UPDATE p SET n = 0; INSERT INTO g VALUES (9, 9, 'no child of q', true)");
    for (const table of TREE) await expectSame(`ONLY ${table}`);
  });
});
