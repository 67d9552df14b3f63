import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createPair } from "../../setup/databases.ts";
import { runMigration, type RunningMigration } from "../run-migration.ts";

let pair: Awaited<ReturnType<typeof createPair>>;
let migration: RunningMigration | undefined;

beforeEach(async () => {
  pair = await createPair();
  for (const side of [pair.source, pair.target]) await side.query("CREATE TABLE notes (id int PRIMARY KEY, note text)");
  await pair.source.query("INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 100) n");
});

afterEach(async () => {
  migration?.orders.cancel();
  await migration?.ended;
  await pair.drop();
});

async function readyToCutOver(fence: string): Promise<RunningMigration> {
  migration = runMigration(pair, { migrationSetting: { fence } });
  await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
  return migration;
}

const order = (fence?: "none" | "readOnly") => ({ commandId: randomUUID(), askedOn: new Date().toISOString(), fence });

/** What an application meets that connects to the source now. */
async function newcomer(): Promise<unknown> {
  const application = await pair.source.connect();
  const { rows } = await application.query("SHOW default_transaction_read_only");
  await application.end();
  return (rows[0] as Record<string, unknown>)["default_transaction_read_only"];
}

test("a cutover that asks for the fence ends other sessions and leaves the source read-only, whatever the setting says", async () => {
  const { orders, ended } = await readyToCutOver("none");
  const application = await pair.source.connect();
  orders.cutOver(order("readOnly"));
  expect(await ended).toEqual({ end: "COMPLETE", codes: [] });
  await expect(application.query("SELECT 1")).rejects.toThrow();
  expect(await newcomer()).toBe("on");
});

test("a cutover that asks for no fence makes none, although the setting would", async () => {
  const { orders, ended, told } = await readyToCutOver("readOnly");
  const application = await pair.source.connect();
  orders.cutOver(order("none"));
  expect(await ended).toEqual({ end: "COMPLETE", codes: [] });
  expect((await application.query("SELECT 1")).rowCount).toBe(1);
  await application.end();
  expect(await newcomer()).toBe("off");
  expect(told).toEqual([]); // also: the definitions of both sides were compared, and are the same
});

test("a cutover that is refused takes the fence of the setting away again", async () => {
  const { orders, ...running } = await readyToCutOver("readOnly");
  await pair.target.query("DELETE FROM notes WHERE id = 7");
  orders.cutOver(order());
  await running.until("refused", ({ state, step }) => state === "READY_TO_COMPLETE" && step === "following changes");
  expect(await newcomer()).toBe("off");
});

test("a migration that is cancelled in the middle of its cutover takes the fence away again", async () => {
  const { orders, ended } = await readyToCutOver("none");
  const holder = await pair.target.connect();
  await holder.query("BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE");
  orders.cutOver(order("readOnly"));
  await expect.poll(newcomer).toBe("on");
  orders.cancel();
  await holder.query("ROLLBACK");
  await holder.end();
  expect((await ended).end).toBe("CANCELLED");
  expect(await newcomer()).toBe("off");
});
