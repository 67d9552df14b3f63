import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../local/postgres.ts";
import { runRound } from "./round.ts";

// The short part of `npm run chaos`: its faults come thick and are mended soon. One migration with a seed that is always the
// same; with CHAOS_MINUTES set, as many as begin in half of the time, and as many more with a random seed in the other half.

const FIXED_SEED = 7;
const RANDOM_SEED = randomInt(1, 1_000_000_000);

const minutes = Number(process.env["CHAOS_MINUTES"] ?? 0);
if (!(minutes >= 0)) throw new Error("CHAOS_MINUTES must be a number of minutes");
const shareMs = (minutes * 60_000) / 2;

/** What has not happened by then will not happen, however busy the machine is. */
const LIMIT_MS = 600_000;

let servers: PostgresServer[];
beforeAll(async () => {
  const settings = { max_replication_slots: "20", max_wal_senders: "20", max_connections: "100" };
  servers = await Promise.all((["13", "17"] as const).map((version) => startPostgres({ version, settings })));
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

test(
  `migrations under fire come to their end, equal and with nothing left (seed ${FIXED_SEED})`,
  () => runRounds(FIXED_SEED),
  shareMs + LIMIT_MS,
);

test.runIf(minutes > 0)(`and with a random seed (${RANDOM_SEED})`, () => runRounds(RANDOM_SEED), shareMs + LIMIT_MS);

/** One after the other, each with the next seed, as long as there is time to begin one. */
async function runRounds(firstSeed: number): Promise<void> {
  const endMs = Date.now() + shareMs;
  for (let seed = firstSeed; seed === firstSeed || Date.now() < endMs; seed++) await runShortRound(seed);
}

async function runShortRound(seed: number): Promise<void> {
  const [source, target] = servers as [PostgresServer, PostgresServer];
  const dataDir = await mkdtemp(join(tmpdir(), "pgdms-chaos-test-"));
  const told: string[] = [];
  const result = await runRound({
    seed,
    source,
    target,
    followMs: 5_000,
    size: { accounts: 5_000, bulkRows: 8_000 },
    everyMs: 1_500,
    longestMs: 6_000,
    limitMs: LIMIT_MS - 30_000,
    lockSeconds: 5,
    dataDir,
    say: (line) => told.push(line),
  }).catch((thrown: unknown) => {
    throw new Error(`seed ${seed}, logs in ${dataDir}; ${told.join("; ")}`, { cause: thrown });
  });
  const faults = [...result.faults.values()].reduce((sum, count) => sum + count, 0);
  expect(faults).toBeGreaterThan(4);
  await rm(dataDir, { recursive: true, force: true });
}
