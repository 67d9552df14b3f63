import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../local/postgres.ts";
import { type PostgresVersion } from "../../local/postgres/binaries.ts";
import { createDatabase, type TestDatabase } from "../setup/databases.ts";
import { isThorough } from "../setup/thorough.ts";
import { allRows, bringSchema, dumpDefinitions, dumpedObjects, readSample, SAMPLES, type SampleSchema } from "./schemas.ts";
import { connectionOf, leftOnSource, leftOnTarget, Migration, type OutputItem, World } from "./world.ts";

/** Where a fault would be: one database, and who made its schema on the target. */
interface Case {
  readonly name: string;
  readonly sample: SampleSchema;
  /** The source's definitions. */
  readonly dump: string;
  readonly source: TestDatabase;
  readonly target: TestDatabase;
  readonly isOurs: boolean;
}

const versions = new Map<PostgresVersion, PostgresServer>();
let world: World;
beforeAll(async () => {
  const started = (["10", "13", "16", "17", "18"] as const).map(async (version) => {
    versions.set(
      version,
      await startPostgres({ version, settings: { max_connections: "300", max_replication_slots: "30", max_wal_senders: "30" } }),
    );
  });
  [world] = await Promise.all([World.start({ workers: 1 }), ...started]);
}, 150_000);
afterAll(async () => {
  await Promise.allSettled([world.stop(), ...[...versions.values()].map((server) => server.stop())]);
}, 150_000);

/** Who makes a schema on the target. */
type Maker = "pgdms" | "user";

/** One sample on a pair of databases for each maker of its schema. */
async function makeCases(
  from: PostgresVersion,
  to: PostgresVersion,
  name: (typeof SAMPLES)[number],
  makers: readonly Maker[],
): Promise<Case[]> {
  const sample = await readSample(name, Number(from));
  const databases = await Promise.all(
    makers.map(async (maker) => {
      const isOurs = maker === "pgdms";
      const source = await createDatabase("source", versions.get(from)?.port ?? 0);
      await source.query(sample.setup);
      return { source, target: await createDatabase("target", versions.get(to)?.port ?? 0), isOurs };
    }),
  );
  const dump = await dumpDefinitions(databases[0]?.source as TestDatabase);
  for (const { target, isOurs } of databases) if (!isOurs) await bringSchema(dump, target, Number(to));
  return databases.map((pair) => ({ name: `${name}, schema ${pair.isOurs ? "by pgdms" : "brought by the user"}`, sample, dump, ...pair }));
}

/** Which samples come between two versions, and who makes their schemas: all of both in a thorough run. */
const samplesOf = (from: PostgresVersion): (typeof SAMPLES)[number][] =>
  SAMPLES.filter((name) => from === "13" || name === "nasty" || isThorough);
const makersOf = (name: (typeof SAMPLES)[number]): readonly Maker[] => (name === "nasty" || isThorough ? ["pgdms", "user"] : ["pgdms"]);

describe.each([
  ["13", "17"],
  ["10", "16"],
  ["17", "18"],
] as const)("from PostgreSQL %s to %s", (from, to) => {
  test("sample schemas arrive whole: definitions as pg_dump tells them, and every row", { timeout: 300_000 }, async () => {
    const cases = (await Promise.all(samplesOf(from).map((name) => makeCases(from, to, name, makersOf(name))))).flat();
    const migration = await start(cases);
    await migration.until(({ output }) => cases.every(({ source }) => isReady(output, source)));
    await Promise.all(
      cases.map(async ({ source, sample }) => {
        await source.query(sample.changes);
        await migration.cutover(source.name);
      }),
    );
    await migration.ended("Succeeded");
    await Promise.all(
      cases.map(async ({ name, source, target, dump }) => {
        expect.soft(dumpedObjects(await dumpDefinitions(target)), name).toEqual(dumpedObjects(dump));
        const { cutover } = (await migration.database(source.name)) ?? {};
        expect.soft(cutover, name).toMatchObject({ definitions: { missing: 0, different: 0, onlyOnTarget: 0, differences: [] } });
        expect.soft(await allRows(target), name).toEqual(await allRows(source));
        expect.soft([...(await leftOnSource(source)), ...(await leftOnTarget(target))], name).toEqual([]);
        await Promise.all([source.drop(), target.drop()]);
      }),
    );
  });
});

const isReady = (output: readonly OutputItem[], { name }: TestDatabase): boolean =>
  output.some(({ databaseName, migrationState }) => databaseName === name && migrationState === "READY_TO_COMPLETE");

/** One task for all of them: each database has settings of its own. */
async function start(cases: readonly Case[]): Promise<Migration> {
  const [first] = cases;
  if (!first) throw new Error("no case");
  const name = `schemas-${first.source.name}`;
  await world.putTask(name, "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2", {
    sourceConnectionInfo: connectionOf(first.source),
    targetConnectionInfo: connectionOf(first.target),
    selectedDatabases: cases.map(({ source, target, isOurs }) => ({
      name: source.name,
      targetDatabaseName: target.name,
      migrationSetting: { migrateSchema: String(isOurs), fullLoadStreams: "2" },
    })),
  });
  return new Migration(world, name);
}
