import { spawn, type ChildProcess } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errors, type ErrorKind, type ReportedError } from "../../../contracts/errors.ts";
import { freePort } from "../../../local/free-port.ts";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { findBinaries, postgresVersions } from "../../../local/postgres/binaries.ts";
import { runAs } from "../../../local/postgres/run-as.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { connectionsLeft, spaceNeeded } from "../../../worker/validation/capacity.ts";
import { type SourceContext, toFindings } from "../../../worker/validation/check.ts";
import { checkSource, checkTarget } from "../../../worker/validation/check-server.ts";
import { versionText } from "../../../worker/validation/end.ts";
import { isOlder } from "../../../worker/validation/extensions.ts";
import { isSameDatabase } from "../../../worker/validation/same-database.ts";
import { passSnapshot } from "../../../worker/validation/slot-probe.ts";
import { allowsPlugin, judgeAge, longOpen, version } from "../../../worker/validation/source-server.ts";
import { database, serverFor } from "./databases.ts";

const signal = new AbortController().signal;

const kindsOf = (findings: readonly ReportedError[]): (ErrorKind | undefined)[] =>
  findings.map(({ code }) => (Object.keys(errors) as ErrorKind[]).find((kind) => errors[kind].code === code));

const sourceKinds = async (postgres: PostgresServer): Promise<(ErrorKind | undefined)[]> =>
  kindsOf((await checkSource(serverFor(postgres, "source", "postgres"), { signal })).findings);

describe.each(postgresVersions)("PostgreSQL %s", (version) => {
  test("is checked as a source and as a target, and nothing is found", async () => {
    const postgres = await startPostgres({ version });
    try {
      await database(postgres, "source", "postgres").query(
        "CREATE DATABASE listdb",
        "CREATE DATABASE hidden",
        "REVOKE CONNECT ON DATABASE hidden FROM PUBLIC",
      );
      const source = await checkSource(serverFor(postgres, "source", "postgres"), { signal });
      expect(source).toMatchObject({ findings: [], databases: ["hidden", "listdb", "postgres"] });
      expect(source.serverBrandVersion).toMatch(new RegExp(`^PostgreSQL ${version}\\.\\d+$`));
      const target = await checkTarget(serverFor(postgres, "target", "listdb"), {
        signal,
        source: serverFor(postgres, "source", "postgres"),
      });
      expect(target.findings).toEqual([]);
    } finally {
      await postgres.stop();
    }
  });
});

describe("a source is told of", () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await startPostgres({
      version: "13",
      settings: {
        max_replication_slots: "1",
        max_wal_senders: "1",
        wal_sender_timeout: "0",
        max_slot_wal_keep_size: "100MB",
        logical_decoding_work_mem: "64kB",
      },
    });
  });
  afterAll(() => postgres.stop());

  test("every setting that does not fit, and of nothing when all are mended", async () => {
    const postgresDatabase = database(postgres, "source", "postgres");
    await postgresDatabase.query("SELECT pg_create_logical_replication_slot('taken', 'test_decoding')");
    expect(await sourceKinds(postgres)).toEqual([
      "NoFreeReplicationSlot",
      "NoFreeWalSender",
      "WalSenderTimeoutUnfit",
      "SlotWalLimited",
      "DecodingMemoryLow",
      "SlotProbeFailed",
    ]);
    await postgresDatabase.query("SELECT pg_drop_replication_slot('taken')");

    await postgres.restart({ wal_level: "replica", max_wal_senders: "2", wal_sender_timeout: "5s" });
    expect(await sourceKinds(postgres)).toEqual([
      "WalLevelNotLogical",
      "WalSenderTimeoutUnfit",
      "SlotWalLimited",
      "DecodingMemoryLow",
      "SlotProbeFailed",
    ]);
    const mended = { wal_level: "logical", wal_sender_timeout: "60s", max_slot_wal_keep_size: "-1", logical_decoding_work_mem: "64MB" };
    await postgres.restart(mended);
    expect(await sourceKinds(postgres)).toEqual([]);
  });
});

