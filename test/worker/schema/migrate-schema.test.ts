import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server as TcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { connect, versionNum } from "../../../worker/postgres/connect.ts";
import { isTransient } from "../../../worker/postgres/failures.ts";
import { inDatabase, type Server } from "../../../worker/postgres/server.ts";
import { createDatabase } from "../../../worker/schema/create-database.ts";
import { deferDefinitions } from "../../../worker/schema/deferral.ts";
import { chooseDumpTool, dumpSchema, runDump } from "../../../worker/schema/dump.ts";
import { refreshMaterializedViews } from "../../../worker/schema/materialized-views.ts";
import { excerpt, migrateSchema, type SchemaOutcome } from "../../../worker/schema/migrate-schema.ts";
import { restoreEverything } from "../../../worker/schema/restore.ts";
import { readTables, type TableDefinition } from "../../../worker/source/catalog.ts";
import { readMigration, takeOver } from "../../../worker/target/bookkeeping.ts";
import { database, freshDatabase, type TestDatabase } from "../validation/databases.ts";
import { nastySchema } from "./nasty-schema.ts";

const ownership = { taskId: "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f", epoch: 1 };
const signal = new AbortController().signal;

let source13: PostgresServer;
let target17: PostgresServer;
beforeAll(async () => {
  [source13, target17] = await Promise.all([startPostgres({ version: "13", auth: "scram-sha-256" }), startPostgres({ version: "17" })]);
}, 60_000);
afterAll(() => Promise.all([source13, target17].map((server) => server.stop())));

const connectTo = (server: Server) => (): Promise<pg.Client> => connect(server, { purpose: "test" });

async function tablesOf(server: Server): Promise<TableDefinition[]> {
  const client = await connectTo(server)();
  return readTables(client, await versionNum(client)).finally(() => client.end());
}

async function owned(target: TestDatabase): Promise<void> {
  const client = await connectTo(target.server)();
  await takeOver(client, 1, { taskId: ownership.taskId, sourceDatabase: "x", slot: "s", publication: "p", plugin: "pgoutput" });
  await client.end();
}

async function isSchemaDone(target: TestDatabase): Promise<boolean | undefined> {
  const client = await connectTo(target.server)();
  return (await readMigration(client).finally(() => client.end()))?.isSchemaDone;
}

async function migrate(source: TestDatabase, target: TestDatabase, pgDumpPath = "pg_dump"): Promise<SchemaOutcome> {
  const tables = await tablesOf(source.server);
  return migrateSchema({ source: source.server, connectTarget: connectTo(target.server), ownership, tables, pgDumpPath, signal });
}

async function freshPair(schema: readonly string[]): Promise<{ source: TestDatabase; target: TestDatabase }> {
  const [source, target] = await Promise.all([freshDatabase(source13, "source"), freshDatabase(target17, "target")]);
  await source.query(...schema);
  await owned(target);
  return { source, target };
}

/** Both sides in the words of one pg_dump; it must not see in them which server it asked. */
async function dump(server: Server): Promise<string> {
  const text = await runDump(await chooseDumpTool(170_000), server, ["--schema-only", "--no-owner", "--exclude-schema=pgdms"], signal);
  return text.replaceAll(/^(\\.*|-- Dumped .*)$/gm, "");
}

/** The objects of a dump with their statements; without those that every version says in its own words. */
const objects = (text: string): string[] =>
  text
    .replace(/\n--\n-- PostgreSQL database dump complete[^]*/, "")
    .split("\n--\n-- Name: ")
    .slice(1)
    .map((block) => block.trim())
    .filter((block) => !/^(public; Type: SCHEMA|SCHEMA public; Type: ACL|needs_key)/.test(block));

const TWO_TABLES = [
  "CREATE TABLE listing (id int PRIMARY KEY, name text)",
  "CREATE TABLE sale (id int PRIMARY KEY, listing int REFERENCES listing)",
];

/** The program is there in the image and where `.ci/run` ran; with Node alone only the other one is. */
const hasProgram = spawnSync("pg_dump", ["--version"]).status === 0;
if (!hasProgram) console.warn("There is no pg_dump on this machine: only the one in WebAssembly is tested.");
const WASM = ["WebAssembly", "/nowhere/pg_dump"];
const DUMPS = hasProgram ? [["the program", "pg_dump"], WASM] : [WASM];

