import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contents, leftOnSource, leftOnTarget } from "../../scenarios/world.ts";
import { createPair } from "../../setup/databases.ts";
import { runMigration, type RunningMigration } from "../run-migration.ts";

const TABLES = "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text, a int REFERENCES a);";
const ROWS =
  "INSERT INTO a SELECT g, 'loaded' FROM generate_series(1, 500) g; INSERT INTO b SELECT g, 'loaded', 1 FROM generate_series(1, 500) g;";
const soon = { timeout: 30_000, interval: 50 };

describe("tables that are loaded anew", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  let migration: RunningMigration | undefined;
  beforeEach(async () => {
    pair = await createPair();
    await pair.target.query(TABLES);
    await pair.source.query(TABLES + ROWS);
  });
  afterEach(async () => {
    migration?.orders.cancel();
    await migration?.ended;
    migration = undefined;
    await pair.drop();
  });

  async function start(setting: Parameters<typeof runMigration>[1] = {}): Promise<RunningMigration> {
    const begun = (migration = runMigration(pair, setting));
    await begun.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    return begun;
  }
  async function finish(tables: readonly string[] = ["a", "b"]): Promise<void> {
    expect(await migration?.cutOver()).toEqual([]);
    expect(await migration?.ended).toEqual({ end: "COMPLETE", codes: [] });
    for (const table of tables) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
    expect([await leftOnSource(pair.source), await leftOnTarget(pair.target)]).toEqual([[], []]);
  }

  test.each(["pgoutput", "test_decoding"])("are followed again under writes, again and again, by %s", async (plugin) => {
    const { reload } = await start({ sourceSetting: { plugin } });
    let isWriting = true;
    const writing = (async () => {
      for (let n = 0; isWriting; n++)
        await pair.source.query(
          `INSERT INTO a VALUES (${10_000 + n}, 'x'), (${20_000 + n}, 'y'); UPDATE a SET v = v || '.' WHERE id = ${1 + (n % 50)}; DELETE FROM a WHERE id = ${20_000 + n}; INSERT INTO b VALUES (${10_000 + n}, 'x', ${10_000 + n})`,
        );
    })();
    for (const tables of [["public.a"], ["public.b"], ["a", "b"]]) expect(await reload(...tables)).toEqual([]);
    isWriting = false;
    await writing;
    await finish();
  });

  test("pieces of a transaction that turn out to be in the loaded rows are not counted", async () => {
    const { reload, table } = await start({
      sourceSetting: { plugin: "test_decoding" },
      migrationSetting: { applyGroupMaxChanges: "100" },
    });
    const writer = await pair.source.connect();
    // So many that some are applied before the last have arrived.
    await writer.query(`BEGIN${"; UPDATE a SET v = 'in the snapshot'".repeat(60)}`);
    const reloaded = reload("public.a");
    const waiting = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() AND query ~ 'CREATE_REPLICATION_SLOT'`;
    await expect.poll(async () => (await pair.source.query(waiting)).rowCount, soon).toBe(1);
    await writer.query("COMMIT"); // past the position of the sync, before that of the snapshot
    await writer.end();
    expect(await reloaded).toEqual([]);
    await pair.source.query("UPDATE b SET v = 'later' WHERE id = 1");
    await expect.poll(() => table("b")?.updates, soon).toBe(1);
    const { rows } = await pair.target.query("SELECT updates::int FROM pgdms.table_sync WHERE table_name = 'a'");
    expect([table("a")?.updates, rows[0]?.["updates"]]).toEqual([0, 0]);
    await finish();
  });

  test("a table that cannot be loaded stays behind alone, and is loaded when it is mended", async () => {
    await pair.source.query("UPDATE a SET v = 'too long for it' WHERE id = 250");
    await pair.target.query("ALTER TABLE a ADD CHECK (length(v) < 12)");
    const { reload, table } = await start({ migrationSetting: { onTableError: "suspendTable" } });
    expect(table("a")).toMatchObject({ state: "ERROR", error: { code: "PG1203" } });
    expect(table("b")).toMatchObject({ state: "COMPLETED" });
    expect(await reload("public.a")).toMatchObject([{ code: "PG1203" }]);
    await pair.target.query("ALTER TABLE a DROP CONSTRAINT a_v_check");
    expect(await reload("public.a")).toEqual([]);
    await finish();
  });

  test("a table that gets into trouble while a cutover goes on keeps it from being done, whether rows are compared or not", async () => {
    const { cutOver, reload, until } = await start({ migrationSetting: { onTableError: "suspendTable", compareAtCutover: "none" } });
    await pair.target.query("DELETE FROM b WHERE id = 7");
    const holder = await pair.target.connect();
    await holder.query("BEGIN; LOCK TABLE b");
    await pair.source.query("UPDATE b SET v = 'changed' WHERE id = 7");
    const refused = cutOver();
    await until("drains", ({ step }) => step === "drain pending changes");
    await holder.end(); // what is drained finds no row
    expect(await refused).toMatchObject([{ code: "PG1213", message: expect.stringMatching(/public\.b/) as string }]);
    expect(await reload("public.b")).toEqual([]);
    await finish();
  });

  test("what a connection of before still has under way on the target is ended before a table is emptied", async () => {
    const { reload, taskId } = await start();
    const late = await pair.target.connect();
    await late.query(`SET application_name = 'pgdms: ${taskId.slice(0, 8)} apply'; BEGIN; UPDATE b SET v = 'late' WHERE id = 1`);
    expect(await reload("public.a")).toEqual([]);
    await expect(late.query("COMMIT")).rejects.toThrow();
    await late.end();
    await finish();
  });

  test("a table that lost its identity is followed as the settings say", async () => {
    const { reload } = await start({ migrationSetting: { tablesWithoutKey: "replicaIdentityFull" } });
    await pair.source.query("ALTER TABLE b DROP CONSTRAINT b_pkey");
    expect(await reload("public.b")).toEqual([]);
    await pair.source.query("UPDATE b SET v = 'changed' WHERE id < 5; DELETE FROM b WHERE id = 9");
    await expect.poll(async () => (await pair.target.query("SELECT FROM b WHERE v = 'changed'")).rowCount, soon).toBe(4);
    await finish();
  });

  test("a reload of what is no table of the migration is refused", async () => {
    const { reload } = await start();
    expect(await reload("public.nowhere")).toMatchObject([{ code: "PG1119" }]);
    await finish();
  });
});
