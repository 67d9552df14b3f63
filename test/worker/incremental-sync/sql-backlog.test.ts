import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { formatLsn, type Lsn, parseLsn } from "../../../contracts/lsn.ts";
import { type SyncOptions } from "../../../worker/incremental-sync/sync.ts";
import { catchUpSlot } from "../../../worker/source/slot.ts";
import { objectName } from "../../../worker/target/prepare.ts";
import { createPairFrom } from "../../setup/databases.ts";
import { handBack, runMigration } from "../run-migration.ts";
import { type Pair, startSync } from "./start-sync.ts";

const SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, balance numeric NOT NULL);
  CREATE TABLE moves (id serial PRIMARY KEY, account int, note text)`;

/** Small transactions, each one with changes of both tables; now and then one that is rolled back. */
const SMALL = (count: number): string => `
  DO $$ BEGIN FOR n IN 1..${count} LOOP
    UPDATE accounts SET balance = balance + n * 1.10 WHERE id = n % 100;
    INSERT INTO moves (account, note) VALUES (n % 100, repeat('x', 20 + n % 300) || E'\\t\\\\\\n');
    IF n % 10 = 0 THEN DELETE FROM moves WHERE id % 7 = n % 7; END IF;
    IF n % 97 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
  END LOOP; END $$`;

/** A backlog is what was committed more than half a second before it is sent. */
const OLD = "SELECT pg_sleep(0.6)";

const LIMITS = { maxChanges: 2_000, maxBytes: 16 * 1024 * 1024 };
const CATCH_UP_SLOTS = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND slot_name ~ '_c[0-9]+$'";

describe.each(["13", "17"] as const)("a backlog of small transactions of PostgreSQL %s", (version) => {
  let pair: Pair;
  let events: string[];
  beforeEach(async () => {
    pair = await createPairFrom(version);
    events = [];
    for (const side of [pair.source, pair.target]) {
      await side.query(SCHEMA);
      await side.query("INSERT INTO accounts SELECT g, 0 FROM generate_series(0, 99) g");
    }
  });
  afterEach(() => pair.drop());

  const start = (beforeIt: () => Promise<unknown>, more: Partial<SyncOptions> & { readonly epoch?: number } = {}) =>
    startSync(pair, "pgoutput", LIMITS, undefined, {
      beforeIt: async () => {
        await beforeIt();
        await pair.source.query(OLD);
      },
      sourceVersionNum: version === "13" ? 130_010 : 170_000,
      sqlBacklogBytes: 100_000,
      onSqlBacklog: (event) => events.push(typeof event === "string" ? event : `${event.name}: ${event.message}`),
      ...more,
    });

  /** Stops the process that sends the stream, once there is one. @returns what lets it go on */
  async function standstill(): Promise<() => void> {
    let pid = 0;
    const findPid = async (): Promise<number> => {
      const { rows } = await pair.source.query(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'walsender'",
      );
      return (pid = Number(rows[0]?.["pid"] ?? 0));
    };
    await expect.poll(findPid).toBeGreaterThan(0);
    process.kill(pid, "SIGSTOP");
    return () => process.kill(pid, "SIGCONT");
  }

  async function expectSame(): Promise<void> {
    for (const table of ["accounts", "moves"]) {
      const sql = `SELECT t::text FROM ${table} t ORDER BY id`;
      expect((await pair.target.query(sql)).rows).toEqual((await pair.source.query(sql)).rows);
    }
  }

  const slotsLeft = async (): Promise<unknown[]> => (await pair.source.query(CATCH_UP_SLOTS)).rows;

  test("is read by SQL, then the stream goes on, and no slot of it is left", async () => {
    const sync = await start(() => pair.source.query(SMALL(4_000)));
    await sync.caughtUp();
    await expect.poll(() => events.length).toBe(2);
    expect(events).toEqual(["began", "BacklogRead: the backlog was read"]);
    await expectSame();
    await expect.poll(slotsLeft).toEqual([]);
    await pair.source.query(SMALL(100));
    await sync.caughtUp();
    await expectSame();
    await sync.stop();
  });

  test("is read by SQL after a worker that left its slot behind, too", async () => {
    const left =
      "SELECT pg_copy_logical_replication_slot(slot_name, slot_name || '_c1') FROM pg_replication_slots WHERE database = current_database()";
    const leaveSlot = (): Promise<unknown> => pair.source.query(left);
    const sync = await start(() => leaveSlot().then(() => pair.source.query(SMALL(4_000))), { epoch: 2 });
    await sync.caughtUp();
    await expect.poll(() => events).toEqual(["began", "BacklogRead: the backlog was read"]);
    await expectSame();
    await expect.poll(slotsLeft).toEqual([]);
    await sync.stop();
  });

  test("in several parts, with a transaction that is open while one part ends and the next one begins", async () => {
    const open = await pair.source.connect();
    const sync = await start(async () => {
      await open.query("BEGIN");
      for (let part = 0; part < 3; part++) {
        await open.query("INSERT INTO moves (account, note) SELECT -1, 'open ' || g FROM generate_series(1, 5) g");
        await pair.source.query(SMALL(6_000));
      }
      await open.query("COMMIT");
      await pair.source.query(SMALL(2_000));
    });
    await open.end();
    await sync.caughtUp();
    expect(events[0]).toBe("began");
    await expectSame();
    await sync.stop();
  });

  test("that grows while the stream stands still is noticed by what the stream brings, and read by SQL from there on", async () => {
    const sync = await start(() => Promise.resolve(), { sqlBacklogAgainMs: 0 });
    await sync.caughtUp();
    // A target that stands still would not do: sockets take 30 MB and more, and all of that is sent in time.
    const goesOn = await standstill();
    try {
      await pair.source.query(SMALL(5_000));
      await pair.source.query(OLD);
      const { rows } = await pair.source.query("SELECT pg_current_wal_lsn()::text AS lsn");
      sync.sync.sourceIsAt(parseLsn(String(rows[0]?.["lsn"])));
    } finally {
      goesOn();
    }
    await sync.caughtUp();
    expect(events[0]).toBe("began");
    await expectSame();
    await sync.stop();
  });

  test("is not let go on the source beyond what somebody may still have to read again", async () => {
    let held: Lsn | undefined;
    const sync = await start(() => pair.source.query(SMALL(12_000)), {
      onApplied: (_counts, { endLsn }) => {
        if (held !== undefined || endLsn === undefined || events[0] !== "began") return;
        sync.sync.hold();
        held = endLsn; // was let go already
      },
    });
    await sync.caughtUp();
    await expect.poll(() => events).toEqual(["began", "BacklogRead: the backlog was read"]);
    await expect.poll(slotsLeft).toEqual([]);
    const { rows } = await pair.source.query(
      "SELECT confirmed_flush_lsn <= $1::pg_lsn AS is_held FROM pg_replication_slots WHERE database = current_database()",
      [formatLsn(held as Lsn)],
    );
    expect(rows).toEqual([{ is_held: true }]);
    await expectSame();
    await sync.stop();
  });

  test("whose reading breaks off is read on by the stream, from where the target is", async () => {
    let isBroken = false;
    const sync = await start(() => pair.source.query(SMALL(12_000)), {
      onApplied: (_counts, { endLsn }) => {
        if (isBroken || endLsn === undefined || events[0] !== "began") return;
        isBroken = true;
        void pair.source.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%catch-up' AND datname = current_database()",
        );
      },
    });
    await sync.caughtUp();
    expect(events[1]).toContain("BacklogFailed");
    await expectSame();
    expect(await slotsLeft()).toEqual([]);
    await sync.stop();
  });

  const noTables = new Error("the tables cannot be read");
  test.each<[string, SyncOptions["tables"]]>([
    ["the tables cannot be read", () => Promise.reject(noTables)],
    ["no decoder can be made of the tables", () => Promise.resolve({ values: () => expect.fail(noTables.message) } as never)],
  ])("is let go of when meanwhile %s", async (_, tables) => {
    const sync = await start(() => pair.source.query(SMALL(4_000)), { tables });
    expect(await sync.ended).toMatchObject({ message: noTables.message });
    const sessions = "SELECT FROM pg_stat_activity WHERE application_name LIKE '%catch-up' AND datname = current_database()";
    await expect.poll(async () => (await pair.source.query(sessions)).rowCount).toBe(0);
    expect([events, await slotsLeft()]).toEqual([[], []]);
    await sync.stop();
  });

  test("that a worker left half read is read on by the next one, and no slot is left of either", async () => {
    const settings = { migrationSetting: { migrateSchema: "false" }, sourceSetting: { sqlBacklogMB: "1" } };
    await pair.target.query("DELETE FROM accounts");
    const first = runMigration(pair, settings);
    await first.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await handBack(first, pair.source);
    await pair.source.query(SMALL(6_000));
    await pair.source.query(OLD);
    const slot = objectName(first.taskId, pair.source.name);
    await pair.source.query("SELECT pg_copy_logical_replication_slot($1, $2)", [slot, catchUpSlot(slot, 1)]);
    const next = runMigration(pair, settings, { taskId: first.taskId, epoch: 2, ended: undefined });
    await next.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    expect(await next.cutOver()).toEqual([]);
    expect(await next.ended).toEqual({ end: "COMPLETE", codes: [] });
    await expectSame();
    expect((await pair.source.query("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")).rows).toEqual([]);
  });
});
