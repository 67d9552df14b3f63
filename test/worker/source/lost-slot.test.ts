import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";
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
