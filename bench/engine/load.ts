import { type Drain, loadRows, loadSchema, type LoadSizes } from "./data.ts";
import { cluster, type Metered } from "./meter.ts";
import { type Pgdms } from "./pgdms.ts";
import { client, dumpAndRestore, pgcopydbClone, psqlPairs, Subscription, type Names, type Tools } from "./peers.ts";
import { addSample, measured, newWork, rotated, type Sample, type Work } from "./run.ts";
import { type ServerPair } from "./servers.ts";

export interface SuiteOptions {
  readonly pair: ServerPair;
  readonly pgdms: Pgdms;
  readonly tools: Tools;
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly drains: readonly Drain[];
  /** Sessions of the target that pgdms applies the backlogs of the drains in. */
  readonly lanes: number;
  readonly say: (line: string) => void;
}

/** What a contestant does in a run; gives the sample when it measures by itself. */
export type Contestant = (names: Names, parts: readonly Metered[]) => Promise<Sample>;

const byClock =
  (work: (names: Names) => Promise<void>): Contestant =>
  (names, parts) =>
    measured([...parts, client], () => work(names));

/** The load of some large tables: the whole with its schema into an empty database, and the rows into a schema that is there. */
export async function benchLoad(options: SuiteOptions): Promise<Work[]> {
  const { pair, tools, isQuick, say } = options;
  const sizes: LoadSizes = isQuick
    ? { narrowRows: 600_000, wideRows: 100_000, indexedRows: 100_000 }
    : { narrowRows: 4_000_000, wideRows: 600_000, indexedRows: 500_000 };
  say("load: making the rows");
  await pair.source.run("postgres", "CREATE DATABASE load_source");
  await pair.source.run("load_source", loadSchema, ...loadRows(sizes), "CREATE PUBLICATION bench FOR ALL TABLES");
  await pair.target.run("postgres", "CREATE DATABASE load_schema");
  await pair.target.run("load_schema", loadSchema);
  await warmUp(options);
  const sizeMB = await databaseMB(pair, "load_source");
  const size = `${sizeMB} MB with indexes: ${sizes.narrowRows} narrow rows, ${sizes.wideRows} wide ones, ${sizes.indexedRows} with 8 indexes`;

  const whole = newWork(
    "load",
    "whole load with its indexes",
    [{ of: "pgdms", against: ["pg_dump | pg_restore -j2", "pgcopydb clone"], ratioMax: 1 }],
    [size, "pgdms: from the request to the end of its phase 'full load': checks, schema, slot, rows, indexes"],
  );
  await runRounds(options, whole, "load_source", "template0", {
    pgdms: pgdmsLoad(options, { migrateSchema: "true" }),
    ...(tools.pgDump && tools.pgRestore
      ? { "pg_dump | pg_restore -j2": byClock((names) => dumpAndRestore(tools, pair, names, "all")) }
      : {}),
    ...(tools.pgcopydb ? { "pgcopydb clone": byClock((names) => pgcopydbClone(tools, pair, names)) } : {}),
  });

  const existing = newWork(
    "load",
    "load into an existing schema",
    [{ of: "pgdms", against: ["psql | psql, 4 streams", "pg_dump | pg_restore -a -j2", "native subscription"], ratioMax: 0.7 }],
    [size],
  );
  await runRounds(options, existing, "load_source", "load_schema", {
    pgdms: pgdmsLoad(options, {}),
    ...(tools.psql ? { "psql | psql, 4 streams": byClock((names) => psqlPairs(tools, pair, names)) } : {}),
    ...(tools.pgDump && tools.pgRestore
      ? { "pg_dump | pg_restore -a -j2": byClock((names) => dumpAndRestore(tools, pair, names, "data")) }
      : {}),
    "native subscription": nativeLoad(pair),
  });
  await pair.source.run("postgres", "DROP DATABASE load_source");
  return [whole, existing];
}

/**
 * One load that nobody measures. Who came first would pay for all: a new server makes the files of its WAL, which it later only
 * renames, and touches its memory for the first time.
 */
async function warmUp({ pair, tools, say }: SuiteOptions): Promise<void> {
  if (!tools.psql) return;
  say("load: a load that nobody measures");
  const names = { source: "load_source", target: "load_warm_up" };
  await pair.target.run("postgres", `CREATE DATABASE ${names.target} TEMPLATE load_schema`);
  await psqlPairs(tools, pair, names);
  await pair.target.run("postgres", `DROP DATABASE ${names.target} WITH (FORCE)`);
}

async function databaseMB(pair: ServerPair, name: string): Promise<number> {
  const session = await pair.source.connect(name);
  const { rows } = await session.query<{ mb: string }>("SELECT (pg_database_size(current_database()) / 1048576)::text AS mb");
  await session.end();
  return Number(rows[0]?.mb);
}

/** Every contestant in each round, in another order each time, into a database of its own. */
export async function runRounds(
  { pair, rounds, say }: SuiteOptions,
  work: Work,
  source: string,
  template: string,
  contestants: Readonly<Record<string, Contestant>>,
): Promise<void> {
  let number = 0;
  for (let round = 0; round < rounds; round++) {
    for (const name of rotated(Object.keys(contestants), round)) {
      const target = `run_${template}_${++number}`;
      await pair.target.run("postgres", `CREATE DATABASE ${target} TEMPLATE ${template}`);
      await Promise.all([pair.source.run("postgres", "CHECKPOINT"), pair.target.run("postgres", "CHECKPOINT")]);
      const parts = [cluster("source", pair.source.pid), cluster("target", pair.target.pid)];
      const sample = await (contestants[name] as Contestant)({ source, target }, parts);
      addSample(work, name, sample);
      say(`${work.suite}: ${work.name}, round ${round + 1}: ${name} ${sample.value.toFixed(2)} s`);
      await pair.target.run("postgres", `DROP DATABASE ${target} WITH (FORCE)`);
    }
  }
}

/** From the request to the moment when rows, keys and indexes are there, by the worker's own log. */
export function pgdmsLoad({ pair, pgdms }: SuiteOptions, migrationSetting: Record<string, string>): Contestant {
  let number = 0;
  return async (names, parts) => {
    pgdms.forgetPeak();
    let seconds = 0;
    const migration = await pgdms.migrate(
      pair,
      { ...names, task: `${names.target.replaceAll("_", "-")}-${++number}` },
      { migrationSetting },
    );
    const { usage } = await measured([...parts, ...pgdms.parts], async () => {
      seconds = await migration.secondsUntil("full load");
    });
    const peak = pgdms.peakMB();
    await migration.ready();
    await migration.cancel();
    return { value: seconds, usage: { ...usage, pgdms: { cpuSeconds: usage["pgdms"]?.cpuSeconds ?? 0, peakMB: peak } } };
  };
}

function nativeLoad(pair: ServerPair): Contestant {
  return async (names, parts) => {
    const options = { name: "bench_load", publication: "bench", streaming: "off", copyData: true, enabled: true } as const;
    const subscription = new Subscription(pair, names, options);
    const sample = await measured(parts, async () => {
      await subscription.create();
      await subscription.synced();
    });
    await subscription.drop();
    return sample;
  };
}
