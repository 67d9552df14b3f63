import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { type PostgresVersion } from "../../../local/postgres/binaries.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { quoteLiteral } from "../../../worker/postgres/quote.ts";
import { type Server } from "../../../worker/postgres/server.ts";
import { dropPublication, ensurePublication } from "../../../worker/source/publication.ts";
import { readTables } from "../../../worker/source/catalog.ts";
import { createSlot, createSlotCommand, exporterSettings, temporarySnapshot } from "../../../worker/source/snapshot.ts";
import { dropSlot, dropSnapshotSlots, readSlot } from "../../../worker/source/slot.ts";

const NEVER = new AbortController().signal;

function serverOf(postgres: PostgresServer): Server {
  return {
    side: "source",
    connection: {
      serverName: postgres.host,
      port: postgres.port,
      databaseName: "postgres",
      userName: postgres.user,
      credential: { kind: "none" },
      encryptConnection: false,
      trustServerCertificate: false,
    },
    password: () => Promise.resolve(undefined),
  };
}

describe.each<PostgresVersion>(["10", "13", "18"])("slots and publications on PostgreSQL %s", (version) => {
  let postgres: PostgresServer;
  let source: Server;
  let client: pg.Client;
  const versionNum = Number(version) * 10_000;
  const clean: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    postgres = await startPostgres({ version });
    source = serverOf(postgres);
    client = await connect(source, { purpose: "test" });
  });
  afterEach(async () => {
    for (const work of clean.splice(0)) await work();
  });
  afterAll(async () => {
    await client.end();
    await postgres.stop();
  });

  const open = async (): Promise<pg.Client> => {
    const other = await connect(source, { purpose: "another session" });
    clean.push(() => other.end());
    return other;
  };
  const slots = async (): Promise<string[]> =>
    (await client.query<{ name: string }>("SELECT slot_name::text AS name FROM pg_replication_slots ORDER BY 1")).rows.map(
      ({ name }) => name,
    );

  test("a new slot comes with a snapshot that other sessions take up, and with the position where it begins", async () => {
    await client.query("CREATE TABLE public.t (a int PRIMARY KEY); INSERT INTO public.t VALUES (1)");
    const snapshot = await createSlot(source, { slot: "pgdms_a", plugin: "pgoutput", timeoutMs: 10_000, signal: NEVER });
    await client.query("INSERT INTO public.t VALUES (2)");
    const other = await open();
    await other.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    await other.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot.name)}`);
    expect((await other.query("SELECT a FROM public.t")).rows).toEqual([{ a: 1 }]);
    await other.query("COMMIT");
    const state = await readSlot(client, versionNum, "pgdms_a");
    expect(state).toMatchObject({ plugin: "pgoutput", databaseName: "postgres", isActive: false, confirmedFlushLsn: snapshot.lsn });
    expect(snapshot.isAlive()).toBe(true);
    await snapshot.release();
    await snapshot.release();
    expect(snapshot.isAlive()).toBe(false);
    await dropSlot(client, "pgdms_a");
    await dropSlot(client, "pgdms_a");
    expect(await readSlot(client, versionNum, "pgdms_a")).toBeUndefined();
    await client.query("DROP TABLE public.t");
  });

  test("a temporary snapshot leaves no slot behind", async () => {
    const snapshot = await temporarySnapshot(source, { slot: "pgdms_tmp", plugin: "test_decoding", timeoutMs: 10_000, signal: NEVER });
    expect(await slots()).toEqual(["pgdms_tmp"]);
    await snapshot.release();
    expect(await slots()).toEqual([]);
  });

  test("a temporary snapshot can be taken under the same name as soon as the one before is released", async () => {
    for (let n = 0; n < 5; n++) {
      const snapshot = await temporarySnapshot(source, { slot: "pgdms_tmp", plugin: "test_decoding", timeoutMs: 10_000, signal: NEVER });
      await snapshot.release();
    }
    expect(await slots()).toEqual([]);
  });

  const takeSnapshot = async (slot: string): Promise<void> => {
    const snapshot = await temporarySnapshot(source, { slot, plugin: "test_decoding", timeoutMs: 10_000, signal: NEVER });
    clean.push(() => snapshot.release());
  };

  test("snapshots that broken connections left are ended with their slots; those of later workers and of other migrations are not", async () => {
    await client.query("SELECT pg_create_logical_replication_slot('pgdms_g', 'test_decoding')");
    for (const slot of ["pgdms_g_t9", "pgdms_g_r2", "pgdms_g_t1", "pgdms_gx_t1"]) await takeSnapshot(slot);
    await dropSnapshotSlots(client, "pgdms_g", 2);
    await expect.poll(slots).toEqual(["pgdms_g", "pgdms_g_t9", "pgdms_gx_t1"]);
    await dropSnapshotSlots(client, "pgdms_g");
    await expect.poll(slots).toEqual(["pgdms_g", "pgdms_gx_t1"]);
    await dropSlot(client, "pgdms_g");
  });

  test("a snapshot ends those that were taken before it", async () => {
    await takeSnapshot("pgdms_h_t1");
    await takeSnapshot("pgdms_h_t2");
    await expect.poll(slots).toEqual(["pgdms_h_t2"]);
  });

  test("an open transaction that holds the slot up is named after the time limit, and no half-made slot stays", async () => {
    const other = await open();
    await other.query("BEGIN; CREATE TABLE public.held (a int)");
    const { rows } = await other.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await expect(createSlot(source, { slot: "pgdms_b", plugin: "pgoutput", timeoutMs: 300, signal: NEVER })).rejects.toMatchObject({
      kind: "SlotTimeout",
      message: expect.stringContaining(`process ${rows[0]?.pid} (user postgres, database postgres, idle in transaction`) as string,
    });
    expect(await slots()).toEqual([]);
  });

  test("an abort while the slot waits leaves no slot behind", async () => {
    const other = await open();
    await other.query("BEGIN; CREATE TABLE public.held (a int)");
    const controller = new AbortController();
    const making = createSlot(source, { slot: "pgdms_c", plugin: "pgoutput", timeoutMs: 60_000, signal: controller.signal });
    const outcome = making.catch((thrown: unknown) => thrown);
    await expect.poll(slots, { timeout: 5_000 }).toEqual(["pgdms_c"]);
    controller.abort(new Error("cancelled"));
    expect(await outcome).toMatchObject({ message: "cancelled" });
    expect(await slots()).toEqual([]);
  });

  test("a slot of the same name is not touched", async () => {
    await client.query("SELECT pg_create_logical_replication_slot('pgdms_d', 'test_decoding')");
    await expect(createSlot(source, { slot: "pgdms_d", plugin: "pgoutput", timeoutMs: 5_000, signal: NEVER })).rejects.toMatchObject({
      code: "42710",
    });
    expect(await slots()).toEqual(["pgdms_d"]);
    await dropSlot(client, "pgdms_d");
  });

  test("a drop takes the name exactly: an underscore is no pattern", async () => {
    await client.query("SELECT pg_create_logical_replication_slot('pgdmsxe', 'test_decoding')");
    await dropSlot(client, "pgdms_e");
    expect(await slots()).toEqual(["pgdmsxe"]);
    await dropSlot(client, "pgdmsxe");
  });

  test("a slot that somebody else reads is not dropped; our own walsender is ended", async () => {
    const snapshot = await createSlot(source, { slot: "pgdms_f", plugin: "test_decoding", timeoutMs: 10_000, signal: NEVER });
    await snapshot.release();
    const reader = new pg.Client({
      connectionString: postgres.url("postgres"),
      application_name: "pgdms: stream",
      replication: "database",
    } as pg.ClientConfig);
    reader.on("error", () => undefined);
    await reader.connect();
    void reader.query(`START_REPLICATION SLOT pgdms_f LOGICAL 0/0`).catch(() => undefined);
    clean.push(() => reader.end().catch(() => undefined));
    await expect.poll(async () => (await readSlot(client, versionNum, "pgdms_f"))?.isActive, { timeout: 5_000 }).toBe(true);
    await expect(dropSlot(client, "pgdms_f", { timeoutMs: 300 })).rejects.toMatchObject({ code: "55006" });
    const pid = (await readSlot(client, versionNum, "pgdms_f"))?.activePid ?? 0;
    await dropSlot(client, "pgdms_f", { ownWalSenderPid: pid });
    expect(await slots()).toEqual([]);
  });

  describe("publications", () => {
    const published = async (): Promise<unknown[]> =>
      (
        await client.query<{ publication: string; name: string; updates: boolean }>(
          `SELECT p.pubname::text AS publication, t.schemaname::text || '.' || t.tablename::text AS name, p.pubupdate AS updates
             FROM pg_publication p JOIN pg_publication_tables t USING (pubname) ORDER BY 1, 2`,
        )
      ).rows;

    test("tables without replica identity get a publication of inserts only, so that the application's updates go on", async () => {
      await client.query(`CREATE SCHEMA "a""b"; CREATE TABLE "a""b"."T.1" (a int PRIMARY KEY); CREATE TABLE public.bare (a int);
                          CREATE UNLOGGED TABLE public.fleeting (a int); CREATE TABLE public.plain (a int PRIMARY KEY)`);
      const tables = await readTables(client, versionNum);
      expect(await ensurePublication(client, versionNum, "pgdms_p", tables)).toEqual(["pgdms_p", "pgdms_p_inserts"]);
      const whole = [
        { publication: "pgdms_p", name: 'a"b.T.1', updates: true },
        { publication: "pgdms_p", name: "public.plain", updates: true },
      ];
      expect(await published()).toEqual([...whole, { publication: "pgdms_p_inserts", name: "public.bare", updates: false }]);
      await client.query("INSERT INTO public.bare VALUES (1); UPDATE public.bare SET a = 2; DELETE FROM public.bare");

      await client.query("ALTER TABLE public.bare REPLICA IDENTITY FULL");
      expect(await ensurePublication(client, versionNum, "pgdms_p", await readTables(client, versionNum))).toEqual(["pgdms_p"]);
      expect(await published()).toEqual([whole[0], { publication: "pgdms_p", name: "public.bare", updates: true }, whole[1]]);

      expect(await ensurePublication(client, versionNum, "pgdms_p", [])).toEqual(["pgdms_p"]);
      expect(await published()).toEqual([]);
      await dropPublication(client, "pgdms_p");
      await dropPublication(client, "pgdms_p");
      expect((await client.query("SELECT FROM pg_publication")).rowCount).toBe(0);
    });

    test("a role that may not publish gets the error that says what to grant", async () => {
      await client.query("CREATE ROLE reader LOGIN REPLICATION; CREATE TABLE public.foreign_to_it (a int PRIMARY KEY)");
      const reader = await connect({ ...source, connection: { ...source.connection, userName: "reader" } }, { purpose: "test" });
      clean.push(() => reader.end());
      await expect(ensurePublication(reader, versionNum, "pgdms_q", await readTables(client, versionNum))).rejects.toMatchObject({
        kind: "NoPublicationRight",
      });
    });
  });
});

test.each([
  [90_400, "permanent", 'CREATE_REPLICATION_SLOT "s" LOGICAL "test_decoding"'],
  [90_624, "temporary", 'CREATE_REPLICATION_SLOT "s" LOGICAL "test_decoding"'],
  [140_000, "permanent", 'CREATE_REPLICATION_SLOT "s" LOGICAL "test_decoding" EXPORT_SNAPSHOT'],
  [140_000, "temporary", 'CREATE_REPLICATION_SLOT "s" TEMPORARY LOGICAL "test_decoding" EXPORT_SNAPSHOT'],
  [150_000, "temporary", `CREATE_REPLICATION_SLOT "s" TEMPORARY LOGICAL "test_decoding" (SNAPSHOT 'export')`],
] as const)("version %s understands the command for a %s slot", (version, kind, command) => {
  expect(createSlotCommand("s", "test_decoding", kind, version)).toBe(command);
});

test("the exporting session asks only for settings that the version has", () => {
  expect(exporterSettings(90_400, 1_000)).toBe("-c lock_timeout=1000 -c statement_timeout=0");
  expect(exporterSettings(170_000, 1_000)).toContain("-c transaction_timeout=0");
});
