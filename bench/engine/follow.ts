import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backlog, changesOf, drainProcedures, drainRows, drainSchema, type DrainSizes } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { cluster } from "./meter.ts";
import { arrives, client, FOLLOW_PLUGIN, pgcopydbFollow, pgcopydbSetUp, type FollowNames } from "./peers.ts";
import { otherRows, requireSameRows } from "./same-rows.ts";
import { addSample, measured, newWork, type Sample, type Work } from "./run.ts";

/** pgcopydb's way to follow changes needs minutes for what the drains measure: it has a small backlog of its own. */
const sizesOf = (isQuick: boolean): DrainSizes => ({
  accounts: 50_000,
  tpcb: isQuick ? 3_000 : 15_000,
  inserts: 1,
  updates: 1,
  deletes: 1,
  small: 1,
});

/** Ours may take so much of pgcopydb's time. */
const RATIO_MAX = 1 / 5;

const MARKER = 1;

/** The round before the first one: its ids begin with 1. pgcopydb 0.10 writes 100000001 as 1e+08, and then fails by its own duplicate. */
const SMALL_IDS = -1;

/** A backlog of small transactions that has gathered while nobody reads, and the time of pgdms and of pgcopydb to its last row. */
export async function benchFollow(options: SuiteOptions): Promise<Work[]> {
  const { tools, rounds, isQuick, say } = options;
  const sizes = sizesOf(isQuick);
  const gate = { of: "pgdms", against: ["pgcopydb follow"], ratioMax: RATIO_MAX };
  const work = newWork("follow", "backlog of small transactions", [gate], [`${changesOf("tpcb", sizes)} changes`]);
  if (!tools.pgcopydb || !(await hasPlugin(options))) {
    say(`follow: pgcopydb, or ${FOLLOW_PLUGIN} on the source's server, is missing: nothing to compare with`);
    return [work];
  }
  for (let round = 0; round < rounds; round++) {
    const names = { source: `follow_source_${round}`, ours: `follow_pgdms_${round}`, theirs: `follow_pgcopydb_${round}` };
    const samples = await benchRound(options, { sizes, names });
    for (const [title, sample] of samples) {
      addSample(work, title, sample);
      say(`follow, round ${round + 1}: ${title} ${sample.value.toFixed(2)} s`);
    }
  }
  return [work];
}

async function hasPlugin({ pair }: SuiteOptions): Promise<boolean> {
  const session = await pair.source.connect("postgres");
  try {
    await session.query("SELECT pg_create_logical_replication_slot('probe', $1, true)", [FOLLOW_PLUGIN]);
    return true;
  } catch {
    return false; // the library is not there
  } finally {
    await session.end();
  }
}

interface Round {
  readonly sizes: DrainSizes;
  readonly names: { readonly source: string; readonly ours: string; readonly theirs: string };
}

async function benchRound(options: SuiteOptions, { sizes, names }: Round): Promise<[string, Sample][]> {
  const { pair, pgdms, tools, say } = options;
  const { source, ours, theirs } = names;
  const rows = drainRows(sizes, 1);
  await pair.source.run("postgres", `CREATE DATABASE ${source}`);
  await pair.source.run(source, drainSchema, ...rows, drainProcedures);
  for (const target of [ours, theirs]) await pair.target.run("postgres", `CREATE DATABASE ${target}`);
  await pair.target.run(ours, drainSchema);
  await pair.target.run(theirs, drainSchema, ...rows);
  const migration = await pgdms.migrate(pair, { task: source, source, target: ours }, { migrationSetting: { compareAtCutover: "none" } });
  await migration.ready();
  await pgdms.stopWorker();
  const folder = await mkdtemp(join(tmpdir(), "pgdms-bench-"));
  const follow: FollowNames = { source, target: theirs, slot: theirs, folder: join(folder, "work") };
  const parts = [cluster("source", pair.source.pid), cluster("target", pair.target.pid)];
  try {
    await pgcopydbSetUp(tools, pair, follow);
    await pair.source.run(
      source,
      "SET synchronous_commit = off",
      backlog("tpcb", sizes, SMALL_IDS),
      `INSERT INTO marker VALUES (${MARKER})`,
    );
    await Promise.all([pair.source.run("postgres", "CHECKPOINT"), pair.target.run("postgres", "CHECKPOINT")]);
    const lastRow = async (target: string): Promise<void> => {
      const session = await pair.target.connect(target);
      await arrives(session, "marker", MARKER).finally(() => session.end());
    };
    const sample = await measured([...parts, ...pgdms.parts], async () => {
      await pgdms.startWorker(); // of both, the start is part of the time
      await lastRow(ours);
    });
    await migration.ready();
    let seconds = 0;
    const { usage } = await measured([...parts, client], async () => {
      seconds = await pgcopydbFollow(tools, pair, follow, () => lastRow(theirs));
    });
    await requireSameRows(pair, source, [ours]);
    const difference = await otherRows(pair, source, theirs);
    if (difference !== undefined) say(`follow: ${difference}`);
    await migration.cancel();
    return [
      ["pgdms", sample],
      ["pgcopydb follow", { value: seconds, usage }],
    ];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
