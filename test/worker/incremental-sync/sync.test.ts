import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseLsn } from "../../../contracts/lsn.ts";
import { createPair } from "../../setup/databases.ts";
import { type Pair, startSync } from "./start-sync.ts";

const both = async (pair: Pair, sql: string) => [(await pair.source.query(sql)).rows, (await pair.target.query(sql)).rows];

describe.each(["pgoutput", "test_decoding"] as const)("incremental sync by %s", (plugin) => {
  let pair: Pair;
  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(() => pair.drop());

  const onBoth = async (sql: string) => {
    await pair.source.query(sql);
    await pair.target.query(sql);
  };

  async function expectSame(sql: string) {
    const [source, target] = await both(pair, sql);
    expect(target).toEqual(source);
  }

  test("inserts, updates and deletes arrive, in small and in large groups", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, note text, n numeric)");
    const sync = await startSync(pair, plugin);
    await pair.source.query("INSERT INTO t SELECT g, 'row\t\\' || g, g * 1.10 FROM generate_series(1, 5000) g");
    await pair.source.query("UPDATE t SET note = note || E'\\n', n = NULL WHERE id % 3 = 0");
    await pair.source.query("DELETE FROM t WHERE id % 5 = 0");
    await pair.source.query("INSERT INTO t VALUES (-1, '', 'NaN'), (-2, NULL, 0.000), (-3, '\\N', 1)");
    await sync.caughtUp();
    await expectSame("SELECT t::text FROM t ORDER BY id");
    await sync.stop();
  });

  test("a unique value that moves between rows in one group is applied in the order of the source", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g");
    const sync = await startSync(pair, plugin);
    await pair.source.query(
      "BEGIN; UPDATE t SET place = -1 WHERE id = 1; UPDATE t SET place = 1 WHERE id = 2; UPDATE t SET place = 2 WHERE id = 1; COMMIT",
    );
    await pair.source.query("BEGIN; UPDATE t SET place = place + 1000; UPDATE t SET place = (place - 1000) % 100 + 1; COMMIT");
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    await sync.stop();
  });

  test("values of a deferred unique constraint may be reversed in one statement", async () => {
    await onBoth(
      "CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g",
    );
    const sync = await startSync(pair, plugin);
    await pair.source.query("UPDATE t SET place = 101 - place");
    await pair.source.query("DELETE FROM t WHERE id = 7; INSERT INTO t SELECT 7, 94");
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    await sync.stop();
  });

  test("an unchanged TOASTed value keeps what the target has, also when its key changes", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, large text, n int); ALTER TABLE t ALTER large SET STORAGE EXTERNAL");
    const sync = await startSync(pair, plugin);
    await pair.source.query("INSERT INTO t SELECT g, repeat(md5(g::text), 500), 0 FROM generate_series(1, 40) g");
    await pair.source.query("UPDATE t SET n = n + 1");
    await sync.caughtUp();
    await pair.source.query(
      "UPDATE t SET n = n + 1 WHERE id > 20; UPDATE t SET id = id + 1000 WHERE id <= 10; UPDATE t SET large = 'short' WHERE id = 30",
    );
    await sync.caughtUp();
    await expectSame("SELECT id, n, md5(large) FROM t ORDER BY id");
    await sync.stop();
  });

  test("a transaction larger than a group is applied in pieces and commits once", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, note text)");
    const sync = await startSync(pair, plugin, { maxChanges: 500, maxBytes: 1024 * 1024 });
    await pair.source.query(
      "BEGIN; INSERT INTO t SELECT g, 'x' FROM generate_series(1, 4321) g; UPDATE t SET note = 'y' WHERE id % 2 = 0; DELETE FROM t WHERE id > 4000; COMMIT",
    );
    await pair.source.query("INSERT INTO t VALUES (0, 'last')");
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    await sync.stop();
  });

  test("pieces of a transaction that each only work in their order are applied in it, though the next ones are on their way", async () => {
    await onBoth(
      "CREATE TABLE t (id int PRIMARY KEY, place int UNIQUE, n int); INSERT INTO t SELECT g, g, 0 FROM generate_series(1, 2000) g",
    );
    const sync = await startSync(pair, plugin, { maxChanges: 3_000, maxBytes: 1024 * 1024 });
    // Each piece has every row, and takes several rounds in its order.
    await pair.source.query(`DO $$ DECLARE a int; b int; BEGIN
      FOR round IN 1..4 LOOP FOR i IN 1..1000 LOOP
        SELECT place INTO a FROM t WHERE id = 2 * i; SELECT place INTO b FROM t WHERE id = 2 * i - 1;
        UPDATE t SET place = -1 WHERE id = 2 * i;
        UPDATE t SET place = a, n = round WHERE id = 2 * i - 1;
        UPDATE t SET place = b, n = round WHERE id = 2 * i;
      END LOOP; END LOOP; END $$`);
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    expect(sync.connections()).toBe(1);
    await sync.stop();
  });

  test("changes of very many tables go through one connection, whose statements are dropped when they are many", async () => {
    const tables = 700; // three statements each: more than a session keeps
    const each = (statement: string): string =>
      `DO $$ BEGIN FOR i IN 1..${tables} LOOP EXECUTE format('${statement}', i); END LOOP; END $$`;
    await onBoth(each("CREATE TABLE many_%s (id int PRIMARY KEY, n int)"));
    const sync = await startSync(pair, plugin);
    for (const statement of [
      "INSERT INTO many_%s VALUES (1, 0), (2, 0)",
      "UPDATE many_%s SET n = 1 WHERE id = 1",
      "DELETE FROM many_%s WHERE id = 2",
      "INSERT INTO many_%s VALUES (3, 0)",
    ]) {
      await pair.source.query(each(statement));
      await sync.caughtUp();
    }
    for (const n of [1, 350, tables]) await expectSame(`SELECT id, n FROM many_${n} ORDER BY id`);
    expect(sync.connections()).toBe(1);
    await sync.stop();
  });

  test("TRUNCATE stands in its place between other changes", async () => {
    await onBoth("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY REFERENCES a)");
    const sync = await startSync(pair, plugin);
    await pair.source.query("BEGIN; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); TRUNCATE a, b; INSERT INTO a VALUES (2); COMMIT");
    await sync.caughtUp();
    await expectSame("SELECT * FROM a");
    await expectSame("SELECT * FROM b");
    await sync.stop();
  });

  test("rows without a key are told apart by all their values, one of equals at a time", async () => {
    await onBoth("CREATE TABLE t (a int, j json, n numeric); ALTER TABLE t REPLICA IDENTITY FULL");
    const sync = await startSync(pair, plugin);
    await pair.source.query(
      `INSERT INTO t VALUES (1, '{"a": 1}', 1.0), (1, '{"a": 1}', 1.0), (1, '{"a":1}', 1.00), (NULL, NULL, NULL), (NULL, NULL, NULL)`,
    );
    await pair.source.query("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a = 1)");
    await pair.source.query("UPDATE t SET n = 2.50 WHERE ctid = (SELECT max(ctid) FROM t WHERE a IS NULL)");
    await sync.caughtUp();
    await expectSame("SELECT t::text FROM t ORDER BY 1");
    await sync.stop();
  });

  test("a later worker's epoch stops an earlier one before it writes", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY)");
    const sync = await startSync(pair, plugin);
    await pair.target.query("UPDATE pgdms.migration SET epoch = 2");
    await pair.source.query("INSERT INTO t VALUES (1)");
    await expect(sync.caughtUp()).rejects.toMatchObject({ kind: "LostOwnership" });
    expect((await pair.target.query("SELECT * FROM t")).rows).toEqual([]);
    await sync.stop();
  });

  test("a COMMIT whose answer was lost and that arrives late is not applied a second time", async () => {
    await onBoth("CREATE TABLE t (id int)");
    await pair.source.query("ALTER TABLE t REPLICA IDENTITY FULL");
    const sync = await startSync(pair, plugin);
    // Stands for the late COMMIT: it moves the position and inserts the row while the sync is about to do the same.
    const late = await pair.target.connect();
    await late.query("BEGIN; SELECT FROM pgdms.migration FOR UPDATE");
    await pair.source.query("INSERT INTO t VALUES (1)");
    const { rows } = await pair.source.query("SELECT pg_current_wal_lsn()::text AS lsn");
    await expect
      .poll(
        async () =>
          (
            await pair.target.query(
              "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query LIKE '%pgdms.migration%'",
            )
          ).rowCount,
      )
      .toBe(1);
    await late.query("INSERT INTO t VALUES (1)");
    await late.query("UPDATE pgdms.migration SET position = $1::pg_lsn", [rows[0]?.["lsn"]]);
    await late.query("COMMIT");
    await late.end();
    await pair.source.query("INSERT INTO t VALUES (2)");
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    await sync.stop();
  });

  test("a few changes whose COMMIT the target refuses are not applied, and say why", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY)");
    await pair.target.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not here' USING ERRCODE = 'P0001'; END $$;
      CREATE CONSTRAINT TRIGGER late AFTER INSERT ON t DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION refuse();
      ALTER TABLE t ENABLE ALWAYS TRIGGER late`);
    const sync = await startSync(pair, plugin);
    await pair.source.query("INSERT INTO t VALUES (1)");
    await sync.caughtUp();
    await pair.source.query("INSERT INTO t VALUES (2)");
    const { rows } = await pair.source.query("SELECT pg_current_wal_insert_lsn()::text AS lsn");
    await expect(sync.caughtUp()).rejects.toMatchObject({ kind: "ApplyFailed", detail: { sqlState: "P0001" } });
    expect((await pair.target.query("SELECT id FROM t")).rows).toEqual([{ id: 1 }]);
    expect(sync.sync.position).toBeLessThan(parseLsn(String(rows[0]?.["lsn"])));
    await sync.stop();
  });

  test("a few changes of a table with rules that fire arrive as well", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, n int)");
    await pair.target.query(`
      CREATE TABLE told (id int);
      CREATE RULE tell AS ON INSERT TO t DO ALSO INSERT INTO told VALUES (NEW.id);
      ALTER TABLE t ENABLE ALWAYS RULE tell`);
    const sync = await startSync(pair, plugin);
    for (const id of [1, 2]) {
      await pair.source.query(`INSERT INTO t VALUES (${id}, 0)`);
      await pair.source.query(`UPDATE t SET n = 1 WHERE id = ${id}`);
      await sync.caughtUp();
    }
    await expectSame("SELECT * FROM t ORDER BY id");
    expect((await pair.target.query("SELECT id FROM told ORDER BY id")).rows).toEqual([{ id: 1 }, { id: 2 }]);
    await sync.stop();
  });

  test("a sync that is stopped has told the source all that is durable", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY)");
    const sync = await startSync(pair, plugin);
    for (let n = 1; n <= 3; n++) {
      await pair.source.query(`INSERT INTO t SELECT g FROM generate_series(${n * 100}, ${n * 100 + 99}) g`);
      await sync.caughtUp();
    }
    const durable = sync.sync.position;
    await sync.stop();
    const confirmed = async () => {
      const { rows } = await pair.source.query(
        "SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE database = current_database() AND NOT active",
      );
      return rows.map(({ lsn }) => parseLsn(String(lsn)) >= durable);
    };
    await expect.poll(confirmed).toEqual([true]);
  });

  test("an order to stop that comes while the stream is being opened ends the sync and the stream", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY)");
    const sync = await startSync(pair, plugin, undefined, (controller) => controller.abort(new Error("stop")));
    expect(await sync.ended).toMatchObject({ message: "stop" });
    const active = "SELECT active FROM pg_replication_slots WHERE database = current_database()";
    await expect.poll(async () => (await pair.source.query(active)).rows).toEqual([{ active: false }]);
    await sync.stop();
  });

  test("a walsender that is killed is replaced, and nothing is lost or doubled", async () => {
    await onBoth("CREATE TABLE t (id int PRIMARY KEY, n int)");
    const sync = await startSync(pair, plugin);
    for (let round = 0; round < 5; round++) {
      await pair.source.query("INSERT INTO t SELECT g + $1::int * 1000, 0 FROM generate_series(1, 1000) g", [round]);
      await pair.source.query(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()",
      );
      await pair.source.query("UPDATE t SET n = n + 1");
    }
    await sync.caughtUp();
    await expectSame("SELECT * FROM t ORDER BY id");
    await sync.stop();
  });
});
