import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { type PostgresVersion } from "../../../local/postgres/binaries.ts";
import { connect, versionNum } from "../../../worker/postgres/connect.ts";
import { deferDefinitions } from "../../../worker/schema/deferral.ts";
import { chooseDumpTool, runDump } from "../../../worker/schema/dump.ts";
import { restoreEverything, restoreLoadStage, restoreSyncStage, startTableRestore } from "../../../worker/schema/restore.ts";
import { type RestoreOptions } from "../../../worker/schema/restore-pool.ts";
import { readTables, type TableDefinition } from "../../../worker/source/catalog.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { freshDatabase, type TestDatabase } from "../validation/databases.ts";
import { nastySchema } from "./nasty-schema.ts";

const ownership = { taskId: "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f", epoch: 1 };
const signal = new AbortController().signal;

/** A target that belongs to the task, with the given schema. */
async function target(postgres: PostgresServer, statements: readonly string[]): Promise<TestDatabase> {
  const database = await freshDatabase(postgres, "target");
  await database.query(...statements);
  const client = await connectTo(database)();
  await takeOver(client, ownership.epoch, {
    taskId: ownership.taskId,
    sourceDatabase: "x",
    slot: "s",
    publication: "p",
    plugin: "pgoutput",
  });
  await client.end();
  return database;
}

const connectTo = (database: TestDatabase, user?: string) => (): Promise<pg.Client> =>
  connect(user === undefined ? database.server : database.as(user), { purpose: "test" });

const options = (database: TestDatabase, user?: string): RestoreOptions => ({
  connectTarget: connectTo(database, user),
  ownership,
  indexBuilders: 3,
  maintenanceWorkMemMB: 32,
  largeTableMB: 1024,
  signal,
});

async function tablesOf(database: TestDatabase): Promise<TableDefinition[]> {
  const client = await connectTo(database)();
  const tables = await readTables(client, await versionNum(client));
  await client.end();
  return tables;
}

/** The schema in pg_dump's words, without our bookkeeping and what differs from run to run. */
async function dump(postgres: PostgresServer, database: TestDatabase): Promise<string> {
  const tool = await chooseDumpTool(Number(postgres.version) * 10_000);
  const text = await runDump(tool, database.server, ["--schema-only", "--exclude-schema=pgdms"], signal);
  return text.replaceAll(/^\\.*$/gm, "");
}

const defer = (database: TestDatabase, tables: readonly TableDefinition[], user?: string) =>
  deferDefinitions({ connectTarget: connectTo(database, user), ownership, tables, deferIndexes: true, signal });

const servers = new Map<PostgresVersion, PostgresServer>();
const versions = ["10", "13", "16", "17", "18"] as const;
beforeAll(async () => {
  for (const version of versions) servers.set(version, await startPostgres({ version }));
}, 120_000);
afterAll(() => Promise.all([...servers.values()].map((server) => server.stop())));
const on = (version: PostgresVersion): PostgresServer => servers.get(version) as PostgresServer;

test("tables of few rows keep their indexes, partitions share the fate of their parent's", async () => {
  const database = await target(on("17"), [
    "CREATE TABLE little (id int PRIMARY KEY, a int UNIQUE); CREATE TABLE large (id int PRIMARY KEY); CREATE INDEX large_id ON large (id)",
    "CREATE TABLE parent (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parent FOR VALUES FROM (1) TO (9)",
  ]);
  const tables = await tablesOf(database);
  const small = tables.filter(({ name }) => name !== "large");
  await deferDefinitions({ connectTarget: connectTo(database), ownership, tables, deferIndexes: true, small, signal });
  expect(await whatIsLeft(database)).toEqual(["little_a_key", "little_pkey"]);
  expect((await restoreLoadStage(options(database))).failures).toEqual([]);
  expect(await whatIsLeft(database)).toEqual(["large_id", "large_pkey", "little_a_key", "little_pkey", "parent_pkey", "part_pkey"]);
});

test("the index of a table that is not large is built by one process, that of a large one as the server likes", async () => {
  expect(await howIndexIsBuilt({ largeTableMB: 1024 })).toEqual(['building index "t_id" on table "t" serially']);
  expect(await howIndexIsBuilt({ largeTableMB: 8 })).toEqual([
    expect.stringMatching(/^building index "t_id" on table "t" with request for [12] parallel workers?$/),
  ]);
});

