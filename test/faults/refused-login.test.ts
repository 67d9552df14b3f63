import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type DatabaseProgress } from "../../contracts/reports.ts";
import { type Server } from "../../worker/postgres/server.ts";
import { createPair, type TestDatabase } from "../setup/databases.ts";
import { runMigration } from "../worker/run-migration.ts";

describe("a login that is refused", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  let role: string;
  let reads = 0;
  beforeEach(async () => {
    pair = await createPair();
    role = `r_${randomBytes(4).toString("hex")}`;
    for (const side of [pair.source, pair.target]) await side.query("CREATE TABLE t (id int PRIMARY KEY)");
    await pair.source.query(`CREATE ROLE ${role} SUPERUSER LOGIN`);
  });
  afterEach(async () => {
    await pair.source.query(`DROP ROLE ${role}`);
    await pair.drop();
  });

  /** The source as the role, its password read from where it may have changed. */
  function asRole(source: TestDatabase): TestDatabase {
    const reference = { ...source.reference, userName: role };
    const password = (): Promise<undefined> => Promise.resolve(void reads++);
    const server: Server = { side: "source", connection: reference, password };
    return { ...source, reference, server };
  }

  test("on the way is told and tried again, with the password read anew, until it is taken", async () => {
    const migration = runMigration({ source: asRole(pair.source), target: pair.target });
    await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    await pair.source.query(`ALTER ROLE ${role} NOLOGIN`);
    await pair.source.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", [role]);
    await migration.until("told", () => migration.findings.some(({ subject, error }) => subject === "login" && error.sqlState === "28000"));
    const readsBefore = reads;
    await pair.source.query("INSERT INTO t VALUES (1)");
    await pair.source.query(`ALTER ROLE ${role} LOGIN`);
    await migration.until("applied", ({ inserts }: DatabaseProgress) => inserts === 1);
    expect(reads).toBeGreaterThan(readsBefore);
    expect(migration.findings.filter(({ subject }) => subject === "login").map(({ resolved }) => resolved)).toEqual([false, true]);
    migration.orders.cancel();
    expect(await migration.ended).toEqual({ end: "CANCELLED", codes: [] });
  });

  test("at the start ends the migration at once, with nothing changed", async () => {
    await pair.source.query(`ALTER ROLE ${role} NOLOGIN`);
    expect(await runMigration({ source: asRole(pair.source), target: pair.target }).ended).toEqual({ end: "FAILED", codes: ["PG1003"] });
    expect((await pair.target.query("SELECT to_regclass('pgdms.migration') AS it")).rows).toEqual([{ it: null }]);
  });
});
