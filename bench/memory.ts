import { setTimeout as sleep } from "node:timers/promises";
import { integerOf, readArguments, runCommand } from "../local/command-line.ts";
import { Teardown } from "../local/environment/teardown.ts";
import { chosenOf } from "./engine/choice.ts";
import { Pgdms } from "./engine/pgdms.ts";
import { type ServerPair, startPair } from "./engine/servers.ts";

// `npm run bench:memory`: how much memory the worker takes at most for what is large: transactions and single values.

/** No part may take more, but for one value, which may cost its own size (as text) twice on top of what there was. */
const LIMIT_MB = 512;

/** As the stream has them, both values are as large: a bytea is written as hexadecimal digits. */
const VALUE_MB = 200;

const DATABASE = "large";
const PLUGINS = ["pgoutput", "test_decoding"] as const;
type Plugin = (typeof PLUGINS)[number];

const usage = `npm run bench:memory [-- options]

  --rows N           rows of the large transaction; default 5000000
  --only A,B         of transaction, bytea, text; default: all
  --plugin P         pgoutput or test_decoding; default: both, one after the other

Prints the most memory (VmHWM) that the worker process had for each: a load of 100 and 200 MB values, a transaction, a value
of 100 MB (bytea), one of 200 MB (text). Exit code 1 when one is over ${LIMIT_MB} MB; a value may cost its own text twice.`;

const options = {
  rows: { type: "string" },
  only: { type: "string" },
  plugin: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

const SCHEMA = "CREATE TABLE many (id int PRIMARY KEY, note text); CREATE TABLE one (id int PRIMARY KEY, b bytea, t text)";

/** 100 MB and 200 MB. */
const BYTEA = "decode(repeat('00ff5c27', 26214400), 'hex')";
const TEXT = "repeat('0123456789abcdef', 13107200)";

/** What is committed on the source in one transaction, and what shows on the target that it arrived. */
interface Change {
  readonly sql: string;
  readonly arrived: string;
}

const changesOf = (rows: number): Readonly<Record<string, Change>> => ({
  transaction: {
    sql: `INSERT INTO many SELECT g, 'row ' || g FROM generate_series(1, ${rows}) g`,
    arrived: `SELECT FROM many WHERE id = ${rows}`,
  },
  bytea: {
    sql: `INSERT INTO one VALUES (1, ${BYTEA}, NULL)`,
    arrived: "SELECT FROM one WHERE id = 1 AND length(b) = 104857600",
  },
  text: {
    sql: `INSERT INTO one VALUES (2, NULL, ${TEXT})`,
    arrived: "SELECT FROM one WHERE id = 2 AND length(t) = 209715200",
  },
});

async function memory(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const changes = changesOf(values.rows === undefined ? 5_000_000 : integerOf("--rows", values.rows, 1, 1_000_000_000));
  const chosen = chosenOf("--only", Object.keys(changes), values.only);
  const plugins = chosenOf("--plugin", PLUGINS, values.plugin);
  const peaks: Peak[] = [];
  for (const plugin of plugins) {
    const teardown = new Teardown();
    const stop = (): void => void teardown.stop().catch(() => undefined);
    signal.addEventListener("abort", stop, { once: true });
    try {
      peaks.push(...(await measure(plugin, chosen, changes, teardown)));
    } finally {
      signal.removeEventListener("abort", stop);
      await teardown.stop();
    }
  }
  return peaks.some(({ peakMB, limitMB }) => peakMB > limitMB) ? 1 : 0;
}

interface Peak {
  readonly peakMB: number;
  readonly limitMB: number;
}

/** The load, with one large value of each kind, then each change by itself. */
async function measure(
  plugin: Plugin,
  chosen: readonly string[],
  changes: Readonly<Record<string, Change>>,
  teardown: Teardown,
): Promise<Peak[]> {
  const pair = await teardown.start(
    () => startPair("embedded"),
    (started) => started.stop(),
  );
  for (const server of [pair.source, pair.target]) {
    await server.run("postgres", `CREATE DATABASE ${DATABASE}`);
    await server.run(DATABASE, SCHEMA);
  }
  await pair.source.run(DATABASE, `INSERT INTO one VALUES (101, ${BYTEA}, NULL), (102, NULL, ${TEXT})`);
  const pgdms = await teardown.start(
    () => Pgdms.start(teardown.signal),
    (started) => started.stop(),
  );
  const names = { task: "memory", source: DATABASE, target: DATABASE };
  const migration = await pgdms.migrate(pair, names, { migrationSetting: { compareAtCutover: "none" }, sourceSetting: { plugin } });
  await migration.ready();
  const loadMB = told(plugin, "load", pgdms.peakMB());
  const peaks: Peak[] = [{ peakMB: loadMB, limitMB: LIMIT_MB }];
  for (const name of chosen) {
    const { sql, arrived } = changes[name] as Change;
    pgdms.forgetPeak();
    await pair.source.run(DATABASE, sql);
    await arrives(pair, arrived, teardown.signal);
    const limitMB = name === "transaction" ? LIMIT_MB : Math.max(LIMIT_MB, loadMB + 2 * VALUE_MB);
    peaks.push({ peakMB: told(plugin, name, pgdms.peakMB()), limitMB });
  }
  await migration.cutOver();
  await migration.complete();
  return peaks;
}

async function arrives({ target }: ServerPair, sql: string, signal: AbortSignal): Promise<void> {
  const client = await target.connect(DATABASE);
  try {
    while ((await client.query(sql)).rowCount === 0) await sleep(500, undefined, { signal });
  } finally {
    await client.end();
  }
}

function told(plugin: Plugin, what: string, peakMB: number): number {
  console.log(`${plugin.padEnd(14)} ${what.padEnd(12)} ${peakMB.toFixed(0).padStart(5)} MB`);
  return peakMB;
}

runCommand(memory);