/** What the server says of the build of the only index, of a table of 28 MB. */
async function howIndexIsBuilt({ largeTableMB }: Pick<RestoreOptions, "largeTableMB">): Promise<string[]> {
  const database = await target(on("17"), [
    "CREATE TABLE t AS SELECT g::bigint AS id, repeat('x', 200) AS note FROM generate_series(1, 120000) g",
    "CREATE INDEX t_id ON t (id)",
  ]);
  await defer(database, await tablesOf(database));
  const said: string[] = [];
  const connectTarget = async (): Promise<pg.Client> => {
    const client = await connectTo(database)();
    client.on("notice", ({ message }) => said.push(message ?? ""));
    await client.query("SET client_min_messages = debug1");
    return client;
  };
  expect((await restoreLoadStage({ ...options(database), maintenanceWorkMemMB: 128, connectTarget, largeTableMB })).failures).toEqual([]);
  return said.filter((message) => message.startsWith("building index"));
}

describe.each(versions)("on PostgreSQL %s", (version) => {
  test("all that is taken away for the load comes back as pg_dump knew it", async () => {
    const database = await target(on(version), nastySchema(Number(version)));
    const before = await dump(on(version), database);
    const tables = await tablesOf(database);
    const outcome = await defer(database, tables);
    expect(outcome.hasReplicaRole).toBe(true);
    expect(outcome.kept).toEqual([{ table: "public.needed", objectName: "needed_pkey", because: "a view or a function depends on it" }]);
    expect(await whatIsLeft(database)).toEqual(["needed_pkey"]);
    expect(await dump(on(version), database)).not.toBe(before);

    expect((await restoreLoadStage(options(database))).failures).toEqual([]);
    expect((await restoreSyncStage(options(database))).failures).toEqual([]);
    expect((await restoreEverything(options(database))).failures).toEqual([]);
    expect(await dump(on(version), database)).toBe(before);
    expect(await database.query("SELECT * FROM pgdms.deferred_ddl WHERE NOT is_restored")).toEqual([]);
    if (Number(version) >= 11) {
      expect(await database.query("SELECT indexrelid::regclass::text AS index FROM pg_index WHERE NOT indisvalid")).toEqual([
        { index: "parts_half" },
      ]);
    }
  });

  test("a user that may not set session_replication_role has every trigger and foreign key brought back at the cutover", async () => {
    const database = await target(on(version), nastySchema(Number(version)));
    const user = `plain_${database.name}`;
    await database.query(
      `CREATE ROLE ${user} LOGIN`,
      `DO $$ DECLARE o record; BEGIN
         FOR o IN SELECT c.oid::regclass AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
         LOOP EXECUTE format('ALTER TABLE %s OWNER TO ${user}', o.name); END LOOP;
         FOR o IN SELECT nspname AS name FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
         LOOP EXECUTE format('ALTER SCHEMA %I OWNER TO ${user}', o.name); END LOOP; END $$`,
    );
    const before = await dump(on(version), database);
    const tables = await tablesOf(database);
    expect((await defer(database, tables, user)).hasReplicaRole).toBe(false);
    // A partitioned table's own triggers do not fire for what is written to its partitions.
    const firing =
      "SELECT FROM pg_trigger g JOIN pg_class t ON t.oid = tgrelid WHERE NOT tgisinternal AND tgenabled <> 'D' AND relkind = 'r'";
    expect(await database.query(firing)).toEqual([]);
    await restoreLoadStage(options(database, user));
    await restoreSyncStage(options(database, user));
    expect(await database.query("SELECT FROM pg_constraint WHERE contype = 'f'")).toEqual([]);
    expect((await restoreEverything(options(database, user))).failures).toEqual([]);
    expect(await dump(on(version), database)).toBe(before);
  });
});

test.each([
  ["17", "EXCLUDE USING gist (k WITH =, during WITH &&)"],
  ["18", "UNIQUE (k, during WITHOUT OVERLAPS)"],
] as const)(
  "on PostgreSQL %s a constraint that could not be put together again from its partitions' stays",
  async (version, constraint) => {
    const database = await target(on(version), [
      "CREATE EXTENSION btree_gist",
      "CREATE TABLE booked (k int, during daterange, note text) PARTITION BY LIST (k)",
      "CREATE TABLE booked_1 PARTITION OF booked FOR VALUES IN (1)",
      `ALTER TABLE booked ADD CONSTRAINT "one at a time" ${constraint}`,
      "CREATE INDEX booked_note ON booked (note)",
    ]);
    const before = await dump(on(version), database);
    const { kept } = await defer(database, await tablesOf(database));
    expect(kept).toEqual([{ table: "public.booked", objectName: "one at a time", because: expect.stringContaining("attach") as string }]);
    expect(await whatIsLeft(database)).toHaveLength(2);
    expect((await restoreEverything(options(database))).failures).toEqual([]);
    expect(await dump(on(version), database)).toBe(before);
  },
);

