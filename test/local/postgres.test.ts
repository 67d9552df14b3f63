import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { afterEach, describe, expect, test, vi } from "vitest";
import { startPostgres, type PostgresOptions, type PostgresServer } from "../../local/postgres.ts";
import { postgresVersions } from "../../local/postgres/binaries.ts";
import { crc32c } from "../../local/postgres/system-identifier.ts";

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options: PostgresOptions): Promise<PostgresServer> {
  const server = await startPostgres(options);
  cleanUps.push(() => server.stop());
  return server;
}

async function rows(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    let last: Record<string, unknown>[] = [];
    for (const statement of statements) last = (await client.query<Record<string, unknown>>(statement)).rows;
    return last;
  } finally {
    await client.end();
  }
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgdms-test-"));
  await chmod(folder, 0o755); // as root the server is another user, who must get through
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe.each(postgresVersions)("PostgreSQL %s", (version) => {
  test("starts ready for logical replication with pgoutput and test_decoding", async () => {
    const server = await start({ version });
    const url = server.url("postgres");
    const [about] = await rows(
      url,
      "SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('wal_level') AS wal",
    );
    expect(about).toEqual({ major: Number(version), wal: "logical" });
    const slots = ["pgoutput", "test_decoding"].map((plugin) => `SELECT pg_create_logical_replication_slot('${plugin}', '${plugin}')`);
    await rows(url, ...slots, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (7)");
    const changes = await rows(url, "SELECT data FROM pg_logical_slot_get_changes('test_decoding', NULL, NULL)");
    expect(changes.map((change) => change["data"])).toContain("table public.t: INSERT: id[integer]:7");
    expect((await rows(url, "SELECT name FROM pg_available_extensions WHERE name = 'hstore'")).length).toBe(1);
    await rows(url, "CREATE EXTENSION hstore", "CREATE EXTENSION citext", 'CREATE EXTENSION "uuid-ossp"', "CREATE EXTENSION pgcrypto");
  });
});

test("each server has a system identifier of its own, although all are copies of one template", async () => {
  const servers = await Promise.all([start({ version: "17" }), start({ version: "17" })]);
  const read = "SELECT system_identifier::text AS id FROM pg_control_system()";
  const [first, second] = await Promise.all(servers.map((server) => rows(server.url("postgres"), read)));
  expect(first).not.toEqual(second);
});

test("CRC-32C gives the check value of its definition", () => {
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("a killed server comes back on the same port with what was committed", async () => {
  const server = await start({ version: "16" });
  const { port, pid } = server;
  await rows(server.url("postgres"), "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)");
  await server.kill();
  await expect(rows(server.url("postgres"), "SELECT 1")).rejects.toThrow(/ECONNREFUSED/);
  await server.restart({ wal_level: "replica" });
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  expect(await rows(server.url("postgres"), "SELECT id, current_setting('wal_level') AS wal FROM t")).toEqual([{ id: 1, wal: "replica" }]);
});

test("stop() removes a temporary data folder, and may be called twice", async () => {
  const server = await start({ version: "17" });
  expect(statSync(server.dataDir).mode & 0o777).toBe(0o700);
  await server.stop();
  await server.stop();
  expect(existsSync(server.dataDir)).toBe(false);
  expect(isAlive(server.pid)).toBe(false);
});

test("a data folder is kept, with its password, and refuses another version", async () => {
  const dataDir = join(await temporaryFolder(), "data");
  const first = await start({ version: "16", dataDir, auth: "scram-sha-256" });
  await rows(first.url("postgres"), "CREATE TABLE kept (id int)");
  await first.stop();
  const second = await start({ version: "16", dataDir, auth: "scram-sha-256" });
  expect(second.password).toBe(first.password);
  expect(await rows(second.url("postgres"), "SELECT count(*)::int AS n FROM kept")).toEqual([{ n: 0 }]);
  await second.stop();
  await expect(startPostgres({ version: "17", dataDir })).rejects.toThrow(/holds data of PostgreSQL 16, not 17/);
});

test.each(["10", "17"] as const)("with scram-sha-256 PostgreSQL %s refuses a wrong password", async (version) => {
  const server = await start({ version, auth: "scram-sha-256" });
  expect(await rows(server.url("postgres"), "SELECT left(rolpassword, 13) AS kind FROM pg_authid WHERE rolname = 'postgres'")).toEqual([
    { kind: "SCRAM-SHA-256" },
  ]);
  await expect(rows(`postgresql://postgres:wrong@127.0.0.1:${server.port}/postgres`, "SELECT 1")).rejects.toMatchObject({ code: "28P01" });
});

test("a taken port, a bad setting and a folder in use are named in the error", async () => {
  const dataDir = join(await temporaryFolder(), "data");
  const server = await start({ version: "17", dataDir });
  await expect(startPostgres({ version: "17", port: server.port })).rejects.toThrow(`port ${server.port} of 127.0.0.1 is taken`);
  await expect(startPostgres({ version: "17", settings: { no_such: "1" } })).rejects.toThrow(/no_such/);
  await expect(startPostgres({ version: "17", dataDir })).rejects.toThrow(`in use by process ${process.pid}`);
});

test("a server ends, and its temporary folder goes, when the process that started it is killed with SIGKILL", async () => {
  const script = `
    const { startPostgres } = await import(${JSON.stringify(new URL("../../local/postgres.ts", import.meta.url).href)});
    const { pid, dataDir } = await startPostgres({ version: "17" });
    console.log(JSON.stringify({ pid, dataDir }));
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await new Promise<string[]>((resolve) => createInterface(parent.stdout).once("line", (text) => resolve([text])));
  const { pid, dataDir } = JSON.parse(line ?? "") as { pid: number; dataDir: string };
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGKILL");
  await vi.waitFor(() => expect([isAlive(pid), existsSync(dataDir)]).toEqual([false, false]), { timeout: 10_000, interval: 20 });
});

test("a process that forgot to stop its server ends all the same", async () => {
  const script = `
    const { startPostgres } = await import(${JSON.stringify(new URL("../../local/postgres.ts", import.meta.url).href)});
    const { pid } = await startPostgres({ version: "17" });
    console.log(pid);`;
  const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise<number | null>((resolve) => parent.once("exit", resolve));
  const pid = await new Promise<number>((resolve) => createInterface(parent.stdout).once("line", (text) => resolve(Number(text))));
  expect(await ended).toBe(0);
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000, interval: 20 });
});
