import { setTimeout as sleep } from "node:timers/promises";
import { drainSchema } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { arrives, Subscription } from "./peers.ts";
import { addSample, type Gate, newWork, percentile, type Work } from "./run.ts";
import { type BenchServer } from "./servers.ts";

const SOURCE = "latency_source";

/** One row every so often: the sync is idle before each. */
const INTERVAL_MS = 20;

/** From the answer to the source's COMMIT to the row's being visible on the target, at low load. */
export async function benchLatency(options: SuiteOptions): Promise<Work[]> {
  const { pair, pgdms, rounds, isQuick, say } = options;
  const rows = isQuick ? 200 : 400;
  await pair.source.run("postgres", `CREATE DATABASE ${SOURCE}`);
  await pair.source.run(SOURCE, drainSchema, "CREATE PUBLICATION bench FOR ALL TABLES");
  for (const target of ["latency_pgdms", "latency_native"]) {
    await pair.target.run("postgres", `CREATE DATABASE ${target}`);
    await pair.target.run(target, drainSchema);
  }
  const subscription = new Subscription(pair, { source: SOURCE, target: "latency_native" }, nativeOptions);
  await subscription.create();
  const migration = await pgdms.migrate(pair, { task: "latency", source: SOURCE, target: "latency_pgdms" });
  await migration.ready();
  await subscription.disable();
  const gate = (ratioMax: number): Gate[] => [{ of: "pgdms", against: ["native subscription"], ratioMax }];
  const note = `${rows} rows a round, one every ${INTERVAL_MS} ms or when the last has arrived`;
  const works = [
    { work: { ...newWork("latency", "one row, p50", gate(4), [note]), unit: "ms" as const }, part: 0.5 },
    { work: { ...newWork("latency", "one row, p95", [], [note]), unit: "ms" as const }, part: 0.95 },
    { work: { ...newWork("latency", "one row, p99", gate(3), [note]), unit: "ms" as const }, part: 0.99 },
  ];
  let next = 1;
  const measure = async (title: string, target: string): Promise<void> => {
    const values = await latencies(pair.source, { server: pair.target, target, from: next, count: rows });
    next += rows;
    for (const { work, part } of works) addSample(work, title, { value: percentile(values, part), usage: {} });
    say(`latency: ${title} p50 ${percentile(values, 0.5).toFixed(2)} ms, p99 ${percentile(values, 0.99).toFixed(2)} ms`);
  };
  for (let round = 0; round < rounds; round++) {
    await measure("pgdms", "latency_pgdms");
    await subscription.enable();
    await settled(pair.source, pair.target, "latency_native", next++);
    await measure("native subscription", "latency_native");
    await subscription.disable();
  }
  await migration.cancel();
  await subscription.drop();
  return works.map(({ work }) => work);
}

const nativeOptions = { name: "latency", publication: "bench", streaming: "off", copyData: true, enabled: true } as const;

/** The consumer has caught up with what was written while it was stopped. */
async function settled(source: BenchServer, target: BenchServer, database: string, id: number): Promise<void> {
  await source.run(SOURCE, `INSERT INTO latency VALUES (${id}, '')`);
  const session = await target.connect(database);
  await arrives(session, "latency", id);
  await session.end();
}

interface Watch {
  readonly server: BenchServer;
  readonly target: string;
  readonly from: number;
  readonly count: number;
}

async function latencies(source: BenchServer, { server, target, from, count }: Watch): Promise<number[]> {
  const writer = await source.connect(SOURCE);
  const reader = await server.connect(target);
  const values: number[] = [];
  try {
    for (let id = from; id < from + count; id++) {
      const nextMs = performance.now() + INTERVAL_MS;
      await writer.query({ name: "write", text: "INSERT INTO latency VALUES ($1, 'a row of some bytes')", values: [id] });
      const committedMs = performance.now();
      while ((await reader.query({ name: "read", text: "SELECT FROM latency WHERE id = $1", values: [id] })).rowCount === 0);
      values.push(performance.now() - committedMs);
      await sleep(Math.max(0, nextMs - performance.now()));
    }
    return values;
  } finally {
    await writer.end();
    await reader.end();
  }
}