/** Indexes of user tables, without those of system and bookkeeping. */
async function whatIsLeft(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'pgdms' ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

const WITH_ROWS = [
  "CREATE TABLE parent (id int PRIMARY KEY, name text)",
  "CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT child_parent REFERENCES parent, name text)",
  "CREATE UNIQUE INDEX child_name ON child (name)",
  "CREATE INDEX parent_name ON parent (name)",
];

test("a worker that is killed while it takes definitions away, or brings them back, loses none", async () => {
  const postgres = on("17");
  const database = await target(postgres, nastySchema(17));
  const before = await dump(postgres, database);
  const tables = await tablesOf(database);

  await killedAt(database, tables, "ALTER TABLE");
  await killedAt(database, tables, "DROP INDEX");
  await defer(database, tables);
  expect(await whatIsLeft(database)).toEqual(["needed_pkey"]);

  const doomed = ["CREATE INDEX", "USING INDEX", "ATTACH PARTITION", "UPDATE pgdms.deferred_ddl", "VALIDATE", "GENERATED ALWAYS"];
  const seen = new Map(doomed.map((statement) => [statement, 0]));
  const dies = (statement: string): boolean => {
    const times = (seen.get(statement) ?? 0) + 1;
    seen.set(statement, times);
    return times === 2;
  };
  const connectTarget = async (): Promise<pg.Client> =>
    doomed.reduce((client, statement) => dyingAt(client, statement, () => dies(statement)), await connectTo(database)());
  expect((await restoreEverything({ ...options(database), connectTarget })).failures).toEqual([]);
  expect([...seen.values()].every((times) => times >= 2)).toBe(true);
  expect(await dump(postgres, database)).toBe(before);
});

/** Ends the session on the server just before it runs the statement for which `dies` says so. */
function dyingAt(client: pg.Client, statement: string, dies: () => boolean): pg.Client {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
  const dying = async (...args: unknown[]): Promise<unknown> => {
    const sql = typeof args[0] === "string" ? args[0] : "";
    if (!sql.includes(statement) || !dies()) return query(...args);
    await query("SELECT pg_terminate_backend(pg_backend_pid())").catch(() => undefined);
    return query(...args);
  };
  return Object.assign(client, { query: dying });
}

/** The worker's connection dies at the first statement of the kind; nothing of its transaction may stay. */
async function killedAt(database: TestDatabase, tables: readonly TableDefinition[], statement: string): Promise<void> {
  let kills = 0;
  const connectTarget = async (): Promise<pg.Client> => dyingAt(await connectTo(database)(), statement, () => ++kills === 1);
  const deferral = deferDefinitions({ connectTarget, ownership, tables, deferIndexes: true, signal });
  await expect(deferral).rejects.toThrow(/terminat/);
  expect(kills).toBe(1);
}

test("indexes are built for each table as it is loaded, while others are not", async () => {
  const database = await target(on("17"), WITH_ROWS);
  const tables = await tablesOf(database);
  await defer(database, tables);
  const progress: string[] = [];
  const restore = await startTableRestore({ ...options(database), onProgress: (done, total) => progress.push(`${done}/${total}`) });
  restore.tableLoaded({ schema: "public", name: "child" });
  await expect.poll(() => whatIsLeft(database)).toEqual(["child_name", "child_pkey"]);
  const result = await restore.finish();
  expect(result).toEqual({ restored: 6, failures: [] });
  expect(progress.at(-1)).toBe("6/6");
  expect(await whatIsLeft(database)).toEqual(["child_name", "child_pkey", "parent_name", "parent_pkey"]);
});

test("a foreign key that rows break stays NOT VALID and is reported with what to do; it is tried again", async () => {
  const database = await target(on("17"), WITH_ROWS);
  await defer(database, await tablesOf(database));
  await database.query("INSERT INTO child VALUES (1, 42, 'orphan')");
  expect((await restoreLoadStage(options(database))).failures).toEqual([]);
  const [failure] = (await restoreSyncStage(options(database))).failures;
  expect(failure?.message).toContain("The foreign key child_parent is back, but NOT VALID");
  expect(failure?.remedy).toContain('ALTER TABLE "public"."child" VALIDATE CONSTRAINT "child_parent";');
  expect(failure).toMatchObject({ code: "PG1207", table: "public.child", sqlState: "23503" });
  expect(await database.query("SELECT error FROM pgdms.deferred_ddl WHERE NOT is_restored")).toEqual([
    { error: expect.stringContaining("violates foreign key constraint") as string },
  ]);
  await database.query("INSERT INTO parent VALUES (42)");
  expect((await restoreEverything(options(database))).failures).toEqual([]);
  expect(await database.query("SELECT convalidated FROM pg_constraint WHERE contype = 'f'")).toEqual([{ convalidated: true }]);
});

test("a unique index that rows break is reported once, and the rest comes back", async () => {
  const database = await target(on("17"), WITH_ROWS);
  await defer(database, await tablesOf(database));
  await database.query("INSERT INTO child VALUES (1, NULL, 'a'), (1, NULL, 'b')");
  const { failures } = await restoreLoadStage(options(database));
  expect(failures.map(({ sqlState, table }) => ({ sqlState, table }))).toEqual([{ sqlState: "23505", table: "public.child" }]);
  expect(await whatIsLeft(database)).toEqual(["child_name", "parent_name", "parent_pkey"]);
});

test("a worker that was overtaken takes nothing away and brings nothing back", async () => {
  const database = await target(on("17"), WITH_ROWS);
  const tables = await tablesOf(database);
  await database.query("UPDATE pgdms.migration SET epoch = 2");
  await expect(defer(database, tables)).rejects.toMatchObject({ kind: "LostOwnership" });
  expect(await whatIsLeft(database)).toHaveLength(4);
  const second = { ...ownership, epoch: 2 };
  await deferDefinitions({ connectTarget: connectTo(database), ownership: second, tables, deferIndexes: true, signal });
  await expect(restoreEverything(options(database))).rejects.toMatchObject({ kind: "LostOwnership" });
  expect(await whatIsLeft(database)).toEqual([]);
  expect((await restoreEverything({ ...options(database), ownership: second })).failures).toEqual([]);
});

test("an abort ends the index build on the server, too", async () => {
  const database = await target(on("17"), [
    "CREATE TABLE big (id int PRIMARY KEY)",
    "CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(60); RETURN $1; END $$",
    "CREATE INDEX big_slow ON big (slow(id))",
  ]);
  await defer(database, await tablesOf(database));
  await database.query("INSERT INTO big VALUES (1)");
  const stop = new AbortController();
  const restoring = restoreLoadStage({ ...options(database), signal: stop.signal });
  const building = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
  await expect.poll(() => database.query(building)).toHaveLength(1);
  stop.abort(new Error("cancelled by the user"));
  await expect(restoring).rejects.toThrow("cancelled by the user");
  await expect.poll(() => database.query(building)).toEqual([]);
});

test("without deferIndexes the indexes stay, foreign keys and triggers still go and come", async () => {
  const database = await target(on("17"), nastySchema(17));
  const before = await dump(on("17"), database);
  const tables = await tablesOf(database);
  const indexes = await whatIsLeft(database);
  await deferDefinitions({ connectTarget: connectTo(database), ownership, tables, deferIndexes: false, signal });
  expect(await whatIsLeft(database)).toEqual(indexes.filter((name) => name !== "con_late"));
  expect(await database.query("SELECT FROM pg_constraint WHERE contype = 'f'")).toEqual([]);
  expect((await restoreEverything(options(database))).failures).toEqual([]);
  expect(await dump(on("17"), database)).toBe(before);
});

test("of a partitioned table only the selected partition loses what is its own", async () => {
  const database = await target(on("17"), nastySchema(17));
  const before = await dump(on("17"), database);
  const indexes = await whatIsLeft(database);
  const tables = (await tablesOf(database)).filter(({ name }) => name === "parts_2024");
  await defer(database, tables);
  expect(await whatIsLeft(database)).toEqual(indexes.filter((name) => name !== "parts_2024_own"));
  expect((await restoreEverything(options(database))).failures).toEqual([]);
  expect(await dump(on("17"), database)).toBe(before);
});
