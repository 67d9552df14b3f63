import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";
import { snapshotSlot } from "../../../worker/source/slot.ts";
import { temporarySnapshot } from "../../../worker/source/snapshot.ts";
import { objectName } from "../../../worker/target/prepare.ts";
import { runMigration, type RunningMigration } from "../run-migration.ts";

let source: TestDatabase;
let target: TestDatabase;
beforeEach(async () => {
  source = await createDatabase("source", inject("postgres13Port"));
  target = await createDatabase("target", inject("postgres17Port"));
  for (const database of [source, target]) await database.query("CREATE TABLE t (id int PRIMARY KEY, note text)");
  await source.query("INSERT INTO t SELECT g, 'note ' || g FROM generate_series(1, 1000) g");
});
afterEach(() => Promise.all([source.drop(), target.drop()]));

async function dropSlots(): Promise<void> {
  const { rowCount } = await source.query(
    "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()",
  );
  expect(rowCount).toBe(1);
}

const slots = async (): Promise<number | null> =>
  (await source.query("SELECT FROM pg_replication_slots WHERE database = current_database()")).rowCount;

/** The worker stops at a boundary; nothing of it is left but the bookkeeping and the slot. */
async function stop(migration: RunningMigration): Promise<void> {
  const sessions = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgdms%'";
  migration.orders.stop();
  for (const database of [source, target]) await expect.poll(async () => (await database.query(sessions)).rowCount).toBe(0);
}

/** A new slot with the old progress would pass over what was committed between the two (supabase/etl 935). */
async function expectRefused(migration: RunningMigration): Promise<void> {
  await expect(migration.ended).resolves.toEqual({ end: "FAILED", codes: ["PG1201"] });
  expect(await slots()).toBe(0);
}

test.each(["pgoutput", "test_decoding"])(
  "a slot that is gone when the sync is taken over is not made anew: the database fails (%s)",
  async (plugin) => {
    const setting = { sourceSetting: { plugin } };
    const first = runMigration({ source, target }, setting);
    await first.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await stop(first);
    await dropSlots();
    await source.query("UPDATE t SET note = 'between' WHERE id = 1");
    await expectRefused(runMigration({ source, target }, setting, { taskId: first.taskId, epoch: 2, ended: undefined }));
  },
);

/** What a restart of the task runs: the same under another id, and what is equal is kept. */
const restart = (earlierTaskIds: readonly string[], plugin: string, epoch = 1, taskId: string = randomUUID()): RunningMigration =>
  runMigration(
    { source, target },
    { migrationSetting: { onExistingRows: "keepEqual", tablesWithoutKey: "replicaIdentityFull" }, sourceSetting: { plugin } },
    { taskId, epoch, ended: undefined, earlierTaskIds },
  );

test.each(["pgoutput", "test_decoding"])(
  "a restart takes over what the target still owes, cleans up what the source still has, and can be taken over itself (%s)",
  async (plugin) => {
    for (const database of [source, target])
      await database.query("CREATE TABLE child (id int PRIMARY KEY, t_id int REFERENCES t); CREATE TABLE keyless (note text)");
    await source.query("INSERT INTO child SELECT g, g FROM generate_series(1, 100) g; INSERT INTO keyless VALUES ('a'), ('b')");
    await target.query("SET session_replication_role = replica; INSERT INTO child VALUES (1000, 5000); RESET session_replication_role");
    const setting = { migrationSetting: { tablesWithoutKey: "replicaIdentityFull", onExistingRows: "append" }, sourceSetting: { plugin } };
    const first = runMigration({ source, target }, setting);
    await first.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await stop(first);
    await dropSlots();
    await expectRefused(runMigration({ source, target }, setting, { taskId: first.taskId, epoch: 2, ended: undefined }));
    const owed = "SELECT kind FROM pgdms.deferred_ddl WHERE NOT is_restored";
    expect((await target.query(owed)).rows).toEqual([{ kind: "validation" }]);
    // As if the source had been away when the first run ended.
    const { rows } = await target.query("SELECT slot FROM pgdms.migration");
    await source.query("SELECT pg_create_logical_replication_slot($1, $2)", [rows[0]?.["slot"], plugin]);
    await source.query("UPDATE t SET note = 'between' WHERE id = 1");

    const again = restart([first.taskId], plugin);
    const kept = "SELECT table_name FROM pgdms.table_load WHERE bytes = 0 AND state = 'done'";
    await expect.poll(async () => (await target.query(kept).catch(() => ({ rowCount: 0 }))).rowCount, { interval: 5 }).toBeGreaterThan(0);
    await stop(again);
    expect(again.toldEnd()).toBeUndefined();
    const last = restart([first.taskId], plugin, 2, again.taskId);
    await last.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    expect(await slots()).toBe(1);
    expect(last.table("keyless")).toMatchObject({ fullLoadRows: 2, fullLoadBytes: 0 });
    for (const changed of ["t", "child"]) expect(last.table(changed)?.fullLoadBytes).toBeGreaterThan(0);
    await source.query("INSERT INTO t VALUES (5000, 'followed'); INSERT INTO child VALUES (1000, 5000); DELETE FROM child WHERE id < 10");
    expect(await last.cutOver()).toEqual([]);
    expect(await last.ended).toEqual({ end: "COMPLETE", codes: [] });
    for (const table of ["t", "child", "keyless"]) expect(await contents(target, table)).toEqual(await contents(source, table));
    expect((await target.query("SELECT FROM pg_constraint WHERE conname = 'child_t_id_fkey' AND convalidated")).rowCount).toBe(1);
    expect([await leftOnSource(source), await leftOnTarget(target)]).toEqual([[], []]);
  },
);

test("a slot that is gone when the load is taken over is not made anew: the database fails", async () => {
  await source.query("UPDATE t SET note = repeat(note, 300)");
  const first = runMigration({ source, target }, { sourceSetting: { maxLoadMBps: "1" } });
  await expect
    .poll(async () => (await target.query("SELECT FROM pgdms.migration WHERE phase = 'loading'").catch(() => ({ rowCount: 0 }))).rowCount)
    .toBe(1);
  await stop(first);
  await dropSlots();
  await expectRefused(runMigration({ source, target }, {}, { taskId: first.taskId, epoch: 2, ended: undefined }));
});

test("what a broken connection left of a snapshot keeps its slot neither through the sync nor past the end", async () => {
  await source.query("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1001, 4000) g");
  const migration = runMigration({ source, target }, { sourceSetting: { maxLoadMBps: "1" } });
  const slot = objectName(migration.taskId, source.name);
  const leave = (kind: "t" | "r") =>
    temporarySnapshot(source.server, {
      slot: snapshotSlot(slot, kind, 1),
      plugin: "test_decoding",
      timeoutMs: 10_000,
      signal: new AbortController().signal,
    });
  await migration.until("loading", ({ state }) => state === "RUNNING");
  const left = [await leave("t")];
  await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
  await expect.poll(() => leftOnSource(source)).toEqual([{ slot_name: slot }, { pubname: slot }]);
  left.push(await leave("r"));
  expect(await slots()).toBe(2);
  expect(await migration.cutOver()).toEqual([]);
  expect(await migration.ended).toEqual({ end: "COMPLETE", codes: [] });
  await expect.poll(() => leftOnSource(source)).toEqual([]);
  for (const snapshot of left) await snapshot.release();
});
