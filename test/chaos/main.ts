import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startPostgres, type PostgresServer } from "../../local/postgres.ts";
import { runRound, type RoundResult } from "./round.ts";
import { Random } from "./random.ts";

// Migrations under fire: npm run chaos -- [--minutes 3] [--seed N] [--every SECONDS]
// Each round is a whole migration of databases that are written to, with random faults from the list in faults.ts all the
// time; at its end both sides must be equal, nothing may be left on the source, and no report may have gone back.

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "3" },
    seed: { type: "string" },
    every: { type: "string", default: "5" },
    /** Goes on after a round that failed; the exit code is 1 all the same. */
    "keep-going": { type: "boolean", default: false },
  },
});
const minutes = Number(values.minutes);
const seed = values.seed === undefined ? randomInt(1, 1_000_000_000) : Number(values.seed);
const everyMs = Number(values.every) * 1000;
if (![minutes, seed, everyMs].every((value) => Number.isFinite(value) && value > 0))
  throw new Error("--minutes, --seed and --every must be positive numbers");

const SERVER_SETTINGS = { max_replication_slots: "20", max_wal_senders: "20", max_connections: "100" };
/** A machine that is busy otherwise needs longer to catch up between two faults. */
const ROUND_LIMIT_MS = 20 * 60_000;

console.log(`chaos for ${minutes} minutes, seed ${seed}, a fault about every ${everyMs / 1000} s`);
const startedMs = Date.now();
const say = (line: string): void => console.log(`${clock()}  ${line}`);
const servers: PostgresServer[] = await Promise.all(
  (["13", "17", "17"] as const).map((version) => startPostgres({ version, settings: SERVER_SETTINGS })),
);
const [old, young, target] = servers as [PostgresServer, PostgresServer, PostgresServer];
const results: RoundResult[] = [];
const failures: string[] = [];
for (const end of ["SIGINT", "SIGTERM", "uncaughtException", "unhandledRejection"] as const)
  process.once(end, (why: unknown) => endEarly(`ended by ${end}: ${why instanceof Error ? (why.stack ?? why.message) : String(why)}`));
try {
  for (let round = 1; round === 1 || Date.now() - startedMs < minutes * 60_000; round++) {
    const roundSeed = seed + round - 1;
    const random = new Random(roundSeed * 7919);
    const dataDir = await mkdtemp(join(tmpdir(), `pgdms-chaos-${roundSeed}-`));
    say(`--- round ${round}, seed ${roundSeed}, logs in ${dataDir}`);
    try {
      const result = await runRound({
        seed: roundSeed,
        source: random.one([old, young]),
        target,
        followMs: random.between(20, 60) * 1000,
        size: { accounts: 50_000, bulkRows: random.one([20_000, 80_000]) },
        everyMs,
        longestMs: 80_000,
        limitMs: ROUND_LIMIT_MS,
        dataDir,
        say,
      });
      results.push(result);
      say(`round ${round} is well: ${sayResult(result)}`);
      await rm(dataDir, { recursive: true, force: true });
    } catch (thrown) {
      failures.push(`seed ${roundSeed}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      say(
        `ROUND ${round} FAILED, seed ${roundSeed}, logs in ${dataDir}: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)}`,
      );
      if (!values["keep-going"]) break;
    }
  }
} finally {
  await Promise.all(servers.map((server) => server.stop()));
}
summary();
process.exit(failures.length > 0 ? 1 : 0);

/** Whatever ends it, what was seen until then is told. The servers and the environment end with this process. */
function endEarly(why: string): never {
  say(why);
  failures.push(why);
  summary();
  process.exit(1);
}

function clock(): string {
  const seconds = Math.round((Date.now() - startedMs) / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(3)}:${String(seconds % 60).padStart(2, "0")}`;
}

function sayResult({ takeOvers, tables, rows, changes, faults, durationMs }: RoundResult): string {
  const count = [...faults.values()].reduce((sum, n) => sum + n, 0);
  return `${Math.round(durationMs / 1000)} s, ${count} faults, ${takeOvers} take-overs, ${rows} rows in ${tables} tables, ${changes} changes`;
}

function summary(): void {
  const faults = new Map<string, number>();
  for (const result of results) for (const [name, count] of result.faults) faults.set(name, (faults.get(name) ?? 0) + count);
  const sum = (of: (result: RoundResult) => number): number => results.reduce((total, result) => total + of(result), 0);
  console.log(`\n${((Date.now() - startedMs) / 60_000).toFixed(1)} minutes, seed ${seed}`);
  console.log(`migrations: ${results.length} well, ${failures.length} failed`);
  for (const failure of failures) console.log(`  ${failure.split("\n")[0]}`);
  console.log(`take-overs: ${sum(({ takeOvers }) => takeOvers)}`);
  console.log(`rows compared: ${sum(({ rows }) => rows)}, changes applied: ${sum(({ changes }) => changes)}`);
  console.log(`transactions of the writers: ${sum(({ transactions }) => transactions)}`);
  console.log(`cutovers refused and asked again: ${sum(({ cutoversRefused }) => cutoversRefused.length)}`);
  console.log(`looks at the task, none of them behind the one before: ${sum(({ looks }) => looks)}`);
  console.log(`faults: ${[...faults.values()].reduce((total, count) => total + count, 0)}`);
  for (const [name, count] of [...faults].sort(([a], [b]) => a.localeCompare(b))) console.log(`  ${name}: ${count}`);
}