describe.each(DUMPS)("with pg_dump as %s", (_kind, pgDumpPath) => {
  test("the schema of a 13 is made on a 17, over SCRAM, and deferral finds it as any other", async () => {
    const { source, target } = await freshPair([
      ...nastySchema(13),
      "CREATE MATERIALIZED VIEW public.totals AS SELECT count(*) AS n FROM kinds",
      "CREATE TYPE public.mood AS ENUM ('sad', 'it''s ok')",
    ]);
    expect(await migrate(source, target, pgDumpPath)).toBe("made");
    expect(await isSchemaDone(target)).toBe(true);
    const before = await dump(target.server);
    expect(objects(before)).toEqual(objects(await dump(source.server)));

    const tables = await tablesOf(source.server);
    const deferral = { connectTarget: connectTo(target.server), ownership, signal };
    expect((await deferDefinitions({ ...deferral, tables, deferIndexes: true })).deferred).toBeGreaterThan(40);
    const restored = await restoreEverything({ ...deferral, indexBuilders: 2, maintenanceWorkMemMB: 32, largeTableMB: 1024 });
    expect(restored.failures).toEqual([]);
    expect(await dump(target.server)).toBe(before);
  });
});

test("a schema that is there already is taken as it is, and one that is there by half is refused", async () => {
  const { source, target } = await freshPair(TWO_TABLES);
  await target.query("CREATE TABLE listing (id int PRIMARY KEY)");
  await expect(migrate(source, target)).rejects.toMatchObject({
    kind: "TableMissingOnTarget",
    message: expect.stringContaining("public.sale") as string,
  });
  expect(await isSchemaDone(target)).toBe(false);
  await target.query("CREATE TABLE sale (id int PRIMARY KEY)");
  expect(await migrate(source, target)).toBe("takenAsItIs");
  expect(await isSchemaDone(target)).toBe(true);
});

