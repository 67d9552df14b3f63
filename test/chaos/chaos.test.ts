import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../local/postgres.ts";
import { runRound } from "./round.ts";

// The short part of `npm run chaos`: its faults come thick and are mended soon.

const SEED = 7;

let servers: PostgresServer[];
beforeAll(async () => {
  const settings = { max_replication_slots: "20", max_wal_senders: "20", max_connections: "100" };
  servers = await Promise.all((["13", "17"] as const).map((version) => startPostgres({ version, settings })));
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

test(`a migration under fire comes to its end, equal and with nothing left (seed ${SEED})`, async () => {
  const [source, target] = servers as [PostgresServer, PostgresServer];
  const dataDir = await mkdtemp(join(tmpdir(), "pgdms-chaos-test-"));
  const told: string[] = [];
  const result = await runRound({
    seed: SEED,
    source,
    target,
    followMs: 5_000,
    size: { accounts: 5_000, bulkRows: 8_000 },
    everyMs: 1_500,
    longestMs: 6_000,
    limitMs: 120_000,
    lockSeconds: 5,
    dataDir,
    say: (line) => told.push(line),
  }).catch((thrown: unknown) => {
    throw new Error(`logs in ${dataDir}; ${told.join("; ")}`, { cause: thrown });
  });
  const faults = [...result.faults.values()].reduce((sum, count) => sum + count, 0);
  expect(faults).toBeGreaterThan(4);
  await rm(dataDir, { recursive: true, force: true });
});
