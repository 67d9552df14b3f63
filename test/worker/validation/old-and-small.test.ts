import { afterAll, beforeAll, expect, test } from "vitest";
import { errors, type ErrorKind, type ReportedError } from "../../../contracts/errors.ts";
import { parseSettings } from "../../../contracts/settings.ts";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { readLedger } from "../../../worker/full-load/ledger.ts";
import { type TablePlan } from "../../../worker/full-load/plan.ts";
import { prepareLoad } from "../../../worker/full-load/prepare-load.ts";
import { versionNum, withConnection } from "../../../worker/postgres/connect.ts";
import { quoteTable } from "../../../worker/postgres/quote.ts";
import { readTables } from "../../../worker/source/catalog.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { checkMigration } from "../../../worker/validation/check-migration.ts";
import { listUserTables } from "../../../worker/validation/user-tables.ts";
import { freshDatabase, type TestDatabase } from "./databases.ts";

/** With their indexes and TOAST tables far more than the small server can lock at once. */
const TABLES = 480;

/** An old source, and a target with little to spare. */
let oldPostgres: PostgresServer;
let smallPostgres: PostgresServer;
beforeAll(async () => {
  [oldPostgres, smallPostgres] = await Promise.all([
    startPostgres({ version: "10" }),
    startPostgres({
      version: "18",
      settings: {
        max_locks_per_transaction: "10",
        max_connections: "20",
        max_wal_senders: "2",
        autovacuum_worker_slots: "1",
        autovacuum: "off",
      },
    }),
  ]);
});
afterAll(() => Promise.all([oldPostgres, smallPostgres].map((server) => server.stop())));

async function kindsOf(
  source: TestDatabase,
  target: TestDatabase,
  migrationSetting: Record<string, string> = {},
): Promise<(ErrorKind | undefined)[]> {
  const { findings } = await findingsOf(source, target, migrationSetting);
  return findings.map(({ code }) => (Object.keys(errors) as ErrorKind[]).find((kind) => errors[kind].code === code));
}

function findingsOf(
  source: TestDatabase,
  target: TestDatabase,
  migrationSetting: Record<string, string>,
  user = "postgres",
): Promise<{ findings: ReportedError[] }> {
  const parsed = parseSettings({ migrationSetting });
  if (!parsed.ok) throw new Error("settings");
  return checkMigration({
    source: source.server,
    target: target.as(user),
    settings: parsed.settings,
    selectedTables: [],
    signal: new AbortController().signal,
    ownTaskId: "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f",
    resuming: false,
  });
}

test("every check can be made of a 10, and tables WITH OIDS are refused", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  await source.query("CREATE TABLE old (id serial PRIMARY KEY) WITH OIDS", "CREATE EXTENSION citext", "CREATE SEQUENCE free");
  const schema = { migrateSchema: "true", fullLoadStreams: "1" };
  expect(await kindsOf(source, target, schema)).toEqual(["TableWithOids", "TruncateNotFollowed"]);
  await source.query("ALTER TABLE old SET WITHOUT OIDS");
  expect(await kindsOf(source, target, schema)).toEqual(["TruncateNotFollowed"]);
});

test("TRUNCATE is not in the stream of a 10, and the check says whether the cutover will see it", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  for (const compareAtCutover of ["checksum", "none"]) {
    const { findings } = await findingsOf(source, target, { fullLoadStreams: "1", compareAtCutover });
    const finding = findings.find(({ code }) => code === errors.TruncateNotFollowed.code);
    expect(finding?.message.includes("nothing would notice")).toBe(compareAtCutover === "none");
  }
});