test("a standby is refused, as a source and as a target", async () => {
  const postgres = await startPostgres({ version: "17", settings: { hot_standby: "on" } });
  const folder = await mkdtemp(join(tmpdir(), "pgdms-test-"));
  let standby: ChildProcess | undefined;
  try {
    await postgres.kill(); // the folder is at rest
    const data = join(folder, "data");
    await cp(postgres.dataDir, data, { recursive: true, preserveTimestamps: true });
    standby = await startStandby(data, folder);
    const port = Number(standby.spawnargs.at(standby.spawnargs.indexOf("-p") + 1));
    const twin = { ...postgres, port };
    await expect
      .poll(() => connect(serverFor(twin, "source", "postgres"), { purpose: "test" }).then((client) => client.end()), { timeout: 20_000 })
      .toBeUndefined();
    const source = await checkSource(serverFor(twin, "source", "postgres"), { signal });
    expect(kindsOf(source.findings)).toContain("SourceInRecovery");
    const target = await checkTarget(serverFor(twin, "target", "postgres"), { signal });
    expect(target.findings.map(({ message }) => message)).toEqual(["The target is read-only. It is a standby."]);
  } finally {
    standby?.kill("SIGQUIT");
    await postgres.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
});

/** A server that recovers for ever, and lets readers in. */
async function startStandby(data: string, folder: string): Promise<ChildProcess> {
  const user = runAs();
  await writeFile(join(data, "standby.signal"), "");
  await rm(join(data, "postmaster.pid"), { force: true });
  const { execFileSync } = await import("node:child_process");
  if (user.uid !== undefined) execFileSync("chown", ["-R", `${user.uid}:${user.gid}`, folder]);
  execFileSync("chmod", ["0755", folder]);
  execFileSync("chmod", ["0700", data]);
  const settings = ["-c", "hot_standby=on", "-c", "max_wal_senders=20", "-c", "max_replication_slots=20", "-c", "wal_level=logical"];
  const port = await freePort();
  return spawn(findBinaries("17").postgres, ["-D", data, "-h", "127.0.0.1", "-k", "", ...settings, "-p", String(port)], {
    ...user,
    env: { LC_ALL: "C", TZ: "UTC" },
    cwd: data,
    stdio: "ignore",
  });
}

test("two servers behind one address are noticed by a snapshot that only one of them knows", async () => {
  const servers = await Promise.all([startPostgres({ version: "17" }), startPostgres({ version: "17" })]);
  const [first, second, same] = await Promise.all(
    [servers[0], servers[1], servers[0]].map((server) => connect(serverFor(server, "source", "postgres"), { purpose: "test" })),
  );
  try {
    if (!first || !second || !same) throw new Error("three connections");
    expect((await passSnapshot(first, second))[0]?.detail).toContain("unknown to the second");
    await first.query("ROLLBACK");
    expect(await passSnapshot(first, same)).toEqual([]);
  } finally {
    for (const client of [first, second, same]) await client?.end();
    await Promise.all(servers.map((server) => server.stop()));
  }
});

test("an older target is told of when both ends are known", async () => {
  const servers = await Promise.all([startPostgres({ version: "17" }), startPostgres({ version: "16" })]);
  try {
    const [source, target] = [serverFor(servers[0], "source", "postgres"), serverFor(servers[1], "target", "postgres")];
    expect(kindsOf((await checkTarget(target, { signal, source })).findings)).toEqual(["TargetVersionLower"]);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
});

// What no server here can be brought to show, decided by pure functions.

test("a source before 9.4 is refused, 9.4 is not", async () => {
  const at = (versionNum: number): Promise<unknown[]> => version.run({ source: { versionNum } } as SourceContext);
  expect(await at(90_326)).toEqual([{ detail: "It is 9.3.26." }]);
  expect(await at(90_400)).toEqual([]);
  expect(versionText(130_010)).toBe("13.10");
});

test("only transactions that have been open for minutes are long, and hidden ages are not guessed", () => {
  const open = { userName: "a", databaseName: "d", state: "active" };
  const transactions = [
    { ...open, pid: 1, ageSeconds: 299 },
    { ...open, pid: 2, ageSeconds: 300 },
    { ...open, pid: 3, ageSeconds: null },
  ];
  expect(longOpen(transactions).map(({ pid }) => pid)).toEqual([2]);
});

test("wraparound is near past 1.5 thousand million transactions", () => {
  expect(judgeAge({ name: "d", age: 1_499_999_999 })).toEqual([]);
  expect(judgeAge({ name: "d", age: 1_500_000_000 })).toHaveLength(1);
});

test.each([
  ["pgoutput, test_decoding", true],
  ['"pgoutput"', true],
  ["wal2json", false],
  ["", false],
])('output_plugin_libraries = "%s" allows pgoutput: %s', (libraries, allowed) => {
  expect(allowsPlugin(libraries, "pgoutput")).toBe(allowed);
});

test("the tightest limit on connections counts", () => {
  const use = { max: 100, reserved: 3, used: 50, role_limit: -1, role_used: 5, database_limit: -1, database_used: 9 };
  expect(connectionsLeft(use)).toBe(47);
  expect(connectionsLeft({ ...use, role_limit: 10 })).toBe(5);
  expect(connectionsLeft({ ...use, role_limit: 10, database_limit: 10 })).toBe(1);
});

test("the room that the target needs is told from a gibibyte on", () => {
  expect(spaceNeeded(1024 ** 3 - 1)).toBeUndefined();
  expect(spaceNeeded(5 * 1024 ** 3)).toContain("5.0 GiB");
});

test("a database is the same only when all that is known of it is", () => {
  const one = { systemIdentifier: "7", startedAt: "1.5", databaseOid: 5, databaseName: "d" };
  expect(isSameDatabase(one, { ...one })).toBe(true);
  expect(isSameDatabase(one, { ...one, systemIdentifier: null })).toBe(true);
  expect(isSameDatabase(one, { ...one, startedAt: "1.6" })).toBe(false); // restored from a physical copy
  expect(isSameDatabase(one, { ...one, databaseOid: 6 })).toBe(false);
});

test("versions of extensions are compared number by number", () => {
  expect(isOlder("1.6", "1.10")).toBe(true);
  expect(isOlder("3.4.2", "3.4")).toBe(false);
  expect(isOlder(undefined, "1")).toBe(false);
});

test("there is one finding for each kind and table, and one for all else of the kind", () => {
  const table = (at: number) => ({ schema: "public", name: `t${at}` });
  const findings = toFindings(
    [
      { kind: "TooFewConnections", detail: "The source has 1." },
      { kind: "NoSelectRight", detail: "sequences.", remedy: "GRANT s;" },
      { kind: "TooFewConnections", detail: "The target has 2." },
      ...Array.from({ length: 53 }, (_, at) => ({
        kind: "NoSelectRight" as const,
        detail: "closed.",
        table: table(at),
        remedy: `GRANT ${at};`,
      })),
    ],
    "db",
  );
  expect(findings).toHaveLength(1 + 1 + 50);
  expect(findings.map(({ code, table: name }) => `${code} ${name ?? ""}`).length).toBe(
    new Set(findings.map(({ code, table: name }) => `${code} ${name ?? ""}`)).size,
  );
  expect(findings[0]).toMatchObject({
    message: `${errors.TooFewConnections.title} The source has 1. The target has 2.`,
    databaseName: "db",
  });
  expect(findings[1]).toMatchObject({ message: `${errors.NoSelectRight.title} sequences. And 3 more tables.`, remedy: "GRANT s;" });
});
