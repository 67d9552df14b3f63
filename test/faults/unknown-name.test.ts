import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createPair, type TestDatabase } from "../setup/databases.ts";
import { runMigration } from "../worker/run-migration.ts";
import { answerNames, type NameAnswer } from "./names.ts";

const NAMES = { source: "source.pgdms.test", target: "target.pgdms.test" } as const;
const HERE: NameAnswer = { address: "127.0.0.1" };

let pair: Awaited<ReturnType<typeof createPair>>;
let answers: Map<string, NameAnswer>;
let restoreNames: () => void;
beforeEach(async () => {
  pair = await createPair();
  for (const side of [pair.source, pair.target]) await side.query("CREATE TABLE t (id int PRIMARY KEY)");
  answers = new Map(Object.values(NAMES).map((name) => [name, HERE]));
  restoreNames = answerNames((name) => answers.get(name));
});
afterEach(async () => {
  restoreNames();
  await pair.drop();
});

/** The database on a server that is known by a name. */
function named(database: TestDatabase, serverName: string): TestDatabase {
  const reference = { ...database.reference, serverName };
  return { ...database, reference, server: { ...database.server, connection: reference } };
}

const byName = (): { source: TestDatabase; target: TestDatabase } => ({
  source: named(pair.source, NAMES.source),
  target: named(pair.target, NAMES.target),
});

/** Every session of the migration on this side ends; new ones need the name. */
const endSessions = (side: TestDatabase): Promise<unknown> =>
  side.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgdms:%'",
  );

test.each([
  ["source", "ENOTFOUND", "PG1215"],
  ["target", "EAI_AGAIN", "PG1216"],
] as const)(
  "while the name of the %s cannot be resolved (%s) it is told why and since when, and tried again",
  async (side, failure, code) => {
    const migration = runMigration(byName());
    await migration.until("ready", ({ state }) => state === "READY_TO_COMPLETE");
    answers.set(NAMES[side], { failure });
    await endSessions(pair[side]);
    await pair.source.query("INSERT INTO t VALUES (1)"); // an idle target is not asked for anything
    const reason = `getaddrinfo ${failure} ${NAMES[side]}`;
    await migration.until("told", () => migration.open(code).some(({ error }) => error.message.includes(reason)));
    const told = migration.findings.filter(({ error, resolved }) => error.code === code && !resolved);
    expect(new Set(told.map(({ since }) => since)).size).toBe(1); // the session's end was told first, and it is one interruption
    answers.set(NAMES[side], HERE);
    await migration.until("applied", ({ inserts }) => inserts === 1);
    expect(migration.open(code)).toEqual([]);
    migration.orders.cancel();
    expect(await migration.ended).toEqual({ end: "CANCELLED", codes: [] });
  },
);

test("a name that is lost in the full load is told of the load, which goes on by itself", async () => {
  await pair.source.query("INSERT INTO t SELECT generate_series(1, 1000)");
  for (const side of [pair.source, pair.target]) await side.query("CREATE TABLE first (id int PRIMARY KEY, note text)");
  await pair.source.query("INSERT INTO first SELECT g, repeat('x', 500) FROM generate_series(1, 100000) g");
  const migration = runMigration(byName(), { migrationSetting: { fullLoadStreams: "1" } });
  const isLoading = "SELECT 1 FROM pgdms.migration WHERE phase = 'loading'";
  await vi.waitUntil(async () => (await pair.target.query(isLoading).catch(() => ({ rowCount: 0 }))).rowCount === 1, { timeout: 60_000 });
  const holder = await pair.source.connect();
  await holder.query("BEGIN; LOCK TABLE t");
  answers.set(NAMES.source, { failure: "ENOTFOUND" });
  await endSessions(pair.source);
  await holder.end();
  await migration.until("told", () =>
    migration.open("PG1215").some(({ subject, error }) => subject === "full load" && error.message.includes("ENOTFOUND")),
  );
  answers.set(NAMES.source, HERE);
  await migration.until("loaded", ({ state, fullLoadRows }) => state === "READY_TO_COMPLETE" && fullLoadRows === 101_000);
  expect(migration.open("PG1215")).toEqual([]);
  migration.orders.cancel();
  expect(await migration.ended).toEqual({ end: "CANCELLED", codes: [] });
});