test("a schema with more objects than the target has locks for is warned about", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  await source.query("DO $$ BEGIN FOR i IN 1..100 LOOP EXECUTE 'CREATE TABLE t' || i || ' (id int PRIMARY KEY)'; END LOOP; END $$");
  const schema = { migrateSchema: "true", fullLoadStreams: "1" };
  expect(await kindsOf(source, target, schema)).toEqual(["TruncateNotFollowed", "TooFewLocks"]);
  await source.query("DO $$ BEGIN FOR i IN 51..100 LOOP EXECUTE 'DROP TABLE t' || i; END LOOP; END $$");
  expect(await kindsOf(source, target, schema)).toEqual(["TruncateNotFollowed"]);
});

test("a server with too few connections for the asked streams is named", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  expect(await kindsOf(source, target, { fullLoadStreams: "12" })).toEqual(["TruncateNotFollowed", "TooFewConnections"]);
  expect(await kindsOf(source, target, { fullLoadStreams: "4" })).toEqual(["TruncateNotFollowed"]);
});

test("a check that could not be made is told as such, and the others are made", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  const user = `blind_${target.name}`;
  await source.query("CREATE TABLE secret (id int PRIMARY KEY)");
  await target.query(
    "CREATE TABLE secret (id int PRIMARY KEY)",
    `CREATE ROLE ${user} LOGIN`,
    `GRANT CREATE ON DATABASE ${target.name} TO ${user}`,
  );
  const { findings } = await findingsOf(source, target, { fullLoadStreams: "1" }, user);
  const failed = findings.find(({ code }) => code === errors.CheckFailed.code);
  expect(failed?.message).toContain('The check for "TargetTableNotEmpty" failed: permission denied for table secret (42501).');
  expect(findings.map(({ code }) => code)).toContain(errors.NotOwnerOnTarget.code);
});

test("tables are listed as a user selects them: partitioned ones as one, names so that they are read back", async () => {
  const source = await freshDatabase(oldPostgres, "source");
  await source.query(
    "CREATE TABLE plain (id int PRIMARY KEY)",
    "INSERT INTO plain SELECT generate_series(1, 100)",
    'CREATE SCHEMA "my.schema"',
    'CREATE TABLE "my.schema"."a ""b"" c" (a int)',
    "CREATE TABLE emptied (id int PRIMARY KEY)",
    "INSERT INTO emptied VALUES (1)",
    "DELETE FROM emptied",
    "CREATE TABLE log (at int) PARTITION BY RANGE (at)",
    "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (1) TO (2)",
    "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2) TO (3)",
    "INSERT INTO log VALUES (2)",
    "CREATE VIEW no_table AS SELECT 1 AS one",
    "ANALYZE",
  );
  const tables = await listUserTables(source.server, source.name);
  expect(tables.map(({ name, hasRows, rowsEstimate, hasKey }) => ({ name, hasRows, rowsEstimate, hasKey }))).toEqual([
    { name: '"my.schema"."a ""b"" c"', hasRows: false, rowsEstimate: 0, hasKey: false },
    { name: "public.emptied", hasRows: false, rowsEstimate: 0, hasKey: true },
    { name: "public.log", hasRows: true, rowsEstimate: 1, hasKey: false },
    { name: "public.plain", hasRows: true, rowsEstimate: 100, hasKey: true },
  ]);
  expect(tables.find(({ name }) => name === "public.plain")?.sizeBytes).toBeGreaterThan(0);
});

