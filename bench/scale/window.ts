import { setTimeout as sleep } from "node:timers/promises";
import { TICKS_PER_SECOND } from "../engine/meter.ts";
import { type BenchServer } from "../engine/servers.ts";
import { sumOf, type Totals } from "./counts.ts";
import { type Stage } from "./stage.ts";

const SAMPLE_MS = 1_000;

/** What was used in some stretch of time, as one number for each figure; rates are those of a minute. */
export type Figures = Readonly<Record<string, number>>;

/** Takes all figures for so many seconds. Nobody may ask the API meanwhile: that would be counted too. */
export async function window(stage: Stage, seconds: number): Promise<Figures> {
  const taken = begin(stage);
  const samples: { rssMB: number; source: number; target: number }[] = [];
  for (const endMs = Date.now() + seconds * 1_000; Date.now() < endMs;) {
    await sleep(SAMPLE_MS, undefined, { signal: stage.signal });
    samples.push({
      rssMB: stage.pgdms.worker.memoryMB(),
      source: await sessionsOf(stage.pair.source),
      target: await sessionsOf(stage.pair.target),
    });
  }
  const { used, totals, lastedSeconds } = taken.end();
  const minutes = lastedSeconds / 60;
  return {
    "worker CPU, ms a second": used.workerMs / lastedSeconds,
    "worker RSS, MB": median(samples.map(({ rssMB }) => rssMB)),
    "sessions on the source": median(samples.map(({ source }) => source)),
    "sessions on the target": median(samples.map(({ target }) => target)),
    "Functions CPU, ms a second": used.functionsMs / lastedSeconds,
    ...perMinute(busFigures(totals), minutes),
    ...perMinute(storageFigures(totals), minutes),
  };
}

/** What a piece of work took as a whole. */
export async function whole(stage: Stage, work: () => Promise<void>): Promise<Figures> {
  const taken = begin(stage);
  await work();
  const { used, totals, lastedSeconds } = taken.end();
  return {
    seconds: lastedSeconds,
    "worker CPU, ms": used.workerMs,
    "Functions CPU, ms": used.functionsMs,
    ...busFigures(totals),
    ...storageFigures(totals),
  };
}

interface Taken {
  end(): { used: { workerMs: number; functionsMs: number }; totals: Totals; lastedSeconds: number };
}

function begin({ pgdms, functions, counts }: Stage): Taken {
  const startedMs = performance.now();
  const before = { worker: pgdms.worker.ticks(), functions: functions.ticks(), totals: counts.totals() };
  const msOf = (ticks: number): number => (ticks / TICKS_PER_SECOND) * 1_000;
  return {
    end: () => ({
      used: { workerMs: msOf(pgdms.worker.ticks() - before.worker), functionsMs: msOf(functions.ticks() - before.functions) },
      totals: counts.since(before.totals),
      lastedSeconds: (performance.now() - startedMs) / 1000,
    }),
  };
}

/** As the broker would count them: what a worker sends and what the control plane receives of it are two operations. */
function busFigures(totals: Totals): Figures {
  return {
    "messages to the control plane": sumOf(totals, /^worker sent reports$/),
    "KB of them": sumOf(totals, /^worker sent bytes reports$/) / 1024,
    "messages read by the control plane": sumOf(totals, /^functions received reports$/),
    "commands read by the worker": sumOf(totals, /^worker received commands-/),
    "events told": sumOf(totals, /^functions sent events$/),
    "sends and receives, all together": sumOf(totals, / sent (?!bytes)/, / received (?!bytes)/),
    "locks renewed, states of sessions": sumOf(totals, / asked management$/),
    "sessions accepted by the control plane": sumOf(totals, /^functions attached reports$/),
  };
}

function storageFigures(totals: Totals): Figures {
  const all = {
    "rows read by key": sumOf(totals, /^storage \w+ get$/),
    queries: sumOf(totals, /^storage \w+ query$/),
    "rows written alone": sumOf(totals, /^storage \w+ write$/),
    batches: sumOf(totals, /^storage \w+ batch$/),
  };
  return {
    ...all,
    "rows in batches": sumOf(totals, /^storage \w+ row$/),
    "storage requests": Object.values(all).reduce((sum, count) => sum + count, 0),
    "KB sent to storage": sumOf(totals, /^storage bytes$/) / 1024,
  };
}

const perMinute = (figures: Figures, minutes: number): Figures =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [`${name} a minute`, value / minutes]));

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** Sessions of pgdms, whatever they do. */
async function sessionsOf(server: BenchServer): Promise<number> {
  const client = await server.connect("postgres");
  try {
    const { rows } = await client.query<{ count: string }>(
      "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgdms:%' AND datname <> 'postgres'",
    );
    return Number(rows[0]?.count ?? 0);
  } finally {
    await client.end();
  }
}
