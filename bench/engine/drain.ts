import { setTimeout as sleep } from "node:timers/promises";
import { backlog, changesOf, type Drain, drainProcedures, drainRows, drainSchema, type DrainSizes } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { cluster, type Metered } from "./meter.ts";
import { arrives, Subscription, type SubscriptionOptions } from "./peers.ts";
import { type BenchMigration } from "./pgdms.ts";
import { requireSameRows } from "./same-rows.ts";
import { addSample, type Gate, measured, newWork, rotated, type Sample, type Work } from "./run.ts";

const SOURCE = "drain_source";

/** Times the native default, by the brief of docs/performance.md; and never behind its best setting. */
const GATES: Record<Drain, number> = { tpcb: 1.5, ins: 1.35, upd: 1.25, del: 1.35, small: 1.1 };

const NATIVE_DEFAULT = "native, default";

interface NativeSetting {
  readonly title: string;
  readonly options: Pick<SubscriptionOptions, "name" | "streaming" | "decodingMemory">;
}

function nativeSettings(version: string, isQuick: boolean): NativeSetting[] {
  const settings: NativeSetting[] = [{ title: NATIVE_DEFAULT, options: { name: "native_default", streaming: "off" } }];
  if (isQuick) return settings;
  const best = Number.parseInt(version, 10) >= 16 ? "parallel" : "on";
  return [
    ...settings,
    { title: "native, decoding memory 1GB", options: { name: "native_memory", streaming: "off", decodingMemory: "1GB" } },
    { title: `native, streaming ${best}`, options: { name: "native_streaming", streaming: best } },
  ];
}

/** One who follows the changes and can be stopped. */
interface Consumer {
  readonly title: string;
  readonly target: string;
  /** Reads the backlog that has gathered; the sample ends when the marker is on the target. */
  drain(marker: Marker): Promise<Sample>;
  remove(): Promise<void>;
}

/** Backlogs made while nobody reads, then the time of each consumer to the last row. All read the same WAL, one after the other. */
export async function benchDrain(options: SuiteOptions): Promise<Work[]> {
  const { pair, rounds, isQuick, say } = options;
  const sizes: DrainSizes = isQuick
    ? { accounts: 300_000, tpcb: 80_000, inserts: 400_000, updates: 300_000, deletes: 500_000, small: 150_000 }
    : { accounts: 1_000_000, tpcb: 250_000, inserts: 1_500_000, updates: 800_000, deletes: 1_500_000, small: 500_000 };
  say("drain: making the rows");
  await pair.source.run("postgres", `CREATE DATABASE ${SOURCE}`);
  await pair.source.run(SOURCE, drainSchema, ...drainRows(sizes, rounds), drainProcedures, "CREATE PUBLICATION bench FOR ALL TABLES");
  const consumers = await startConsumers(options, sizes);
  const works: Work[] = [];
  let lastMarker = 0;
  for (const drain of options.drains) {
    const work = newWork("drain", `drain ${drain}`, gatesOf(drain, consumers), [
      `${changesOf(drain, sizes)} changes${options.lanes === 1 ? "" : `, pgdms with ${options.lanes} lanes`}`,
    ]);
    for (let round = 0; round < rounds; round++) {
      const madeMs = Date.now();
      const marker = await makeBacklog(options, backlog(drain, sizes, round), ++lastMarker);
      say(`drain ${drain}, round ${round + 1}: backlog made in ${((Date.now() - madeMs) / 1000).toFixed(1)} s`);
      for (const consumer of rotated(consumers, round)) {
        await Promise.all([pair.source.run("postgres", "CHECKPOINT"), pair.target.run("postgres", "CHECKPOINT")]);
        const sample = await consumer.drain(marker);
        addSample(work, consumer.title, sample);
        say(`drain ${drain}, round ${round + 1}: ${consumer.title} ${sample.value.toFixed(2)} s`);
      }
    }
    works.push(work);
  }
  await requireSameRows(
    pair,
    SOURCE,
    consumers.map(({ target }) => target),
  );
  say(`drain: all ${consumers.length} targets have the source's rows`);
  for (const consumer of consumers) await consumer.remove();
  return works;
}

function gatesOf(drain: Drain, consumers: readonly Consumer[]): Gate[] {
  const all = consumers.map(({ title }) => title).filter((title) => title !== "pgdms");
  const best = all.length > 1 ? [{ of: "pgdms", against: all, ratioMax: 1 }] : [];
  return [{ of: "pgdms", against: [NATIVE_DEFAULT], ratioMax: 1 / GATES[drain] }, ...best];
}