test("a restore that fails names what failed and leaves nothing", async () => {
  const { source, target } = await freshPair([...TWO_TABLES, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"]);
  await target.query("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'");
  await expect(migrate(source, target)).rejects.toMatchObject({
    kind: "SchemaRestoreFailed",
    message: expect.stringContaining('function "f" already exists') as string,
    detail: { sqlState: "42723" },
  });
  expect(await isSchemaDone(target)).toBe(false);
  expect(await tablesOf(target.server)).toEqual([]);
  await target.query("DROP FUNCTION f()");
  expect(await migrate(source, target)).toBe("made");
});

test("a target without locks enough is an error that names the setting, not a reason to try for ever", async () => {
  const { source, target } = await freshPair(TWO_TABLES);
  await target.query(
    `CREATE FUNCTION full_up() RETURNS event_trigger LANGUAGE plpgsql
       AS $$ BEGIN RAISE EXCEPTION 'out of shared memory' USING ERRCODE = '53200', HINT = 'You might need to increase max_locks_per_transaction.'; END $$`,
    "CREATE EVENT TRIGGER full_up ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION full_up()",
  );
  const failure: unknown = await migrate(source, target).catch((thrown: unknown) => thrown);
  expect(failure).toMatchObject({
    kind: "SchemaRestoreFailed",
    detail: { sqlState: "53200", remedy: expect.stringContaining("ALTER SYSTEM SET max_locks_per_transaction") as string },
  });
  expect(isTransient(failure)).toBe(false);
});

test("the restore tells how far it is, and no message shows the password of a user mapping", async () => {
  const { source, target } = await freshPair(TWO_TABLES);
  const seen: [number, number][] = [];
  const tables = await tablesOf(source.server);
  const onProgress = (done: number, total: number): unknown => seen.push([done, total]);
  await migrateSchema({ source: source.server, connectTarget: connectTo(target.server), ownership, tables, signal, onProgress });
  expect(seen.length).toBeGreaterThan(10);
  expect(seen.every(([done, total], at) => done <= total && done >= (seen[at - 1]?.[0] ?? 0))).toBe(true);
  expect(seen.at(-1)?.[0]).toBeGreaterThan((seen.at(-1)?.[1] ?? 0) * 0.9);

  const dump = `SET x = y;\n\nCREATE TABLE t ();\n\nCREATE USER MAPPING FOR "a" SERVER "b" OPTIONS (\n    password 'S3cret'\n);\n\nSELECT 1;\n`;
  expect(excerpt(dump, dump.indexOf("TABLE"))).toBe("CREATE TABLE t ();");
  expect(excerpt(dump, dump.indexOf("MAPPING"))).not.toContain("S3cret");
});

test("a worker that is killed while it restores leaves nothing, and the next one makes all", async () => {
  const { source, target } = await freshPair([
    ...TWO_TABLES,
    "CREATE TABLE slow (id int PRIMARY KEY, CHECK (id > 0))",
    "CREATE EXTENSION citext",
  ]);
  const locker = await target.session();
  await locker.query("BEGIN; LOCK TABLE pg_catalog.pg_extension IN SHARE MODE");
  const migrating = migrate(source, target);
  const waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  await expect.poll(() => target.query(waiting)).toHaveLength(1);
  const [outcome] = await Promise.allSettled([
    migrating,
    target.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"),
  ]);
  expect(outcome.status).toBe("rejected");
  await locker.end();
  expect(await tablesOf(target.server)).toEqual([]);
  expect(await isSchemaDone(target)).toBe(false);
  expect(await migrate(source, target)).toBe("made");
});

test("a restore that is called off ends on the server as well", async () => {
  const { source, target } = await freshPair([...TWO_TABLES, "CREATE EXTENSION citext"]);
  const locker = await target.session();
  await locker.query("BEGIN; LOCK TABLE pg_catalog.pg_extension IN SHARE MODE");
  const tables = await tablesOf(source.server);
  const stop = new AbortController();
  const migrating = migrateSchema({
    source: source.server,
    connectTarget: connectTo(target.server),
    ownership,
    tables,
    signal: stop.signal,
  });
  const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  await expect.poll(() => target.query(waiting)).toHaveLength(1);
  stop.abort(new Error("called off"));
  await expect(migrating).rejects.toThrow("called off");
  await expect.poll(() => target.query(waiting)).toEqual([]);
  await locker.end();
  expect(await tablesOf(target.server)).toEqual([]);
});

test("an overtaken worker makes nothing", async () => {
  const { source, target } = await freshPair(TWO_TABLES);
  await target.query("UPDATE pgdms.migration SET epoch = 2");
  await expect(migrate(source, target)).rejects.toMatchObject({ kind: "LostOwnership" });
  expect(await tablesOf(target.server)).toEqual([]);
});

test("a target that has lost its schema public gets it back", async () => {
  const { source, target } = await freshPair(TWO_TABLES);
  await target.query("DROP SCHEMA public");
  expect(await migrate(source, target)).toBe("made");
});

test("the target user need not own what it is given: no comments on extensions, no owners, no rights, no publications", async () => {
  const { source, target } = await freshPair([
    ...TWO_TABLES,
    "CREATE EXTENSION citext",
    "CREATE PUBLICATION theirs FOR ALL TABLES",
    "GRANT SELECT ON listing TO pg_monitor",
  ]);
  const user = `plain_${target.name}`;
  await target.query(
    `CREATE ROLE ${user} LOGIN`,
    `GRANT CREATE ON DATABASE ${target.name} TO ${user}`,
    `GRANT CREATE ON SCHEMA public TO ${user}`,
  );
  await target.query(
    "CREATE EXTENSION citext",
    `GRANT ALL ON SCHEMA pgdms TO ${user}`,
    `GRANT ALL ON ALL TABLES IN SCHEMA pgdms TO ${user}`,
  );
  const tables = await tablesOf(source.server);
  const connectTarget = connectTo(target.as(user));
  expect(await migrateSchema({ source: source.server, connectTarget, ownership, tables, signal })).toBe("made");
  expect(await target.query("SELECT FROM pg_publication")).toEqual([]);
});

test("owners and rights come along when they are asked for", async () => {
  const { source, target } = await freshPair(["SELECT 1"]);
  const [owner, reader] = [`owner_${source.name}`, `reader_${source.name}`];
  for (const side of [source, target]) await side.query(`CREATE ROLE ${owner}`, `CREATE ROLE ${reader}`);
  await source.query(
    ...TWO_TABLES,
    `ALTER TABLE sale OWNER TO ${owner}`,
    `GRANT SELECT (id), UPDATE ON sale TO ${reader}`,
    `ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${reader}`,
  );
  const tables = await tablesOf(source.server);
  const connectTarget = connectTo(target.server);
  await migrateSchema({ source: source.server, connectTarget, ownership, tables, owners: true, privileges: true, signal });
  const facts = `SELECT relowner::regrole::text AS owner, relacl::text AS acl, (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'id') AS id,
                        (SELECT defaclacl::text FROM pg_default_acl) AS defaults FROM pg_class c WHERE relname = 'sale'`;
  const [arrived] = await target.query(facts);
  const [sent] = await source.query(facts);
  expect(arrived).toMatchObject({ owner, acl: expect.stringContaining(`${reader}=w/${owner}`) as string, id: `{${reader}=r/${owner}}` });
  expect(arrived).toMatchObject({ owner: sent?.["owner"], id: sent?.["id"], defaults: sent?.["defaults"] });
});

test("an older pg_dump is not used, a wrong password is told as what it is, and the dump never shows it", async () => {
  const source = await freshDatabase(source13, "source");
  const folder = mkdtempSync(join(tmpdir(), "pgdms-"));
  const older = join(folder, "pg_dump");
  writeFileSync(older, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n", { mode: 0o755 });
  expect(await chooseDumpTool(100_023, older)).toEqual({ kind: "native", path: older, major: 15 });
  expect(await chooseDumpTool(180_004, older)).toMatchObject({ kind: "wasm" });
  await expect(chooseDumpTool(190_000, older).finally(() => rmSync(folder, { recursive: true }))).rejects.toMatchObject({
    kind: "PgDumpUnusable",
  });
  const wrong: Server = { ...source.server, password: () => Promise.resolve("wr0ng-pa55word") };
  const failure = await dumpSchema(wrong, { signal }).catch((thrown: unknown) => thrown);
  expect(failure).toMatchObject({ kind: "SourceLoginFailed" });
  expect(JSON.stringify(failure)).not.toContain("wr0ng-pa55word");
});

describe.each(DUMPS)("a dump by %s", (_kind, pgDumpPath) => {
  test("fails with what pg_dump said when a table is locked away, and ends at once when it is called off", async () => {
    const source = await freshDatabase(source13, "source");
    await source.query(...TWO_TABLES, "SET password_encryption = 'scram-sha-256'", `CREATE ROLE nosy_${source.name} LOGIN PASSWORD 'x'`);
    const nosy: Server = { ...source.as(`nosy_${source.name}`), password: () => Promise.resolve("x") };
    await source.query("REVOKE ALL ON listing FROM PUBLIC");
    await expect(dumpSchema(nosy, { pgDumpPath, signal })).rejects.toThrow(/permission denied for table/);

    const locker = await source.session();
    await locker.query("BEGIN; LOCK TABLE listing");
    const stop = new AbortController();
    const dumping = dumpSchema(source.server, { pgDumpPath, signal: stop.signal });
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    await expect.poll(() => source.query(waiting), { timeout: 5_000 }).toHaveLength(1);
    stop.abort(new Error("called off"));
    await expect(dumping).rejects.toThrow("called off");
    await locker.end();
  });

  test("fails when the server cannot be reached any more", async () => {
    const source = await freshDatabase(source13, "source");
    const proxy = await closedPort();
    const gone: Server = { ...source.server, connection: { ...source.server.connection, port: proxy } };
    await expect(dumpSchema(gone, { pgDumpPath, signal })).rejects.toMatchObject({ kind: "SourceUnreachable" });
  });
});

/**
 * The waking call of an answer may arrive when the thread, which saw the answer already, waits for the next one. Seen once
 * in some thousand exchanges on a busy machine; here every call comes a second time, and late.
 */
test("a dump in WebAssembly bears waking calls that come late", async () => {
  const source = await freshDatabase(source13, "source");
  await source.query(...TWO_TABLES);
  const wake = vi.spyOn(Atomics, "notify");
  const late: NodeJS.Timeout[] = [];
  wake.mockImplementation((...call) => {
    late.push(...[0, 1, 2, 4, 8].map((ms) => setTimeout(() => notify(...call), ms)));
    return notify(...call);
  });
  const text = await dumpSchema(source.server, { pgDumpPath: "/nowhere/pg_dump", signal }).finally(() => wake.mockRestore());
  late.forEach((timer) => clearTimeout(timer));
  expect(text).toContain(`CREATE TABLE "public"."listing"`);
});
const { notify } = Atomics;

/** A port at which nobody answers. */
async function closedPort(): Promise<number> {
  const server: TcpServer = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test("the target database is made with the source's encoding, once", async () => {
  const source = await freshDatabase(source13, "source");
  const name = `made ${source.name} "é"`;
  const target = inDatabase(database(target17, "target", "postgres").server, name);
  await createDatabase(source.server, target);
  await createDatabase(source.server, target);
  const made = await database(target17, "target", "postgres").query(
    `SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate FROM pg_database WHERE datname = '${name}'`,
  );
  expect(made).toEqual([{ encoding: "UTF8", collate: "C" }]);
});

test("materialized views are filled in the order of their reading, and a failure names its statement", async () => {
  const target = await freshDatabase(target17, "target");
  await target.query(
    "CREATE TABLE t (id int)",
    "CREATE MATERIALIZED VIEW z_first AS SELECT id FROM t WITH NO DATA",
    "CREATE VIEW between AS SELECT id + 1 AS id FROM z_first",
    "CREATE MATERIALIZED VIEW a_second AS SELECT id FROM between WITH NO DATA",
    "CREATE MATERIALIZED VIEW broken AS SELECT 1 / (count(*) - 1) AS n FROM t WITH NO DATA",
    "INSERT INTO t VALUES (1)",
  );
  const client = await connectTo(target.server)();
  const failures = await refreshMaterializedViews(client, signal);
  await client.end();
  expect(failures.map(({ message, code }) => [code, message])).toEqual([
    ["PG1207", expect.stringContaining("REFRESH MATERIALIZED VIEW public.broken")],
  ]);
  expect(await target.query("SELECT id FROM a_second")).toEqual([{ id: 2 }]);
});
