import type pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createPairFrom } from "../setup/databases.ts";
import { differences, type Engine, type EngineOptions, type Pair, startEngine, streamEverything } from "./engine.ts";

describe("transactions whose changes are sent before they end", () => {
  let pair: Pair & { drop(): Promise<void> };
  let engine: Engine;
  let open: pg.Client;

  beforeEach(async () => {
    pair = await createPairFrom("17");
    await streamEverything(pair.source);
    for (const side of [pair.source, pair.target])
      await side.query("CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE keyless (n int); CREATE TABLE other (id int PRIMARY KEY)");
    await pair.source.query("INSERT INTO t SELECT g, 0 FROM generate_series(1, 100) g");
    open = await pair.source.connect();
  });
  afterEach(async () => {
    await open.end();
    await engine.stop();
    await pair.drop();
  });

  const start = async (options: Partial<EngineOptions> = {}): Promise<Engine> =>
    (engine = await startEngine(pair, { plugin: "pgoutput", ...options }));
  const expectSame = async (): Promise<void> => {
    await engine.drain();
    expect(await differences(pair, ["t", "keyless"])).toEqual([]);
  };
  const targetWrites = async (): Promise<boolean> => {
    const { rows } = await pair.target.query(
      "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL AND application_name LIKE '%apply%'",
    );
    return rows.length > 0;
  };
  /** Begins a transaction in the session that stays open, and waits until its first changes are here, or on the target already. */
  const begin = async (sql: string): Promise<void> => {
    await open.query(`BEGIN; ${sql}`);
    await expect.poll(async () => engine.sync.pendingChanges > 0 || (await targetWrites())).toBe(true);
  };
  const idsOnTarget = async (where: string): Promise<unknown[]> =>
    (await pair.target.query(`SELECT id FROM t WHERE ${where} ORDER BY id`)).rows.map(({ id }) => id);

  test("they are applied while they run, and seen when they are committed", async () => {
    await start();
    await begin("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1500) g; UPDATE t SET n = 5 WHERE id <= 50");
    await expect.poll(targetWrites).toBe(true);
    expect(await idsOnTarget("n > 0")).toEqual([]);
    await open.query("DELETE FROM t WHERE id % 7 = 0; COMMIT");
    await expectSame();
    expect(engine.inVain).toEqual([]);
  });

  test("what commits meanwhile comes with them, in the order of the source", async () => {
    await start();
    await begin("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1100) g");
    await pair.source.query(
      "INSERT INTO t VALUES (2000, 0), (2001, 0); UPDATE t SET n = 3 WHERE id = 1; INSERT INTO keyless VALUES (1), (1)",
    );
    await open.query("UPDATE t SET n = n + 1 WHERE id IN (1, 2000); DELETE FROM t WHERE id = 2001; COMMIT");
    await expectSame();
    expect(engine.inVain).toEqual([]);
  });

  test("several at once are committed when the last of them is", async () => {
    await start();
    const second = await pair.source.connect();
    await begin("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1100) g");
    await second.query("BEGIN; INSERT INTO t SELECT g, 2 FROM generate_series(3001, 3100) g");
    await open.query("INSERT INTO t SELECT g, 1 FROM generate_series(1101, 1200) g; COMMIT");
    await second.query("UPDATE t SET n = 7 WHERE id = 1150; INSERT INTO keyless VALUES (1); COMMIT");
    await second.end();
    await expectSame();
    expect(engine.inVain).toEqual([]);
  });

  test.each([
    ["all of one", "ROLLBACK"],
    ["a part of one", "SAVEPOINT s; DELETE FROM t; INSERT INTO keyless VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (5000, 1); COMMIT"],
  ])("%s that is rolled back leaves nothing", async (_what, end) => {
    await start();
    await begin("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1500) g; DELETE FROM t WHERE id = 1");
    await expect.poll(targetWrites).toBe(true);
    await pair.source.query("INSERT INTO keyless VALUES (1); UPDATE t SET n = 4 WHERE id = 2");
    await open.query(end);
    await expectSame();
    expect(engine.inVain).toHaveLength(1);
    expect(engine.interruptions).toEqual([]);
  });

  test("a definition that is changed and then rolled back troubles nobody", async () => {
    await start();
    await open.query("BEGIN; ALTER TABLE t ADD added int; INSERT INTO t SELECT g, 1, 2 FROM generate_series(1001, 1100) g");
    await expect.poll(() => engine.inVain.length).toBe(1);
    await pair.source.query("INSERT INTO keyless VALUES (1)");
    await open.query("ROLLBACK");
    await expectSame();
    expect(engine.interruptions).toEqual([]);
  });

  test("one that goes on and on does not keep others waiting for it", async () => {
    await start();
    await begin("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1100) g");
    await pair.source.query("INSERT INTO keyless VALUES (1); INSERT INTO t VALUES (2000, 0)");
    await engine.drain();
    expect(await idsOnTarget("id > 1000")).toEqual([2000]);
    expect(engine.inVain).toHaveLength(1);
    await open.query("INSERT INTO keyless VALUES (1); COMMIT");
    await expectSame();
  });

  test("one of tables that are left out holds up nothing", async () => {
    await start({ leaveOut: ["other"] });
    await open.query("BEGIN; INSERT INTO other SELECT generate_series(1, 500)");
    await pair.source.query("INSERT INTO keyless VALUES (1)");
    await expectSame();
    await open.query("ROLLBACK");
    await pair.source.query("INSERT INTO keyless VALUES (1)");
    await expectSame();
    expect(engine.inVain).toEqual([]);
  });

  test("a connection that breaks meanwhile loses nothing and doubles nothing", async () => {
    await start();
    await begin("INSERT INTO keyless SELECT g FROM generate_series(1, 500) g; INSERT INTO t VALUES (1001, 1)");
    await expect.poll(targetWrites).toBe(true);
    for (const end of [
      "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()",
      "INSERT INTO keyless VALUES (7)",
    ])
      await pair.source.query(end);
    await expect.poll(() => engine.interruptions.length).toBeGreaterThan(0);
    await open.query("INSERT INTO keyless VALUES (8); COMMIT");
    await expectSame();
  });

  test("changes of a table that was loaded later are told apart by where they were committed", async () => {
    const later = async (): Promise<void> => {
      await pair.source.query("INSERT INTO t SELECT g, 1 FROM generate_series(1001, 1100) g");
      const { rows } = await pair.source.query("SELECT id, n FROM t");
      await pair.target.query("INSERT INTO t SELECT * FROM unnest($1::int[], $2::int[])", [
        rows.map(({ id }) => id),
        rows.map(({ n }) => n),
      ]);
    };
    await start({ loadedLater: { names: ["t"], load: later } });
    await pair.source.query("INSERT INTO t SELECT g, 2 FROM generate_series(2001, 2100) g");
    await expectSame();
  });
});