test("a table that may not be read counts as filled when it has pages, and spoils no other", async () => {
  const source = await freshDatabase(oldPostgres, "source");
  const user = `reader_${source.name}`;
  await source.query(
    `CREATE ROLE ${user} LOGIN`,
    ...["open_full", "open_empty", "closed_full"].map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY)`),
    "INSERT INTO open_full VALUES (1)",
    "INSERT INTO open_empty VALUES (1)",
    "DELETE FROM open_empty",
    "INSERT INTO closed_full VALUES (1)",
    `GRANT SELECT ON open_full, open_empty TO ${user}`,
  );
  const tables = await listUserTables(source.as(user), source.name);
  expect(tables.map(({ name, hasRows }) => [name, hasRows])).toEqual([
    ["public.closed_full", true],
    ["public.open_empty", false],
    ["public.open_full", true],
  ]);
});

test("a schema that the target's table of locks cannot hold is refused, with the setting to raise", async () => {
  const [source, target] = await Promise.all([freshDatabase(oldPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  await source.query(
    "DO $$ BEGIN FOR i IN 1..150 LOOP EXECUTE format('CREATE TABLE many_%s (id serial PRIMARY KEY, t text UNIQUE)', i); END LOOP; END $$",
  );
  const { findings } = await findingsOf(source, target, { migrateSchema: "true", fullLoadStreams: "1" });
  const refused = findings.find(({ code }) => code === errors.TooFewLocksForSchema.code);
  expect(refused?.message).toContain("The target has about 200 locks in all, for 900 tables, indexes and sequences");
  expect(refused?.remedy).toContain("ALTER SYSTEM SET max_locks_per_transaction = 128;");
  const select = await findingsOf(source, target, { fullLoadStreams: "1" });
  expect(select.findings.map(({ code }) => code)).not.toContain(errors.TooFewLocksForSchema.code);
});

test("a constraint of a partitioned table that pg_dump cannot carry is told before anything is made", async () => {
  const [source, target] = await Promise.all([freshDatabase(smallPostgres, "source"), freshDatabase(smallPostgres, "target")]);
  await source.query(
    "CREATE EXTENSION btree_gist",
    "CREATE TABLE booked (k int, during daterange, CONSTRAINT once UNIQUE (k, during WITHOUT OVERLAPS)) PARTITION BY LIST (k)",
  );
  const ours = { migrateSchema: "true", fullLoadStreams: "1" };
  expect(await kindsOf(source, target, ours)).not.toContain("ConstraintNotRestorable");
  await source.query("CREATE TABLE booked_1 PARTITION OF booked FOR VALUES IN (1)");
  const { findings } = await findingsOf(source, target, ours);
  expect(findings.find(({ code }) => code === errors.ConstraintNotRestorable.code)?.message).toContain("once of public.booked");
  expect(await kindsOf(source, target)).not.toContain("ConstraintNotRestorable");
});

test("more tables than the target has locks for are emptied before the load", { timeout: 60_000 }, async () => {
  const target = await freshDatabase(smallPostgres, "target");
  const make = (from: number): string =>
    `DO $$ BEGIN FOR n IN ${from} .. ${from + 39} LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, note text)', n);
       EXECUTE format('INSERT INTO t%s VALUES (1, %L)', n, 'old'); END LOOP; END $$`;
  for (let from = 0; from < TABLES; from += 40) await target.query(make(from));
  const ownership = { taskId: "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f", epoch: 1 };
  await withConnection(target.server, { purpose: "test" }, async (client) => {
    await takeOver(client, 1, { taskId: ownership.taskId, sourceDatabase: "x", slot: "s", publication: "p", plugin: "pgoutput" });
    const definitions = await readTables(client, await versionNum(client));
    const plans = definitions.map((definition): TablePlan => {
      const { schema, name } = definition;
      const table = {
        ...{ schema, name, definition, target: { schema, name } },
        ...{ isTargetPartitioned: false, sourceColumns: [], targetColumns: new Map() },
      };
      return { table, format: "text", columns: [], parts: [{ part: 0, range: { kind: "whole" } }] };
    });
    await expect(client.query(`TRUNCATE ${plans.map(({ table }) => quoteTable(table)).join(", ")}`)).rejects.toThrow(
      "out of shared memory",
    );
    await prepareLoad(client, ownership, { left: [], enter: plans, empty: plans.map(({ table }) => table) });
    const left = await client.query("SELECT relname FROM pg_class WHERE relname ~ '^t[0-9]+$' AND pg_relation_size(oid) > 0");
    expect(left.rows).toEqual([]);
    expect((await readLedger(client)).length).toBe(TABLES);
  });
});