async function startConsumers(options: SuiteOptions, sizes: DrainSizes): Promise<Consumer[]> {
  const { pair, say } = options;
  say("drain: the consumers load");
  const ours = await pgdmsConsumer(options);
  await pair.target.run("postgres", "CREATE DATABASE drain_template");
  await pair.target.run("drain_template", drainSchema, ...drainRows(sizes, options.rounds));
  const natives: Consumer[] = [];
  for (const setting of nativeSettings(pair.target.version, options.isQuick)) natives.push(await nativeConsumer(options, setting));
  return [ours, ...natives];
}

/** A row of its own, committed last. */
interface Marker {
  readonly id: number;
  /** The source's position behind it. */
  readonly lsn: string;
}

async function makeBacklog({ pair }: SuiteOptions, statement: string, id: number): Promise<Marker> {
  await pair.source.run(
    SOURCE,
    "SET synchronous_commit = off",
    statement,
    "SET synchronous_commit = on",
    `INSERT INTO marker VALUES (${id})`,
  );
  const session = await pair.source.connect(SOURCE);
  const { rows } = await session.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
  await session.end();
  return { id, lsn: rows[0]?.lsn ?? "" };
}

/**
 * How a slot is waited for. One record of running transactions makes it step, or the next one; each costs whoever decodes it some
 * waits for the disk, and a server writes one in 15 seconds: a hundred of them in front of a backlog would be what is measured.
 */
const LOOK_MS = 20;
const LOOKS_PER_CHECKPOINT = 50;

/**
 * Waits until the slot that is read would begin behind the marker. A slot steps forward at the records of running transactions
 * that a checkpoint writes; without it the next drain would decode this one again, for whoever comes first in a round.
 */
async function settled({ pair }: SuiteOptions, { lsn }: Marker): Promise<void> {
  const session = await pair.source.connect(SOURCE);
  // Not the one by which ours reads a backlog: it is gone before the stream goes on.
  const settledSlots = "SELECT FROM pg_replication_slots WHERE active AND restart_lsn >= $1::pg_lsn AND slot_name !~ '_c[0-9]+$'";
  for (let looks = 0; (await session.query(settledSlots, [lsn])).rowCount === 0; looks++) {
    if (looks % LOOKS_PER_CHECKPOINT === 0) await session.query("CHECKPOINT");
    await sleep(LOOK_MS);
  }
  await session.end();
}

async function nativeConsumer(suite: SuiteOptions, { title, options }: NativeSetting): Promise<Consumer> {
  const { pair } = suite;
  const target = `drain_${options.name}`;
  await pair.target.run("postgres", `CREATE DATABASE ${target} TEMPLATE drain_template`);
  const subscription = new Subscription(
    pair,
    { source: SOURCE, target },
    { ...options, publication: "bench", copyData: false, enabled: false },
  );
  await subscription.create();
  return {
    title,
    target,
    drain: async (marker) => {
      const session = await pair.target.connect(target);
      const sample = await measured(clusters(pair), async () => {
        await subscription.enable();
        await arrives(session, "marker", marker.id);
      });
      await session.end();
      await settled(suite, marker);
      await subscription.disable();
      return sample;
    },
    remove: () => subscription.drop(),
  };
}

const clusters = (pair: SuiteOptions["pair"]): Metered[] => [cluster("source", pair.source.pid), cluster("target", pair.target.pid)];

/** The worker is stopped while the backlog gathers; the time begins when the next one has opened the stream. */
async function pgdmsConsumer(options: SuiteOptions): Promise<Consumer> {
  const { pair, pgdms } = options;
  const target = "drain_pgdms";
  await pair.target.run("postgres", `CREATE DATABASE ${target}`);
  await pair.target.run(target, drainSchema);
  const names = { task: "drain", source: SOURCE, target };
  const migration: BenchMigration = await pgdms.migrate(pair, names, {
    migrationSetting: { compareAtCutover: "none" },
    targetSetting: { applyLanes: String(options.lanes) },
  });
  await migration.ready();
  await pgdms.stopWorker();
  return {
    title: "pgdms",
    target,
    drain: async (marker) => {
      const session = await pair.target.connect(target);
      await pgdms.startWorker();
      const connecting = await migration.connecting();
      const sample = await measured([...clusters(pair), ...pgdms.parts], () => arrives(session, "marker", marker.id));
      const value = (Date.now() - connecting.getTime()) / 1000;
      const peakMB = pgdms.peakMB();
      await session.end();
      await settled(options, marker);
      await migration.ready();
      await pgdms.stopWorker();
      return { value, usage: { ...sample.usage, pgdms: { cpuSeconds: sample.usage["pgdms"]?.cpuSeconds ?? 0, peakMB } } };
    },
    remove: async () => {
      await pgdms.startWorker();
      await migration.ready();
      await migration.cancel();
    },
  };
}
