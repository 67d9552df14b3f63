import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../local/postgres.ts";
import { withConnection } from "../../worker/postgres/connect.ts";
import { compareDefinitions } from "../../worker/schema/compare-definitions.ts";
import { createDatabase, type TestDatabase } from "../setup/databases.ts";
import { casesOf } from "../setup/thorough.ts";
import { startVersionProxy, type VersionProxy } from "./version-proxy.ts";
import { contents, leftOnSource, leftOnTarget, World } from "./world.ts";

/**
 * Sources of 9.4 to 9.6 are not to be had here. A 10 that says it were one gets every statement of a whole migration; what 10
 * renamed is brought back there under its old name, and what came after the version may not be in any of them.
 */
const RENAMED_IN_10 = `
  CREATE FUNCTION pg_catalog.pg_current_xlog_location() RETURNS pg_lsn LANGUAGE sql AS 'SELECT pg_current_wal_lsn()';
  CREATE FUNCTION pg_catalog.pg_last_xlog_replay_location() RETURNS pg_lsn LANGUAGE sql AS 'SELECT pg_last_wal_replay_lsn()'`;

/** What came with a version, from the release notes (appendix E, "Migration" and "Changes") and the manuals' catalogs of both sides. */
const NEWER: readonly (readonly [since: number, pattern: RegExp])[] = [
  [90_500, /ON CONFLICT|SKIP LOCKED|GROUPING SETS|TABLESAMPLE|ADD COLUMN IF NOT EXISTS|CREATE (UNIQUE )?INDEX IF NOT EXISTS/i],
  [90_500, /\b(regnamespace|regrole|pg_policy|relrowsecurity|relforcerowsecurity|rolbypassrls|active_pid|row_security)\b/i],
  [90_500, /\b(row_security_active|array_position|jsonb_set|jsonb_build_object|jsonb_agg|to_jsonb|pg_last_committed_xact|pg_stat_ssl)\b/i],
  [90_500, /max_wal_size|pg_replication_origin|pg_transform|pg_event_trigger_ddl_commands/i],
  [90_600, /pg_logical_emit_message|confirmed_flush_lsn|pg_init_privs|pg_blocking_pids|wait_event|idle_in_transaction_session_timeout/i],
  [90_600, /\b(parse_ident|pg_control_system|pg_control_checkpoint|pg_size_bytes|num_nulls|jsonb_insert|bit_count)\b/i],
  [90_600, /current_setting\([^()]*,\s*true\)|CREATE ACCESS METHOD|CASCADE EXTENSION/i],
  [
    100_000,
    /pg_publication|pg_subscription|pg_sequences?\b|pg_statistic_ext|relispartition|pg_partitioned_table|attidentity|backend_type/i,
  ],
  [
    100_000,
    /pg_(current|last|switch)_\w*wal\w*|pg_wal_|regexp_match\(|xmltable|\bTEMPORARY LOGICAL|LOGICAL \S+ EXPORT_SNAPSHOT|relpartbound|proto_version/i,
  ],
  [100_000, /\b(polpermissive|collprovider|pg_sequence|stxname)\b/i],
  [100_000, /GENERATED (ALWAYS|BY DEFAULT)|TRANSITION TABLE|CREATE PUBLICATION|pg_import_system_collations/i],
  [110_000, /indnkeyatts|conparentid|prokind|CREATE PROCEDURE|\bCALL\b|reloftype IS OF/i],
  [120_000, /attgenerated|collisdeterministic|pg_partition_(tree|root|ancestors)|wal_sender_timeout=/i],
  [130_000, /wal_status|safe_wal_size|logical_decoding_work_mem'\)|xid8|pg_current_xact_id|gen_random_uuid/i],
  [140_000, /idle_session_timeout|multirange|attcompression|pg_stat_replication_slots|in_hot_standby/i],
  [150_000, /\(SNAPSHOT |pg_parameter_acl|NULLS NOT DISTINCT|indnullsnotdistinct/i],
  [160_000, /\b(any_value|pg_input_is_valid|pg_get_wal)\b/i],
  [170_000, /transaction_timeout|inactive_since|two_phase_at/i],
  [180_000, /conenforced|conperiod|attnotnullvalid|publish_generated_columns/i],
];

/** Strings, and columns that stand for what the version does not have. */
const PLACEHOLDER = /'(?:[^']|'')*'|\b(?:NULL::\w+|false|true) AS \w+/g;

/** Statements that the version does not know, with the word that shows it. */
const tooNew = (statements: readonly string[], versionNum: number): string[] =>
  [...new Set(statements)].flatMap((sql) =>
    NEWER.filter(([since]) => since > versionNum).flatMap(([since, pattern]) => {
      const word = pattern.exec(sql.replaceAll(PLACEHOLDER, ""))?.[0];
      return word === undefined ? [] : [`${word} (${since}): ${sql}`];
    }),
  );

let server: PostgresServer;
let world: World;
beforeAll(async () => {
  [server, world] = await Promise.all([startPostgres({ version: "10" }), World.start({ workers: 1 })]);
}, 150_000);
afterAll(() => Promise.all([server.stop(), world.stop()]));

const SCHEMA = `CREATE TABLE orders (id serial PRIMARY KEY, v text UNIQUE, n numeric); CREATE TABLE loose (a int, j json);
  CREATE TABLE lines (id int PRIMARY KEY, of int REFERENCES orders); CREATE SEQUENCE free START 7`;

async function migrate(source: TestDatabase, target: TestDatabase, proxy: VersionProxy): Promise<void> {
  const migration = await world.migrate([{ source: { ...source, port: proxy.port }, target }], { tablesWithoutKey: "replicaIdentityFull" });
  await migration.reaches(source.name, "READY_TO_COMPLETE");
  await source.query(
    "UPDATE orders SET n = 1 WHERE id < 10; DELETE FROM loose WHERE a = 1; INSERT INTO lines VALUES (100, 100); SELECT nextval('free')",
  );
  await migration.cutover(source.name);
  await migration.ended("Succeeded");
}

/** As the cutover compares them, which only warns when it could not. */
async function definitionsDiffering(source: TestDatabase, target: TestDatabase): Promise<unknown[]> {
  const server = { ...source.server, connection: { ...source.server.connection, port: source.port } };
  return withConnection(server, { purpose: "test" }, (onSource) =>
    withConnection(target.server, { purpose: "test" }, async (onTarget) => {
      const report = await compareDefinitions({ source: onSource, target: onTarget, onlyTables: undefined, withReplicaIdentity: true });
      expect(report.compared).toBeGreaterThan(10);
      return [...report.differences];
    }),
  );
}

test.each(casesOf([90_424], [90_624]))(
  "a whole migration sends a source of version %i nothing that it does not know",
  async (versionNum) => {
    const [source, target] = [await createDatabase("source", server.port), await createDatabase("target", inject("postgres17Port"))];
    const proxy = await startVersionProxy(server.port, String(versionNum));
    try {
      await source.query(RENAMED_IN_10);
      for (const database of [source, target]) await database.query(SCHEMA);
      await source.query(
        "INSERT INTO orders (v, n) SELECT 'v' || g, g / 7.0 FROM generate_series(1, 200) g; INSERT INTO loose SELECT g, '{}' FROM generate_series(1, 20) g; INSERT INTO lines SELECT g, g FROM generate_series(1, 50) g",
      );
      await migrate(source, target, proxy);
      for (const table of ["orders", "loose", "lines"]) expect(await contents(target, table)).toEqual(await contents(source, table));
      expect((await target.query("SELECT last_value::int AS value FROM free")).rows).toEqual([{ value: 7 }]);
      expect([...(await leftOnSource(source)), ...(await leftOnTarget(target))]).toEqual([]);
      expect(proxy.statements.length).toBeGreaterThan(100);
      expect(await definitionsDiffering({ ...source, port: proxy.port }, target)).toEqual([]);
      expect(tooNew(proxy.statements, versionNum)).toEqual([]);
    } finally {
      await proxy.stop();
      await Promise.all([source.drop(), target.drop()]);
    }
  },
  150_000,
);

test("what a version does not know is found in a statement", () => {
  expect(tooNew(["SELECT pg_current_wal_lsn()", "SELECT 'pg_publication'", "SELECT 1 FROM pg_sequences"], 90_400)).toHaveLength(2);
  expect(tooNew(["SELECT active_pid FROM pg_replication_slots"], 90_500)).toEqual([]);
});
