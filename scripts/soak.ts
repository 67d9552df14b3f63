/**
 * `npm run soak`: random histories on random schemas against a live sync, for as long as asked. Prints every seed before it
 * runs, so that `--seed` runs it again; a failing one is made smaller, printed, and ends the run with exit code 1.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { startPostgres } from "../local/postgres.ts";
import { runHistories, sourceOf, type SourceVersion } from "../test/fidelity/histories.ts";
import { createDatabase } from "../test/setup/databases.ts";

/** Histories on one random schema: enough to find what it hides, few enough to see many schemas. */
const HISTORIES = 50;

/** How the changes come; those of the last one before their transactions end, which a source of before 16 cannot be made to do. */
const waysFrom = (version: SourceVersion) => [
  { plugin: "pgoutput", isStreamed: false } as const,
  { plugin: "test_decoding", isStreamed: false } as const,
  ...(version === "17" ? [{ plugin: "pgoutput", isStreamed: true } as const] : []),
];

const SETTINGS = { max_replication_slots: "50", max_wal_senders: "50", max_connections: "200" };

const { values } = parseArgs({ options: { minutes: { type: "string", default: "10" }, seed: { type: "string" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be a number above 0, not ${values.minutes}`);
const fixed = values.seed === undefined ? undefined : Number(values.seed);
if (fixed !== undefined && !Number.isSafeInteger(fixed)) throw new Error(`--seed must be a whole number, not ${values.seed}`);

const [old, recent] = await Promise.all([
  startPostgres({ version: "13", settings: SETTINGS }),
  startPostgres({ version: "17", settings: SETTINGS }),
]);

async function createPair(version: SourceVersion): Promise<Awaited<ReturnType<Parameters<typeof runHistories>[0]["createPair"]>>> {
  const pair = {
    source: await createDatabase("source", (version === "13" ? old : recent).port),
    target: await createDatabase("target", recent.port),
  };
  return { ...pair, drop: async () => void (await Promise.all([pair.source.drop(), pair.target.drop()])) };
}

/** One seed in all ways. @returns how many histories it made. */
async function runSeed(seed: number): Promise<number> {
  const ways = waysFrom(sourceOf(seed));
  for (const { plugin, isStreamed } of ways) {
    const startedMs = Date.now();
    process.stdout.write(`seed ${seed}, ${plugin}${isStreamed ? ", streamed" : ""}: `);
    await runHistories({ seed, plugin, isStreamed, histories: HISTORIES, createPair });
    console.log(`${HISTORIES} histories in ${Math.round((Date.now() - startedMs) / 1000)} s`);
  }
  return ways.length * HISTORIES;
}

const endMs = Date.now() + minutes * 60_000;
let histories = 0;
try {
  do {
    histories += await runSeed(fixed ?? randomInt(2 ** 31));
  } while (fixed === undefined && Date.now() < endMs);
  console.log(`${histories} histories, nothing lost and nothing changed`);
} catch (thrown) {
  console.log("FAILED; run it again with npm run soak -- --seed and the seed above");
  console.error(thrown);
  process.exitCode = 1;
} finally {
  await Promise.all([old.stop(), recent.stop()]);
}
