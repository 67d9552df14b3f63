import { setTimeout as sleep } from "node:timers/promises";
import { drainProcedures, drainRows, drainSchema } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { addSample, newWork, type Work } from "./run.ts";
import { type ServerPair } from "./servers.ts";

const SOURCE = "cutover_source";

/** Changes a second; the last one is more than the sync can bear for long on two cores beside its source. */
const RATES = [1_000, 10_000, 100_000];
const WRITING_MS = 6_000;
const BATCH_MS = 100;

/** The gate: seconds at a steady thousand changes a second. */
const WINDOW_SECONDS_MAX = 5;

/** From the command to COMPLETE, without the optional comparison of all rows; writes go on up to the command. */
export async function benchCutover(options: SuiteOptions): Promise<Work[]> {
  const { pair, isQuick } = options;
  const sizes = { accounts: isQuick ? 200_000 : 1_000_000, tpcb: 0, inserts: 0, updates: 200_000, deletes: 200_000, small: 0 };
  await pair.source.run("postgres", `CREATE DATABASE ${SOURCE}`);
  await pair.source.run(SOURCE, drainSchema, ...drainRows(sizes, 1), drainProcedures);
  const works: Work[] = [];
  for (const rate of isQuick ? RATES.slice(0, 2) : RATES) works.push(await atRate(options, rate, sizes.accounts));
  return works;
}

async function atRate(options: SuiteOptions, rate: number, accounts: number): Promise<Work> {
  const { pair, pgdms, rounds, isQuick, say } = options;
  const gates = rate === RATES[0] ? [{ of: "pgdms", against: [], ratioMax: WINDOW_SECONDS_MAX }] : [];
  const work = newWork("cutover", `cutover after ${rate} changes/s`, gates, ["from the command to COMPLETE, compareAtCutover none"]);
  for (let round = 0; round < (isQuick ? 1 : rounds); round++) {
    const target = `cutover_${rate}_${round}`;
    await pair.target.run("postgres", `CREATE DATABASE ${target}`);
    await pair.target.run(target, drainSchema);
    const task = target.replaceAll("_", "-");
    const migration = await pgdms.migrate(pair, { task, source: SOURCE, target }, { migrationSetting: { compareAtCutover: "none" } });
    await migration.ready();
    const written = await write(pair, rate, { accounts, round });
    const startedMs = performance.now();
    await migration.cutOver();
    await migration.complete();
    const value = (performance.now() - startedMs) / 1000;
    const { database } = await migration.over();
    addSample(work, "pgdms", { value, usage: {} });
    const steps = (database?.cutover?.steps ?? []).map(({ name, durationMs }) => `${name} ${durationMs} ms`).join(", ");
    say(`cutover: ${written} changes/s, ${value.toFixed(2)} s to COMPLETE (${steps})`);
    work.notes.push(`round ${round + 1}: ${written} changes/s written; ${steps}`);
    await pgdms.client.deleteTask(task);
  }
  return work;
}

/** Writes TPC-B transactions at a steady rate, a batch each tenth of a second. @returns the rate that was reached */
async function write(pair: ServerPair, rate: number, { accounts, round }: { accounts: number; round: number }): Promise<number> {
  const session = await pair.source.connect(SOURCE);
  await session.query("SET synchronous_commit = off");
  const batch = Math.max(1, Math.round((rate * BATCH_MS) / 1000 / 4));
  const startedMs = performance.now();
  let written = 0;
  for (let n = 0; performance.now() - startedMs < WRITING_MS; n++) {
    const seed = (rate / 1000) * 1000 + round * 100 + n; // no two batches write the same history
    await session.query(`CALL bench_tpcb(${seed % 1_000_000}, ${batch}, ${accounts})`);
    written += 4 * batch;
    await sleep(Math.max(0, startedMs + (n + 1) * BATCH_MS - performance.now()));
  }
  await session.end();
  return Math.round((written / (performance.now() - startedMs)) * 1000);
}
