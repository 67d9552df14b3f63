import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { integerOf, readArguments, runCommand } from "../local/command-line.ts";
import { Teardown } from "../local/environment/teardown.ts";
import { type BenchMigration, Pgdms } from "./engine/pgdms.ts";
import { type ServerPair, startPair } from "./engine/servers.ts";

// `npm run bench:steady`: whether a migration that only follows changes stays as it is for as long as it takes.

const DATABASE = "steady";
const ACCOUNTS = 20_000;
const SCHEMA = "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, note text)";
const MOVES = "CREATE TABLE moves (id bigserial PRIMARY KEY, account int NOT NULL, amount int NOT NULL, at timestamptz DEFAULT now())";

const SAMPLE_MS = 10_000;

/** The end may be above the beginning by so much and be called flat: the heap breathes. */
const RSS_MB_MORE = 48;
const HANDLES_MORE = 4;
const LATENCY_SECONDS_MORE = 2;

const usage = `npm run bench:steady [-- options]

  --minutes N        default 30
  --rate N           transactions a second on the source, each of three changes; default 100

Prints, every ${SAMPLE_MS / 1000} seconds, the worker's memory and open handles and how far it is behind the source, then the medians of the
first and the last third. Exit code 1 when one of them has grown.`;

const options = {
  minutes: { type: "string" },
  rate: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** How the worker is at one moment. */
interface Sample {
  readonly rssMB: number;
  readonly handles: number;
  readonly latencySeconds: number;
}

async function steady(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const minutes = values.minutes === undefined ? 30 : integerOf("--minutes", values.minutes, 1, 10_000);
  const rate = values.rate === undefined ? 100 : integerOf("--rate", values.rate, 1, 100_000);
  const teardown = new Teardown();
  const stop = (): void => void teardown.stop().catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return judge(await follow(teardown, minutes, rate)) ? 0 : 1;
  } finally {
    signal.removeEventListener("abort", stop);
    await teardown.stop();
  }
}

async function follow(teardown: Teardown, minutes: number, rate: number): Promise<Sample[]> {
  const pair = await teardown.start(
    () => startPair("embedded"),
    (started) => started.stop(),
  );
  for (const server of [pair.source, pair.target]) {
    await server.run("postgres", `CREATE DATABASE ${DATABASE}`);
    await server.run(DATABASE, SCHEMA, MOVES);
  }
  await pair.source.run(DATABASE, `INSERT INTO accounts SELECT g, 0, repeat('x', 100) FROM generate_series(1, ${ACCOUNTS}) g`);
  const pgdms = await teardown.start(
    () => Pgdms.start(teardown.signal),
    (started) => started.stop(),
  );
  const migration = await pgdms.migrate(pair, { task: "steady", source: DATABASE, target: DATABASE });
  await migration.ready();
  const over = new AbortController();
  const writing = write(pair, rate, AbortSignal.any([over.signal, teardown.signal]));
  const samples: Sample[] = [];
  try {
    for (const endMs = Date.now() + minutes * 60_000; Date.now() < endMs;) {
      await sleep(SAMPLE_MS, undefined, { signal: teardown.signal });
      samples.push(await sample(pgdms, migration));
    }
  } finally {
    over.abort();
    console.log(`${await writing} transactions`);
  }
  await migration.cutOver();
  await migration.complete();
  return samples;
}

/** The same number of transactions in every second; one that is late is not left out. @returns how many were made */
async function write({ source }: ServerPair, rate: number, signal: AbortSignal): Promise<number> {
  const client = await source.connect(DATABASE);
  const startedMs = Date.now();
  let made = 0;
  while (!signal.aborted) {
    const due = Math.floor(((Date.now() - startedMs) / 1000) * rate);
    for (; made < due && !signal.aborted; made++) {
      const account = 1 + ((made * 7919) % ACCOUNTS);
      await client.query(
        `BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = ${account}; INSERT INTO moves (account, amount) VALUES (${account}, 1);
         DELETE FROM moves WHERE id = (SELECT min(id) FROM moves WHERE id > 1 AND ${made} > ${ACCOUNTS}); COMMIT`,
      );
    }
    await sleep(20, undefined, { signal }).catch(() => undefined);
  }
  await client.end();
  return made;
}

async function sample(pgdms: Pgdms, migration: BenchMigration): Promise<Sample> {
  const pid = pgdms.environment.workers[0]?.pid ?? 0;
  const { database } = await migration.view();
  const now = {
    rssMB: Math.round(pgdms.worker.memoryMB()),
    handles: readdirSync(`/proc/${pid}/fd`).length,
    latencySeconds: database?.latencySeconds ?? 0,
  };
  const { rssMB, handles, latencySeconds } = now;
  console.log(`${new Date().toISOString()}  ${rssMB} MB  ${handles} handles  ${latencySeconds.toFixed(2)} s behind`);
  return now;
}

/** The first third has the worker's warming up in it, so it is no lower than it should be. */
function judge(samples: readonly Sample[]): boolean {
  const third = Math.ceil(samples.length / 3);
  const [first, last] = [samples.slice(0, third), samples.slice(-third)];
  const isFlat = (name: keyof Sample, unit: string, more: number): boolean => {
    const [before, after] = [median(first.map((each) => each[name])), median(last.map((each) => each[name]))];
    const flat = after <= before + more;
    console.log(`${name.padEnd(15)} first third ${before} ${unit}, last third ${after} ${unit}: ${flat ? "flat" : "GROWN"}`);
    return flat;
  };
  return [
    isFlat("rssMB", "MB", RSS_MB_MORE),
    isFlat("handles", "open", HANDLES_MORE),
    isFlat("latencySeconds", "s", LATENCY_SECONDS_MORE),
  ].every(Boolean);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

runCommand(steady);
