import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { onFaultPoint } from "../../worker/fault-points.ts";
import { ConnectionLost } from "../../worker/postgres/failures.ts";
import { withConnection } from "../../worker/postgres/connect.ts";
import { readSpread } from "../../worker/target/spread.ts";
import { createPair } from "../setup/databases.ts";
import { differences, type Engine, type Pair, startEngine } from "./engine.ts";

describe("changes that are applied in several sessions at once", () => {
  let pair: Pair & { drop(): Promise<void> };
  let engine: Engine | undefined;

  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(async () => {
    onFaultPoint(undefined);
    await engine?.stop();
    engine = undefined;
    await pair.drop();
  });

  const both = async (sql: string): Promise<void> => {
    await pair.source.query(sql);
    await pair.target.query(sql);
  };
  const start = async (): Promise<Engine> =>
    (engine = await startEngine(pair, {
      plugin: "pgoutput",
      lanes: { count: 3, changesMin: 2 },
      limits: { maxChanges: 2_000, maxBytes: 1024 * 1024 },
    }));
  const expectSame = async (...tables: string[]): Promise<void> => {
    await engine?.drain();
    expect(await differences(pair, tables)).toEqual([]);
  };
  /** How many groups came to where some of their sessions have committed; the first of them goes no further. */
  const failHalfCommitted = (): { count: number } => {
    const passed = { count: 0 };
    onFaultPoint((point) => {
      if (point !== "lanes-half-committed") return undefined;
      return passed.count++ === 0 ? Promise.reject(new ConnectionLost("target")) : Promise.resolve();
    });
    return passed;
  };

  const TABLES = `CREATE TABLE a (id int PRIMARY KEY, n int, large text); CREATE TABLE b (id int PRIMARY KEY, u int UNIQUE); CREATE TABLE c (id uuid PRIMARY KEY);
    ALTER TABLE a ALTER large SET STORAGE EXTERNAL`;
  const ROWS = `INSERT INTO a SELECT g, 0, repeat(md5(g::text), 100) FROM generate_series(1, 300) g; INSERT INTO b SELECT g, g FROM generate_series(1, 100) g`;
  const CHANGES = `INSERT INTO a SELECT g, 1, 'x' FROM generate_series(1001, 1100) g; UPDATE a SET n = n + 1 WHERE id % 2 = 0; DELETE FROM a WHERE id % 7 = 0;
    UPDATE a SET large = 'short' WHERE id % 5 = 0; DELETE FROM a WHERE id = 1; INSERT INTO a VALUES (1, 9, 'again');
    DELETE FROM b WHERE id > 90; INSERT INTO b SELECT g, g FROM generate_series(91, 95) g; UPDATE b SET u = u + 1000 WHERE id < 50;
    INSERT INTO c SELECT md5(g::text)::uuid FROM generate_series(1, 50) g`;

  test("go over all of them", async () => {
    await both(TABLES);
    await pair.source.query(ROWS);
    const passed = failHalfCommitted();
    passed.count = 1; // none fails
    await start();
    await pair.source.query(`BEGIN; ${CHANGES}; COMMIT`);
    await expectSame("a", "b", "c");
    expect(passed.count).toBeGreaterThan(1);
    expect(engine?.interruptions).toEqual([]);
  });

  test("of a group that was committed in some sessions only are repaired, and not applied twice", async () => {
    await both(TABLES);
    await pair.source.query(ROWS);
    const passed = failHalfCommitted();
    await start();
    await pair.source.query(`BEGIN; ${CHANGES}; COMMIT`);
    await pair.source.query("UPDATE a SET n = n + 100"); // nothing of it may come into the repaired group
    await expectSame("a", "b", "c");
    expect(passed.count).toBeGreaterThan(0);
    expect(engine?.interruptions).toHaveLength(1);
    const { rows } = await pair.target.query("SELECT sum(inserts)::int AS inserts FROM pgdms.table_sync");
    expect(rows).toEqual([{ inserts: 100 + 1 + 5 + 50 }]);
  });

  test("are repaired before anything else is done between two connections", async () => {
    await both(TABLES);
    await pair.source.query(ROWS);
    const asked: Promise<void>[] = [];
    const halves: unknown[] = [];
    const isHalf = async (): Promise<void> => {
      const { rows } = await pair.target.query("SELECT coalesce(lanes_to > position, false) AS is_half FROM pgdms.migration");
      halves.push(rows[0]?.["is_half"]);
    };
    onFaultPoint((point) => {
      if (point !== "lanes-half-committed" || asked.length > 0) return undefined;
      return isHalf().then(() => {
        asked.push(engine?.sync.betweenConnections(isHalf) ?? Promise.resolve());
        throw new ConnectionLost("target");
      });
    });
    await start();
    await pair.source.query(`BEGIN; ${CHANGES}; COMMIT`);
    await expectSame("a", "b", "c");
    await Promise.all(asked);
    expect(halves).toEqual([true, false]);
  });

  test("that only work in their order are applied in it", async () => {
    await both(TABLES);
    await pair.source.query(ROWS);
    const passed = failHalfCommitted();
    await start();
    await pair.source.query(
      "BEGIN; UPDATE b SET u = -1 WHERE id = 1; UPDATE b SET u = 1 WHERE id = 2; UPDATE b SET u = 2 WHERE id = 1; COMMIT",
    );
    await expectSame("b");
    expect(passed.count).toBe(0);
    expect(engine?.interruptions).toEqual([]);
  });

  test("of a row that the target does not have stop the sync, and stop it again", async () => {
    await both(TABLES);
    await pair.source.query(ROWS);
    await start();
    await pair.target.query("DELETE FROM a WHERE id = 200");
    await pair.source.query("UPDATE a SET n = n + 1");
    await expect(engine?.drain()).rejects.toMatchObject({ kind: "RowMissingOnTarget" });
    const { rows } = await pair.target.query(
      "SELECT coalesce(lanes_to > position, false) AS is_half, (SELECT sum(n)::int FROM a) AS sum FROM pgdms.migration",
    );
    expect(rows).toEqual([{ is_half: false, sum: 0 }]);
  });

  test("are spread by rows only where the key is all that is unique, and looks the same when it is equal", async () => {
    const cases: readonly (readonly [table: string, sql: string, keys: readonly string[], spread: string])[] = [
      ["plain", "CREATE TABLE plain (id int PRIMARY KEY, n int); CREATE INDEX ON plain (n)", ["id"], "rows"],
      ["several", "CREATE TABLE several (a text, b uuid, PRIMARY KEY (b, a))", ["a", "b"], "rows"],
      ["more", "CREATE TABLE more (id int PRIMARY KEY, u int UNIQUE)", ["id"], "table"],
      ["partial", "CREATE TABLE partial (id int NOT NULL); CREATE UNIQUE INDEX ON partial (id) WHERE id > 0", ["id"], "table"],
      ["expression", "CREATE TABLE expression (id int PRIMARY KEY, t text); CREATE UNIQUE INDEX ON expression (lower(t))", ["id"], "table"],
      ["another", "CREATE TABLE another (id int, u int PRIMARY KEY)", ["id"], "table"],
      ["number", "CREATE TABLE number (id numeric PRIMARY KEY)", ["id"], "table"],
      ["none", "CREATE TABLE none (id int)", ["id"], "table"],
      [
        "blind",
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE TABLE blind (id text COLLATE ci PRIMARY KEY)",
        ["id"],
        "table",
      ],
      ["excluding", "CREATE TABLE excluding (id int PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&))", ["id"], "table"],
      [
        "cut",
        "CREATE TABLE cut (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE cut_1 PARTITION OF cut DEFAULT",
        ["id"],
        "table",
      ],
      [
        "firing",
        "CREATE TABLE firing (id int PRIMARY KEY); CREATE RULE r AS ON INSERT TO firing DO ALSO SELECT 1; ALTER TABLE firing ENABLE ALWAYS RULE r",
        ["id"],
        "none",
      ],
    ];
    for (const [, sql] of cases) await pair.target.query(sql);
    const spreadOf = await withConnection(pair.target.server, { purpose: "test" }, readSpread);
    expect(cases.map(([name, , keys]) => [name, spreadOf({ schema: "public", name }, keys)])).toEqual(
      cases.map(([name, , , is]) => [name, is]),
    );
    expect(spreadOf({ schema: "public", name: "unknown" }, ["id"])).toBe("none");
  });
});
