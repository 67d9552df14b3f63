import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { type DatabaseProgress } from "../../../contracts/reports.ts";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { TcpProxy } from "../../faults/tcp-proxy.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { handBack, lineTo, runMigration, through } from "../run-migration.ts";

const MB = 1024 * 1024;

/** A source of its own: what it keeps for a slot is a setting of the whole server. */
describe("what the migration holds back on its source", () => {
  let server: PostgresServer;
  let source: TestDatabase;
  let target: TestDatabase;
  const clean: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    server = await startPostgres({ version: "13", settings: { max_slot_wal_keep_size: "128MB", checkpoint_timeout: "1h" } });
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    source = await createDatabase("source", server.port);
    target = await createDatabase("target", inject("postgres17Port"));
    for (const database of [source, target]) await database.query("CREATE TABLE t (id int PRIMARY KEY, note text)");
    await source.query("INSERT INTO t SELECT g, 'note ' || g FROM generate_series(1, 1000) g");
  });
  afterEach(async () => {
    for (const work of clean.splice(0)) await work();
    await Promise.all([source.drop(), target.drop()]);
  });

  /** WAL that says nothing: nobody has to apply it. */
  const fill = (megabytes: number) =>
    source.query("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1048576)) FROM generate_series(1, $1)", [
      Math.round(megabytes),
    ]);

  const slots = async () => (await source.query("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")).rows;

  /** The sync stands still: one change waits for a lock on the target. */
  async function holdUpSync() {
    const holder = await target.connect();
    await holder.query("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
    clean.push(() => holder.end());
    await source.query("INSERT INTO t VALUES (0, 'waits')");
    return () => holder.query("COMMIT");
  }

  test("is told against max_slot_wal_keep_size: warnings at 50 % and 80 %, and when they are over", async () => {
    const migration = runMigration({ source, target });
    await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    const release = await holdUpSync();
    await migration.until("limit known", ({ walLimitedBy }) => walLimitedBy === "maxSlotWalKeepSize");
    const limit = migration.database()?.walLimitBytes ?? 0;
    expect(limit).toBeGreaterThan(128 * MB - 17 * MB);
    await fill((limit / MB) * 0.6);
    await migration.until("half used", () => migration.told.includes("+PG1230"));
    expect(migration.told).not.toContain("+PG1231");
    expect(migration.findings.find(({ error }) => error.code === "PG1230")?.error.message).toMatch(/It is \d+ MB of 1\d\d MB \(max_slot_/);
    await fill((limit / MB) * 0.25);
    await migration.until("nearly used", () => migration.told.includes("+PG1231"));
    expect(migration.database()).toMatchObject({ state: "READY_TO_COMPLETE", walStatus: "reserved" });
    expect(migration.database()?.catalogXminAge).toBeGreaterThan(0);
    await release();
    await migration.until("nothing pending", ({ lagBytes }) => lagBytes < MB);
    await source.query("CHECKPOINT"); // tells the slot where it may go on from
    await migration.until("taken back", () => migration.told.includes("-PG1230") && migration.told.includes("-PG1231"));
    migration.orders.cancel();
    expect(await migration.ended).toEqual({ end: "CANCELLED", codes: [] });
    expect(await slots()).toEqual([]);
  });

  test("ends the migration when the source invalidates the slot; a restart keeps the tables that are equal", async () => {
    for (const database of [source, target]) await database.query("CREATE TABLE same (id int PRIMARY KEY, note text)");
    await source.query("INSERT INTO same SELECT g, 'same ' || g FROM generate_series(1, 1000) g");
    const first = runMigration({ source, target });
    await first.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await handBack(first, source);
    await source.query("UPDATE t SET note = 'unseen' WHERE id <= 10; DELETE FROM t WHERE id > 990");
    // Ten segments of 16 MB that hold next to nothing.
    for (let n = 0; n < 10; n++) await source.query("SELECT pg_logical_emit_message(false, 'fill', 'x'); SELECT pg_switch_wal()");
    await source.query("CHECKPOINT");
    const status = "SELECT wal_status FROM pg_replication_slots WHERE database = current_database()";
    expect((await source.query(status)).rows).toEqual([{ wal_status: "lost" }]);
    const second = runMigration({ source, target }, {}, { taskId: first.taskId, epoch: 2, ended: undefined });
    expect(await second.ended).toEqual({ end: "FAILED", codes: ["PG1201"] });
    expect(second.findings.find(({ error }) => error.code === "PG1201")?.error.remedy).toContain("Migrate.Sync.Restart.Task");
    expect(await slots()).toEqual([]);
    const file = "SELECT pg_relation_filenode('same') AS same, pg_relation_filenode('t') AS t";
    const { rows: filesBefore } = await target.query(file);
    const again = runMigration(
      { source, target },
      { migrationSetting: { onExistingRows: "keepEqual" } },
      { taskId: randomUUID(), epoch: 1, ended: undefined, earlierTaskIds: [first.taskId] },
    );
    await again.until("ready again", ({ state }) => state === "READY_TO_COMPLETE");
    expect(again.table("same")).toMatchObject({ state: "COMPLETED", fullLoadRows: 1000, fullLoadBytes: 0 });
    expect(again.table("t")).toMatchObject({ state: "COMPLETED", fullLoadRows: 990 });
    expect(again.table("t")?.fullLoadBytes).toBeGreaterThan(10_000);
    const { rows: filesAfter } = await target.query(file);
    expect(filesAfter[0]?.["same"]).toBe(filesBefore[0]?.["same"]);
    expect(filesAfter[0]?.["t"]).not.toBe(filesBefore[0]?.["t"]);
    await source.query("UPDATE same SET note = 'followed' WHERE id = 1; INSERT INTO t VALUES (5000, 'followed')");
    expect(await again.cutOver()).toEqual([]);
    expect(await again.ended).toEqual({ end: "COMPLETE", codes: [] });
    for (const table of ["t", "same"]) expect(await contents(target, table)).toEqual(await contents(source, table));
    expect([await leftOnSource(source), await leftOnTarget(target)]).toEqual([[], []]);
  });

  test("is told while the load goes on, which keeps to maxLoadMBps in all its streams together", async () => {
    for (const database of [source, target]) await database.query("CREATE TABLE u (id int PRIMARY KEY, note text)");
    for (const table of ["t", "u"])
      await source.query(`INSERT INTO ${table} SELECT g, repeat('x', 1000) FROM generate_series(2001, 5000) g`);
    const migration = runMigration({ source, target }, { sourceSetting: { maxLoadMBps: "1" } });
    const startedMs = Date.now();
    const isLoading = ({ initializationCompleted, snapshotAgeSeconds }: DatabaseProgress): boolean =>
      !initializationCompleted && snapshotAgeSeconds !== null;
    await migration.until("snapshot seen in the load", isLoading);
    await source.query("INSERT INTO t VALUES (-1, 'in the load')");
    await fill(2);
    await migration.until("WAL seen in the load", (now) => isLoading(now) && now.walHeldBytes > 2 * MB && (now.xminAge ?? 0) > 0);
    await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    const bytes = migration.database()?.fullLoadBytes ?? 0;
    expect(bytes).toBeGreaterThan(6_000_000);
    expect(Date.now() - startedMs).toBeGreaterThan((bytes / MB) * 1000 * 0.9);
    await migration.until("snapshot let go", ({ snapshotAgeSeconds }) => snapshotAgeSeconds === null);
    migration.orders.cancel();
    expect(await migration.ended).toMatchObject({ end: "CANCELLED" });
  });

  test("a source that answers late is read with fewer streams, and the step says so", async () => {
    for (const database of [source, target]) await database.query("CREATE TABLE u (id int PRIMARY KEY, note text)");
    for (const table of ["t", "u"])
      await source.query(`INSERT INTO ${table} SELECT g, repeat('x', 1000) FROM generate_series(2001, 10000) g`);
    const line = await TcpProxy.open(server.port);
    clean.push(() => line.close());
    line.delay(60);
    const setting = { migrationSetting: { fullLoadStreams: "2" }, sourceSetting: { maxLoadMBps: "1", maxSourceLatencyMs: "50" } };
    const migration = runMigration({ source: through(source, line), target }, setting);
    await migration.until("slower", ({ step }) => step === "loading tables (1 of 2 streams: the source answers late)");
    migration.orders.cancel();
    expect(await migration.ended).toMatchObject({ end: "CANCELLED" });
  });

  test("moves on at a source that is idle while another database of its server writes, whatever wal_sender_timeout", async () => {
    const kinds = (["pgoutput", "test_decoding"] as const).flatMap((plugin) => ["5s", "0"].map((timeout) => ({ plugin, timeout })));
    const running = await Promise.all(
      kinds.map(async ({ plugin, timeout }) => {
        const pair = {
          source: await createDatabase("source", server.port),
          target: await createDatabase("target", inject("postgres17Port")),
        };
        clean.push(async () => Promise.all([pair.source.drop(), pair.target.drop()]));
        for (const database of Object.values(pair)) await database.query("CREATE TABLE t (id int PRIMARY KEY)");
        await pair.source.query(`ALTER DATABASE ${pair.source.name} SET wal_sender_timeout = '${timeout}'`);
        const migration = runMigration(pair, { sourceSetting: { plugin } });
        await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
        return { plugin, timeout, migration, ...pair };
      }),
    );
    const sender = async ({ source: { name } }: { readonly source: TestDatabase }) =>
      (
        await source.query(
          `SELECT a.pid, now() - a.backend_start > '7 s' AS is_old FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
            WHERE s.database = $1`,
          [name],
        )
      ).rows[0];
    const first = await Promise.all(running.map(sender));
    await fill(3); // in a database that none of them reads
    const { rows } = await source.query("SELECT pg_current_wal_flush_lsn()::text AS lsn");
    const behind = async () =>
      (
        await source.query("SELECT slot_name FROM pg_replication_slots WHERE confirmed_flush_lsn < $1::pg_lsn AND database <> $2", [
          rows[0]?.["lsn"],
          source.name,
        ])
      ).rows;
    await expect.poll(behind, { timeout: 30_000 }).toEqual([]);
    // Longer than the shorter limit the same walsenders go on.
    await expect
      .poll(async () => (await Promise.all(running.map(sender))).every((one) => one?.["is_old"] === true), { timeout: 30_000 })
      .toBe(true);
    expect((await Promise.all(running.map(sender))).map((one) => one?.["pid"])).toEqual(first.map((one) => one?.["pid"]));
    for (const { migration, plugin, timeout } of running) {
      expect([plugin, timeout, migration.told.filter((code) => code === "+PG1215")]).toEqual([plugin, timeout, []]);
      migration.orders.cancel();
    }
    expect((await Promise.all(running.map(({ migration }) => migration.ended))).map(({ end }) => end)).toEqual(Array(4).fill("CANCELLED"));
  });

  test("over walBudgetMB with stopAndDropSlot: the database fails and its slot is gone, although the target is away", async () => {
    const line = await lineTo(target.port);
    clean.push(() => line.cut().catch(() => undefined));
    const migration = runMigration(
      { source, target: through(target, line) },
      { sourceSetting: { walBudgetMB: "20", onWalBudget: "stopAndDropSlot" } },
    );
    await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await line.cut();
    await source.query("INSERT INTO t VALUES (0, 'waits')");
    await fill(25);
    await expect.poll(slots, { timeout: 20_000 }).toEqual([]);
    await line.mend();
    expect(await migration.ended).toEqual({ end: "FAILED", codes: ["PG1233"] });
    expect(migration.told).toEqual(expect.arrayContaining(["+PG1230", "+PG1231", "+PG1232", "+PG1233"]));
    expect(migration.told).not.toContain("+PG1212");
  });
});
