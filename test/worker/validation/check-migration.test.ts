import { chown, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errors, type ErrorKind, type ReportedError } from "../../../contracts/errors.ts";
import { parseSettings, type SettingMaps, type Settings } from "../../../contracts/settings.ts";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { inDatabase, type Server } from "../../../worker/postgres/server.ts";
import { createSlot } from "../../../worker/source/snapshot.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { allMigrationChecks, checkMigration, hasErrors, type MigrationCheckResult } from "../../../worker/validation/check-migration.ts";
import { freshDatabase, type TestDatabase } from "./databases.ts";

const OWN_TASK = "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f";
const OTHER_TASK = "00000000-3b0e-4a52-9a3d-0a1b2c3d4e5f";

let sourcePostgres: PostgresServer;
let targetPostgres: PostgresServer;

beforeAll(async () => {
  [sourcePostgres, targetPostgres] = await Promise.all([
    startPostgres({ version: "13", settings: { max_prepared_transactions: "5" } }),
    startPostgres({ version: "17" }),
  ]);
}, 60_000);
afterAll(() => Promise.all([sourcePostgres, targetPostgres].map((server) => server.stop())));

function settingsOf(maps: SettingMaps): Settings {
  const parsed = parseSettings(maps);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join(" "));
  return parsed.settings;
}

interface CheckOptions {
  readonly maps?: SettingMaps;
  readonly selectedTables?: readonly string[];
  readonly source?: Server;
  readonly target?: Server;
  readonly resuming?: boolean;
}

function check(
  pair: Pair,
  { maps = {}, selectedTables = [], resuming = false, source, target }: CheckOptions = {},
): Promise<MigrationCheckResult> {
  return checkMigration({
    source: source ?? pair.source.server,
    target: target ?? pair.target.server,
    settings: settingsOf(maps),
    selectedTables,
    signal: new AbortController().signal,
    ownTaskId: OWN_TASK,
    resuming,
  });
}

interface Pair {
  readonly source: TestDatabase;
  readonly target: TestDatabase;
}

async function freshPair(): Promise<Pair> {
  const [source, target] = await Promise.all([freshDatabase(sourcePostgres, "source"), freshDatabase(targetPostgres, "target")]);
  return { source, target };
}

const kindOf = ({ code }: ReportedError): ErrorKind | undefined =>
  (Object.keys(errors) as ErrorKind[]).find((kind) => errors[kind].code === code);

const kindsOf = (findings: readonly ReportedError[]): (ErrorKind | undefined)[] => findings.map(kindOf);

/** Tells of the server as a whole, not of what a test prepares. */
const AMBIENT = new Set<ErrorKind | undefined>(["TargetSpaceNeeded"]);
const notable = (result: MigrationCheckResult): (ErrorKind | undefined)[] => kindsOf(result.findings).filter((kind) => !AMBIENT.has(kind));

const TABLE = "CREATE TABLE orders (id int PRIMARY KEY, note text)";

interface Case {
  readonly title: string;
  readonly kind: ErrorKind;
  /** SQL on the source and on the target before the check. */
  readonly source?: readonly string[];
  readonly target?: readonly string[];
  readonly maps?: SettingMaps;
  readonly selectedTables?: readonly string[];
  /** Connect to the source, to the target, as this user. */
  readonly sourceUser?: string;
  readonly targetUser?: string;
  /** What mends it: SQL, or other settings; the finding is gone then. */
  readonly mended: {
    readonly source?: readonly string[];
    readonly target?: readonly string[];
    readonly maps?: SettingMaps;
    readonly selectedTables?: readonly string[];
  };
  /** The message holds this. */
  readonly says?: string;
  readonly remedySays?: string;
}

/** A user of the given name that may do everything that a migration needs, but is no superuser. Idempotent. */
const role = (name: string, attributes = "REPLICATION"): string =>
  `DO $$ BEGIN CREATE ROLE ${name} LOGIN ${attributes}; EXCEPTION WHEN duplicate_object THEN NULL; END $$`;

/** The schema is to be made by us. */
const OUR_SCHEMA: SettingMaps = { migrationSetting: { migrateSchema: "true" } };

const GRANT_CREATE_TO_WRITER = `DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO writer', current_database()); END $$`;

