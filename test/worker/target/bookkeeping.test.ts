import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseLsn } from "../../../contracts/lsn.ts";
import { withConnection } from "../../../worker/postgres/connect.ts";
import { changeMigration, dropBookkeeping, readMigration, takeOver } from "../../../worker/target/bookkeeping.ts";
import { followFrom } from "../../../worker/target/table-states.ts";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { createPairFrom } from "../../setup/databases.ts";
import { handBack, runMigration } from "../run-migration.ts";

let pair: Awaited<ReturnType<typeof createPairFrom>>;
beforeAll(async () => {
  pair = await createPairFrom("17");
  for (const database of [pair.source, pair.target]) await database.query("CREATE TABLE t (id int PRIMARY KEY, note text)");
  await pair.source.query("INSERT INTO t SELECT g, 'loaded' FROM generate_series(1, 500) g");
});
afterAll(() => pair.drop());

/** A migration outlives its workers, also those of an earlier version. */
test("a worker goes on with the bookkeeping of one that knew no lanes", async () => {
  const { source, target } = pair;
  const setting = { targetSetting: { applyLanes: "2" } };
  const first = runMigration(pair, setting);
  await first.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
  await handBack(first, source);
  await target.query("ALTER TABLE pgdms.migration DROP COLUMN lanes_to");
  await source.query("UPDATE t SET note = 'followed'; INSERT INTO t SELECT g, 'followed' FROM generate_series(501, 3000) g");
  const second = runMigration(pair, setting, { taskId: first.taskId, epoch: 2, ended: undefined });
  await second.until("followed", () => second.table("t")?.inserts === 2500);
  expect(second.table("t")).toMatchObject({ fullLoadRows: 500, updates: 500 });
  expect(await second.cutOver()).toEqual([]);
  expect(await second.ended).toEqual({ end: "COMPLETE", codes: [] });
  expect(await contents(target, "t")).toEqual(await contents(source, "t"));
  expect([await leftOnSource(source), await leftOnTarget(target)]).toEqual([[], []]);
});

test("what lanes had announced is void when the position goes back for a table that is loaded anew", async () => {
  const { server } = pair.target;
  const ownership = { taskId: randomUUID(), epoch: 1 };
  await withConnection(server, { purpose: "test" }, async (client) => {
    await takeOver(client, 1, { taskId: ownership.taskId, sourceDatabase: "x", slot: "s", publication: "p", plugin: "pgoutput" });
    await changeMigration(client, ownership, { position: parseLsn("0/20") });
    await client.query("UPDATE pgdms.migration SET lanes_to = position");
    await client.query(
      "INSERT INTO pgdms.table_load (schema_name, table_name, part, parts, range_kind, snapshot_lsn) VALUES ('public', 't', 0, 1, 'whole', '0/10')",
    );
    await followFrom(client, [{ schema: "public", name: "t" }]);
    expect(await readMigration(client)).toMatchObject({ position: parseLsn("0/10"), lanesTo: null });
    await dropBookkeeping(client);
  });
});