const cases: Case[] = [
  {
    title: "a table without a primary key",
    kind: "NoReplicaIdentity",
    source: ["CREATE TABLE keyless (a int)"],
    target: ["CREATE TABLE keyless (a int)"],
    mended: { source: ["ALTER TABLE keyless REPLICA IDENTITY FULL"] },
    says: "public.keyless",
    remedySays: 'ALTER TABLE "public"."keyless" REPLICA IDENTITY FULL',
  },
  {
    title: "a table whose only key is deferrable, which PostgreSQL does not log",
    kind: "NoReplicaIdentity",
    source: ["CREATE TABLE late (a int PRIMARY KEY DEFERRABLE)"],
    target: ["CREATE TABLE late (a int PRIMARY KEY DEFERRABLE)"],
    mended: { source: ["ALTER TABLE late DROP CONSTRAINT late_pkey, ADD PRIMARY KEY (a)"] },
    says: "public.late",
  },
  {
    title: "a table without a key when only inserts are to be followed",
    kind: "TableInsertsOnly",
    source: ["CREATE TABLE keyless (a int)"],
    target: ["CREATE TABLE keyless (a int)"],
    maps: { migrationSetting: { tablesWithoutKey: "insertsOnly" } },
    mended: { source: ["ALTER TABLE keyless ADD PRIMARY KEY (a)"] },
  },
  {
    title: "a table without a key when its identity is to be made full",
    kind: "ReplicaIdentityWillBeFull",
    source: ["CREATE TABLE keyless (a int)"],
    target: ["CREATE TABLE keyless (a int)"],
    maps: { migrationSetting: { tablesWithoutKey: "replicaIdentityFull" } },
    mended: { source: ["ALTER TABLE keyless ADD PRIMARY KEY (a)"] },
  },
  {
    title: "a table that the target lacks",
    kind: "TableMissingOnTarget",
    source: [TABLE],
    mended: { target: [TABLE] },
    says: "public.orders",
  },
  {
    title: "a table that the target lacks, when the schema is to be made",
    kind: "TableMissingOnTarget",
    source: [TABLE, "CREATE TABLE more (id int PRIMARY KEY)"],
    target: [TABLE],
    maps: { migrationSetting: { migrateSchema: "true" } },
    mended: { target: ["DROP TABLE orders"] },
    says: "public.more",
  },
  {
    title: "a column that the target lacks",
    kind: "ColumnMissingOnTarget",
    source: [TABLE],
    target: ["CREATE TABLE orders (id int PRIMARY KEY)"],
    mended: { target: ["ALTER TABLE orders ADD note text"] },
    says: "no column note (text)",
  },
  {
    title: "a column that only the target computes",
    kind: "ColumnMissingOnTarget",
    source: [TABLE],
    target: ["CREATE TABLE orders (id int PRIMARY KEY, note text GENERATED ALWAYS AS ('x') STORED)"],
    mended: { target: ["ALTER TABLE orders ALTER note DROP EXPRESSION"] },
    says: "generated on the target only",
  },
  {
    title: "a column of another type",
    kind: "ColumnMissingOnTarget",
    source: [TABLE],
    target: ["CREATE TABLE orders (id int PRIMARY KEY, note date)"],
    mended: { target: ["ALTER TABLE orders ALTER note TYPE varchar"] },
    says: "column note is text on the source, date on the target",
  },
  {
    title: "a column of the target that no row of the source can fill",
    kind: "ColumnMissingOnTarget",
    source: [TABLE],
    target: ["CREATE TABLE orders (id int PRIMARY KEY, note text, must int NOT NULL)"],
    mended: { target: ["ALTER TABLE orders ALTER must SET DEFAULT 0"] },
    says: "column must is NOT NULL without a default",
  },
  {
    title: "a key that the target lacks",
    kind: "TargetDefinitionsDiffer",
    source: ["CREATE TABLE orders (id int PRIMARY KEY, note text CONSTRAINT note_once UNIQUE)"],
    target: [TABLE],
    mended: { target: ["ALTER TABLE orders ADD CONSTRAINT note_once UNIQUE (note)"] },
    says: "constraint note_once on public.orders: missing on the target (UNIQUE (note))",
  },
  {
    title: "a default that the target has not, or another one",
    kind: "TargetDefinitionsDiffer",
    source: ["CREATE TABLE orders (id int PRIMARY KEY DEFAULT 7, note text DEFAULT 'new')"],
    target: ["CREATE TABLE orders (id int PRIMARY KEY, note text DEFAULT 'old')"],
    mended: { target: ["ALTER TABLE orders ALTER id SET DEFAULT 7, ALTER note SET DEFAULT 'new'"] },
    says: "column public.orders.id: integer NOT NULL DEFAULT 7 on the source, integer NOT NULL on the target; column public.orders.note: text DEFAULT 'new'::text on the source, text DEFAULT 'old'::text on the target",
  },
  {
    title: "a target table with rows",
    kind: "TargetTableNotEmpty",
    source: [TABLE],
    target: [TABLE, "INSERT INTO orders VALUES (1)"],
    mended: { maps: { migrationSetting: { onExistingRows: "append" } } },
    remedySays: 'TRUNCATE "public"."orders"',
  },
  {
    title: "a selected table that the source lacks",
    kind: "TableMissingOnSource",
    source: [TABLE],
    target: [TABLE],
    selectedTables: ["public.orders", "public.Orders"],
    mended: { selectedTables: ["public.orders"] },
    says: "public.Orders",
  },
  {
    title: "a table that the source user may not read",
    kind: "NoSelectRight",
    source: [role("reader"), "CREATE SCHEMA closed CREATE TABLE orders (id int PRIMARY KEY)", "GRANT USAGE ON SCHEMA public TO reader"],
    target: ["CREATE SCHEMA closed CREATE TABLE orders (id int PRIMARY KEY)"],
    sourceUser: "reader",
    maps: { sourceSetting: { plugin: "test_decoding" } },
    mended: { source: ['GRANT USAGE ON SCHEMA "closed" TO "reader"; GRANT SELECT ON "closed"."orders" TO "reader"'] },
    remedySays: 'GRANT USAGE ON SCHEMA "closed" TO "reader"; GRANT SELECT ON "closed"."orders" TO "reader";',
  },
  {
    title: "a sequence that the source user may not read",
    kind: "NoSelectRight",
    source: [role("reader"), "CREATE SEQUENCE numbers"],
    sourceUser: "reader",
    mended: { source: ['GRANT SELECT ON SEQUENCE public.numbers TO "reader"'] },
    says: "public.numbers",
  },
  {
    title: "row level security that binds the source user",
    kind: "RowSecurityHidesRows",
    source: [role("bound"), TABLE, "GRANT SELECT ON orders TO bound", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY"],
    target: [TABLE],
    sourceUser: "bound",
    maps: { sourceSetting: { plugin: "test_decoding" } },
    mended: { source: ['ALTER ROLE "bound" BYPASSRLS'] },
    remedySays: 'ALTER ROLE "bound" BYPASSRLS;',
  },
  {
    title: "a source user that may not make the publication, when pgoutput is asked for",
    kind: "NoPublicationRight",
    source: [role("reader"), TABLE, "GRANT SELECT ON orders TO reader"],
    target: [TABLE],
    sourceUser: "reader",
    maps: { sourceSetting: { plugin: "pgoutput" } },
    mended: { maps: { sourceSetting: { plugin: "auto" } } },
    says: "reader",
  },
  {
    title: "a source user without the REPLICATION attribute",
    kind: "NoReplicationRight",
    source: [role("plain", "NOREPLICATION"), "ALTER ROLE plain NOREPLICATION"],
    sourceUser: "plain",
    mended: { source: ['ALTER ROLE "plain" REPLICATION'] },
    remedySays: 'ALTER ROLE "plain" REPLICATION;',
  },
  {
    title: "an unlogged table",
    kind: "UnloggedTable",
    source: ["CREATE UNLOGGED TABLE quick (a int PRIMARY KEY)"],
    target: ["CREATE TABLE quick (a int PRIMARY KEY)"],
    mended: { source: ['ALTER TABLE "public"."quick" SET LOGGED'] },
  },
  {
    title: "a slot of an earlier run that nobody reads",
    kind: "LeftoverOfEarlierRun",
    source: [`SELECT pg_create_logical_replication_slot('pgdms_earlier', 'test_decoding')`],
    mended: { source: ["SELECT pg_drop_replication_slot('pgdms_earlier')"] },
    remedySays: "SELECT pg_drop_replication_slot('pgdms_earlier');",
  },
  {
    title: "a publication of an earlier run",
    kind: "LeftoverOfEarlierRun",
    source: ["CREATE PUBLICATION pgdms_earlier"],
    mended: { source: ['DROP PUBLICATION "pgdms_earlier"'] },
    remedySays: 'DROP PUBLICATION "pgdms_earlier";',
  },
  {
    title: "a target that only reads",
    kind: "TargetReadOnly",
    target: [`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`],
    mended: {
      target: [
        "SET default_transaction_read_only = off",
        `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`,
      ],
    },
  },
  {
    title: "a target user that may not set session_replication_role",
    kind: "NoReplicaRoleRight",
    target: [role("writer", ""), "REVOKE SET ON PARAMETER session_replication_role FROM writer"],
    targetUser: "writer",
    mended: { target: ['GRANT SET ON PARAMETER session_replication_role TO "writer"'] },
    remedySays: 'GRANT SET ON PARAMETER session_replication_role TO "writer"',
  },
  {
    title: "a target user that may not create the bookkeeping",
    kind: "NoTargetRight",
    target: [role("writer", "")],
    targetUser: "writer",
    mended: { target: [GRANT_CREATE_TO_WRITER] },
  },
  {
    title: "a target table of another owner",
    kind: "NotOwnerOnTarget",
    source: [TABLE],
    target: [role("writer", ""), TABLE],
    targetUser: "writer",
    mended: { target: ['ALTER TABLE "public"."orders" OWNER TO "writer"'] },
    remedySays: 'ALTER TABLE "public"."orders" OWNER TO "writer";',
  },
  {
    title: "a prepared transaction",
    kind: "PreparedTransactions",
    source: ["BEGIN; CREATE TABLE held (a int PRIMARY KEY); PREPARE TRANSACTION 'two phases'"],
    maps: { sourceSetting: { slotTimeoutSeconds: "1" } },
    mended: { source: ["ROLLBACK PREPARED 'two phases'"] },
    says: "'two phases'",
  },
  {
    title: "a sequence, or the column that it feeds, near its end",
    kind: "SequenceNearEnd",
    source: ["CREATE TABLE orders (id serial PRIMARY KEY)", "SELECT setval('orders_id_seq', 2000000000)"],
    target: ["CREATE TABLE orders (id int PRIMARY KEY)"],
    mended: { source: ["SELECT setval('orders_id_seq', 5)"] },
    says: "public.orders_id_seq is at 2000000000 of 2147483647",
  },
  {
    title: "large objects",
    kind: "LargeObjectsIgnored",
    source: ["SELECT lo_create(424242)"],
    mended: { source: ["SELECT lo_unlink(424242)"] },
  },
  {
    title: "an event trigger on the target",
    kind: "BackgroundWriter",
    target: [
      "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
      "CREATE EVENT TRIGGER watch_ddl ON ddl_command_end EXECUTE FUNCTION on_ddl()",
    ],
    mended: { target: ["ALTER EVENT TRIGGER watch_ddl DISABLE"] },
    says: "the event trigger watch_ddl on the target",
  },
  {
    title: "an event trigger that the schema brings along",
    kind: "BackgroundWriter",
    source: [
      "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
      "CREATE EVENT TRIGGER watch_ddl ON ddl_command_end EXECUTE FUNCTION on_ddl()",
    ],
    maps: OUR_SCHEMA,
    mended: { maps: {} },
    says: "the event trigger watch_ddl on the source",
  },
  {
    title: "REPLICA IDENTITY FULL with a type that has no equality",
    kind: "IdentityWithoutEquality",
    source: ["CREATE TABLE docs (doc json, at point)", "ALTER TABLE docs REPLICA IDENTITY FULL"],
    target: ["CREATE TABLE docs (doc json, at point)"],
    mended: { source: ["ALTER TABLE docs DROP doc, DROP at"] },
    says: "doc (json), at (point)",
  },
  {
    title: "tables whose names differ by case only",
    kind: "NamesDifferByCase",
    source: [TABLE, 'CREATE TABLE "Orders" (id int PRIMARY KEY)'],
    target: [TABLE, 'CREATE TABLE "Orders" (id int PRIMARY KEY)'],
    mended: { source: ['DROP TABLE "Orders"'] },
    says: "public.Orders and public.orders",
  },
  {
    title: "some partitions of a table without the others",
    kind: "PartOfPartitionedTable",
    source: [
      "CREATE TABLE log (id int PRIMARY KEY) PARTITION BY RANGE (id)",
      "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (1) TO (2)",
      "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2) TO (3)",
    ],
    target: ["CREATE TABLE log_1 (id int PRIMARY KEY)", "CREATE TABLE log_2 (id int PRIMARY KEY)"],
    selectedTables: ["public.log_1"],
    mended: { selectedTables: ["public.log"] },
    says: "public.log",
  },
  {
    title: "partitions that come together in a table without a key",
    kind: "TargetKeyMissing",
    source: [
      "CREATE TABLE log (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)",
      "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (1) TO (2)",
      "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2) TO (3)",
    ],
    target: ["CREATE TABLE log (id int, at int)"],
    mended: { target: ['ALTER TABLE "public"."log" ADD PRIMARY KEY ("id", "at")'] },
    says: "2 partitions of the source go to it",
    remedySays: 'ALTER TABLE "public"."log" ADD PRIMARY KEY ("id", "at")',
  },
  {
    title: "a role with too few connections",
    kind: "TooFewConnections",
    source: [role("narrow"), "ALTER ROLE narrow CONNECTION LIMIT 8"],
    sourceUser: "narrow",
    mended: { source: ["ALTER ROLE narrow CONNECTION LIMIT -1"] },
    says: "The source has 7 left for this user; 10 are needed",
  },
  {
    title: "an extension that the target does not have",
    kind: "ExtensionMissing",
    source: ["CREATE EXTENSION adminpack"],
    maps: OUR_SCHEMA,
    mended: { source: ["DROP EXTENSION adminpack"] },
    says: "adminpack",
  },
  {
    title: "an extension that Azure does not allow",
    kind: "ExtensionMissing",
    source: ["CREATE EXTENSION citext"],
    target: [`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET azure.extensions = %L', current_database(), 'HSTORE, PG_TRGM'); END $$`],
    maps: OUR_SCHEMA,
    mended: {
      target: [`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET azure.extensions = %L', current_database(), 'HSTORE, CITEXT'); END $$`],
    },
    says: "citext",
  },
  {
    title: "an extension that the user has not installed",
    kind: "ExtensionRisk",
    source: ["CREATE EXTENSION citext"],
    mended: { target: ["CREATE EXTENSION citext"] },
    says: "citext is not installed on the target",
  },
  {
    title: "a collation of the system that the target lacks",
    kind: "CollationMissing",
    source: [`CREATE COLLATION pg_catalog."xx_YY" (locale = 'C')`, `CREATE TABLE names (name text COLLATE "xx_YY" PRIMARY KEY)`],
    maps: OUR_SCHEMA,
    mended: { source: [`ALTER TABLE names ALTER name TYPE text COLLATE "C"`] },
    says: "xx_YY",
  },
  {
    title: "a procedural language that the target lacks",
    kind: "LanguageMissing",
    source: ["CREATE LANGUAGE ours HANDLER plpgsql_call_handler", "CREATE FUNCTION f() RETURNS int LANGUAGE ours AS 'BEGIN RETURN 1; END'"],
    maps: OUR_SCHEMA,
    mended: { source: ["DROP FUNCTION f()"] },
    says: "ours",
  },
  {
    title: "an object that only a superuser can make",
    kind: "SuperuserObject",
    source: [
      "CREATE FUNCTION f() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'",
      "CREATE TYPE code AS ENUM ('a')",
      "CREATE CAST (code AS regclass) WITH INOUT",
    ],
    target: [role("writer", "")],
    targetUser: "writer",
    maps: OUR_SCHEMA,
    mended: { source: ["DROP FUNCTION f()"] },
    says: "leakproof function f",
  },
  {
    title: "a policy for a role that the target lacks",
    kind: "RoleMissingOnTarget",
    source: [role("only_here"), TABLE, "CREATE POLICY mine ON orders TO only_here"],
    maps: OUR_SCHEMA,
    mended: { source: ["DROP POLICY mine ON orders"] },
    says: "only_here",
  },
  {
    title: "an owner that the target lacks, when owners are to be kept",
    kind: "RoleMissingOnTarget",
    source: [role("owns_here"), TABLE, "ALTER TABLE orders OWNER TO owns_here"],
    maps: { migrationSetting: { migrateSchema: "true", migrateOwners: "true" } },
    mended: { maps: OUR_SCHEMA },
    remedySays: 'CREATE ROLE "owns_here";',
  },
  {
    title: "a role with rights that the target lacks, when rights are to be migrated",
    kind: "RoleMissingOnTarget",
    source: [role("reads_here"), TABLE, "GRANT SELECT ON orders TO reads_here"],
    maps: { migrationSetting: { migrateSchema: "true", migratePrivileges: "true" } },
    mended: { source: ["REVOKE SELECT ON orders FROM reads_here"] },
    says: "reads_here",
  },
  {
    title: "a table of the target whose policies bind its owner as well",
    kind: "NoTargetRight",
    source: [TABLE],
    target: [
      role("writer", ""),
      TABLE,
      "ALTER TABLE orders OWNER TO writer",
      "ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
      GRANT_CREATE_TO_WRITER,
    ],
    targetUser: "writer",
    mended: { target: ['ALTER TABLE "public"."orders" NO FORCE ROW LEVEL SECURITY'] },
    says: "public.orders: its policies bind writer",
  },
  {
    title: "a table of the source whose policies will bind the owner on the target",
    kind: "NoTargetRight",
    source: [TABLE, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"],
    target: [role("writer", ""), GRANT_CREATE_TO_WRITER],
    targetUser: "writer",
    maps: OUR_SCHEMA,
    mended: { source: ["ALTER TABLE orders NO FORCE ROW LEVEL SECURITY"] },
    says: "public.orders: its policies bind writer",
  },
  {
    title: "rights on system catalogs",
    kind: "CatalogGrant",
    source: [role("nosy"), "GRANT SELECT ON pg_authid TO nosy"],
    maps: OUR_SCHEMA,
    mended: { source: ["REVOKE SELECT ON pg_authid FROM nosy"] },
    says: "pg_authid",
  },
];

describe("a migration is told of", () => {
  test.each(cases)("$title", async (c) => {
    const pair = await freshPair();
    await pair.source.query(...(c.source ?? []));
    await pair.target.query(...(c.target ?? []));
    const options: CheckOptions = {
      maps: c.maps ?? {},
      selectedTables: c.selectedTables ?? [],
      ...(c.sourceUser === undefined ? {} : { source: pair.source.as(c.sourceUser) }),
      ...(c.targetUser === undefined ? {} : { target: pair.target.as(c.targetUser) }),
    };
    const found = (await check(pair, options)).findings.filter((finding) => kindOf(finding) === c.kind);
    expect(found).not.toHaveLength(0);
    expect(found[0]?.message).toContain(c.says ?? "");
    expect(found[0]?.remedy).toContain(c.remedySays ?? "");

    await pair.source.query(...(c.mended.source ?? []));
    await pair.target.query(...(c.mended.target ?? []));
    const { source: _source, target: _target, ...other } = c.mended;
    expect(kindsOf((await check(pair, { ...options, ...other })).findings)).not.toContain(c.kind);
  });
});

/** What a server here cannot be brought to; how it is judged is tested on what such a server would say. */
const JUDGED: Partial<Record<ErrorKind, string>> = {
  SourceVersionUnsupported: "version.run", // a server before 9.4
  LongTransaction: "longOpen", // minutes
  WraparoundNear: "judgeAge", // 1.5 thousand million transactions
  OutputPluginNotAllowed: "allowsPlugin", // a minor release of August 2026
  SourceNotOneServer: "passSnapshot", // a pooler; two real servers stand in for it
};

test("every kind of finding has a test", async () => {
  const names = (await readdir(import.meta.dirname)).filter((name) => name.endsWith(".test.ts"));
  const texts = await Promise.all(names.map((name) => readFile(join(import.meta.dirname, name), "utf8")));
  const text = texts.join("\n").replace(/const JUDGED[^]*?^};/m, "");
  const kinds = new Set(allMigrationChecks.flatMap(({ kind, alsoFinds = [] }): ErrorKind[] => [kind, ...alsoFinds]));
  expect([...kinds].filter((kind) => !new RegExp(`["'.]${kind}\\b`).test(text) && !text.includes(JUDGED[kind] ?? "no test"))).toEqual([]);
});

test("nothing is found where nothing is wrong", async () => {
  const pair = await freshPair();
  for (const database of [pair.source, pair.target]) await database.query(TABLE);
  const result = await check(pair);
  expect(notable(result)).toEqual([]);
  expect(result).toMatchObject({ plugin: "pgoutput", targetDatabaseExists: true, schemaIsOurs: false });
  expect(result.tables.map(({ name }) => name)).toEqual(["orders"]);
  expect(result.sourceServer).toMatchObject({ serverVersion: "13.10", serverBrandVersion: "PostgreSQL 13.10" });
});

test("an older target is refused by name, and one database is not its own target", async () => {
  const pair = await freshPair();
  const older = await check(pair, { source: pair.target.server, target: pair.source.server });
  expect(older.findings.find((finding) => kindOf(finding) === "TargetVersionLower")?.message).toContain("Source 17.10, target 13.10");
  const itself = await check(pair, { target: pair.source.server });
  expect(kindsOf(itself.findings)).toContain("TargetIsSource");
  const beside = await check(pair, { target: inDatabase(pair.source.server, "postgres") });
  expect(kindsOf(beside.findings)).not.toContain("TargetIsSource");
});

test("an open transaction makes the slot probe fail within its time, and is named", async () => {
  const pair = await freshPair();
  const holder = await pair.source.session();
  try {
    await holder.query("BEGIN");
    await holder.query("CREATE TABLE secret_values (a int)");
    const result = await check(pair, { maps: { sourceSetting: { slotTimeoutSeconds: "1" } } });
    const probe = result.findings.find((finding) => kindOf(finding) === "SlotProbeFailed");
    const { rows } = await holder.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    expect(probe?.message).toContain(`process ${rows[0]?.pid} (user postgres, database ${pair.source.name}`);
    expect(probe?.message).not.toContain("secret_values");
  } finally {
    await holder.end();
  }
  expect(await pair.source.query("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")).toEqual([]);
  expect(notable(await check(pair))).toEqual([]);
});

test("without the publication's rights test_decoding is chosen, unless pgoutput is asked for", async () => {
  const pair = await freshPair();
  await pair.source.query(role("reader"), TABLE, "GRANT SELECT ON orders TO reader");
  await pair.target.query(TABLE);
  expect((await check(pair, { source: pair.source.as("reader") })).plugin).toBe("test_decoding");
  expect((await check(pair)).plugin).toBe("pgoutput");
});

test("a migration taken up again is not troubled by what is its own", async () => {
  const pair = await freshPair();
  await pair.source.query(
    TABLE,
    "CREATE PUBLICATION pgdms_mine FOR TABLE orders",
    "SELECT pg_create_logical_replication_slot('pgdms_mine', 'test_decoding')",
  );
  await pair.target.query(TABLE, "INSERT INTO orders VALUES (1)");
  const client = await connect(pair.target.server, { purpose: "test" });
  const row = { sourceDatabase: pair.source.name, slot: "pgdms_mine", publication: "pgdms_mine", plugin: "test_decoding" } as const;
  await takeOver(client, 1, { taskId: OWN_TASK, ...row });
  const own = await check(pair, { resuming: true });
  expect(notable(own)).toEqual([]);
  expect(own.plugin).toBe("test_decoding");
  await client.query(`UPDATE pgdms.migration SET task_id = '${OTHER_TASK}'`);
  await client.end();
  const foreign = (await check(pair)).findings.find((finding) => kindOf(finding) === "LeftoverOfEarlierRun");
  expect(foreign?.message).toContain(OTHER_TASK);
  expect(foreign?.message).toContain("pgdms_mine");
  await pair.source.query("SELECT pg_drop_replication_slot('pgdms_mine')");
});

test("another migration of the same source is told while it is at work, and is a leftover once nobody is", async () => {
  const pair = await freshPair();
  for (const database of [pair.source, pair.target]) await database.query(TABLE);
  const slot = `pgdms_${OTHER_TASK.replaceAll("-", "")}_1234abcd`;
  await pair.source.query(`CREATE PUBLICATION ${slot} FOR TABLE orders`, `CREATE PUBLICATION ${slot}_inserts`);
  const preparing = await connect(pair.source.server, { purpose: `${OTHER_TASK.slice(0, 8)} prepare` });
  expect(notable(await check(pair))).toEqual(["AnotherMigrationRuns"]);
  const snapshot = await createSlot(pair.source.server, {
    slot,
    plugin: "pgoutput",
    timeoutMs: 10_000,
    signal: new AbortController().signal,
  });
  await preparing.end();
  const loading = await check(pair);
  expect(notable(loading)).toEqual(["AnotherMigrationRuns"]);
  expect(loading.findings.find((finding) => kindOf(finding) === "AnotherMigrationRuns")?.message).toContain(slot);
  expect(hasErrors(loading.findings)).toBe(false);
  await snapshot.release();
  await expect.poll(async () => notable(await check(pair))).toEqual(["LeftoverOfEarlierRun"]);
  const left = (await check(pair)).findings.find((finding) => kindOf(finding) === "LeftoverOfEarlierRun");
  expect(left?.remedy).toContain(`DROP PUBLICATION "${slot}_inserts";`);
  await pair.source.query(`SELECT pg_drop_replication_slot('${slot}')`);
});

test("a check is left out by its code, and the report says so", async () => {
  const pair = await freshPair();
  await pair.source.query("CREATE TABLE keyless (a int)");
  await pair.target.query("CREATE TABLE keyless (a int)");
  const result = await check(pair, { maps: { migrationSetting: { skipChecks: "PG1107, PG9999" } } });
  expect(notable(result)).toEqual(["CheckSkipped"]);
  expect(result.findings.find((finding) => kindOf(finding) === "CheckSkipped")?.message).toMatch(/PG1107 .*PG9999 is the code of no check/);
  expect(hasErrors(result.findings)).toBe(false);
});

test("a missing database is an error of its end, unless it is to be created", async () => {
  const pair = await freshPair();
  const nowhere = inDatabase(pair.target.server, "not_there");
  await expect(check(pair, { target: nowhere })).rejects.toMatchObject({ kind: "TargetDatabaseMissing" });
  await expect(check(pair, { source: inDatabase(pair.source.server, "not_there") })).rejects.toMatchObject({
    kind: "SourceDatabaseMissing",
  });
  const both = check(pair, { source: inDatabase(pair.source.server, "not_there"), target: nowhere });
  await expect(both).rejects.toThrow(/does not exist on the source.*And: The database does not exist on the target/);
  await pair.source.query(TABLE);
  const made = await check(pair, { target: nowhere, maps: { migrationSetting: { createDatabase: "true", migrateSchema: "true" } } });
  expect(notable(made)).toEqual([]);
  expect(made).toMatchObject({ targetDatabaseExists: false, schemaIsOurs: true });
  await pair.target.query(role("writer", ""));
  const powerless = await check(pair, {
    target: inDatabase(pair.target.as("writer"), "not_there"),
    maps: { migrationSetting: { createDatabase: "true", migrateSchema: "true" } },
  });
  expect(kindsOf(powerless.findings)).toContain("NoTargetRight");
});

test("a schema that is to be made on a target that has it all is taken as it is: no finding", async () => {
  const pair = await freshPair();
  for (const database of [pair.source, pair.target]) await database.query(TABLE);
  expect(notable(await check(pair, { maps: OUR_SCHEMA }))).toEqual([]);
});

test("bytes of no known encoding are warned about, and so are different encodings", async () => {
  const pair = await freshPair();
  for (const encoding of ["SQL_ASCII", "LATIN1"]) {
    const name = `${pair.source.name}_${encoding.toLowerCase()}`;
    await pair.source.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING '${encoding}' LC_COLLATE 'C' LC_CTYPE 'C'`);
    const result = await check(pair, { source: inDatabase(pair.source.server, name) });
    expect(result.findings.find((finding) => kindOf(finding) === "EncodingDiffers")?.message).toContain(`Source ${encoding}, target UTF8`);
  }
});

test("tablespaces of the source are warned about", async () => {
  const pair = await freshPair();
  const folder = await mkdtemp(join(tmpdir(), "pgdms-test-"));
  try {
    const { uid, gid } = await stat(sourcePostgres.dataDir);
    await chown(folder, uid, gid);
    await pair.source.query(`CREATE TABLESPACE elsewhere LOCATION '${folder}'`, `${TABLE} TABLESPACE elsewhere`);
    const result = await check(pair, { maps: OUR_SCHEMA });
    expect(result.findings.find((finding) => kindOf(finding) === "TablespaceIgnored")?.message).toContain("elsewhere");
    await pair.source.query("ALTER TABLE orders SET TABLESPACE pg_default", "DROP TABLESPACE elsewhere");
    expect(kindsOf((await check(pair, { maps: OUR_SCHEMA })).findings)).not.toContain("TablespaceIgnored");
  } finally {
    await rm(folder, { recursive: true });
  }
});
