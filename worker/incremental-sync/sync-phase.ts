import { MigrationError } from "../../contracts/errors.ts";
import { type Lsn } from "../../contracts/lsn.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { isTransient } from "../postgres/failures.ts";
import { readMigration } from "../target/bookkeeping.ts";
import { type Prepared } from "../target/prepare.ts";
import { type ChangeCounts } from "./counts.ts";
import { type Applied } from "./apply.ts";
import { mend } from "./mend.ts";
import { IncrementalSync } from "./sync.ts";
import { SyncProgress } from "./sync-progress.ts";
import { readSyncTargets, showTables } from "./sync-targets.ts";

/** How often the source is asked how far ahead it is. */
const LAG_INTERVAL_MS = 2_000;

/** Groups of fewer changes are applied in one session, also with lanes. */
const LANE_CHANGES_MIN = 1_000;

/** The incremental sync as the cutover sees it. */
export interface RunningSync {
  /** Rejects when the sync fails for good, or with the reason of its signal. */
  readonly ended: Promise<never>;
  readonly position: () => Lsn;
  readonly pendingChanges: () => number;
  /** Resolves once everything that the source committed before the position is durable on the target. */
  reached(lsn: Lsn): Promise<void>;
  /** From now on notes which tables get changes that were committed at or after the position. */
  watchFrom(lsn: Lsn): WatchedChanges;
  /** From now on the source keeps what it still has, until `unhold`. */
  hold(): void;
  unhold(): void;
  /** Does work while nothing is applied; the sync then goes on from the position that the target has. */
  betweenConnections(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Changes that arrived after a certain position: number by display name of the table. */
type WatchedChanges = ReadonlyMap<string, number>;

/** Starts following the source's changes. */
export function startSync(migration: Migration, prepared: Prepared): RunningSync {
  const controller = new AbortController();
  const either = AbortSignal.any([migration.signal, controller.signal]);
  const watch = { lsn: undefined as Lsn | undefined, changes: new Map<string, number>() };
  const progress = new SyncProgress(migration, prepared.row.slot);
  const sync = new IncrementalSync({
    source: migration.source,
    target: migration.target,
    ownership: migration.ownership,
    slot: prepared.row.slot,
    publications: () => prepared.publications,
    plugin: prepared.row.plugin,
    sourceVersionNum: prepared.sourceVersionNum,
    clientEncoding: prepared.clientEncoding,
    canBeReplica: prepared.canBeReplica,
    limits: { maxChanges: migration.settings.applyGroupMaxChanges, maxBytes: migration.settings.applyGroupMaxMB * 1024 * 1024 },
    decodingMemoryMB: migration.settings.decodingMemoryMB,
    lanes: { count: migration.settings.applyLanes, changesMin: LANE_CHANGES_MIN },
    streamsLarge: migration.settings.streamLargeTransactions,
    sqlBacklogBytes: migration.settings.sqlBacklogMB * 1024 * 1024,
    tables: async () => {
      progress.beginsConnection();
      const [targets] = await Promise.all([readSyncTargets(migration, prepared), showTables(migration)]);
      return targets;
    },
    position: () => readPosition(migration),
    signal: either,
    onApplied: (counts, group) => {
      const durable = progress.applied(counts, group);
      // A group that ends behind the watched position may have begun before it; the watch starts after a drain, so it has not.
      if (watch.lsn === undefined || group.endLsn === undefined || group.endLsn <= watch.lsn) return;
      for (const each of durable) addCounts(watch.changes, each);
    },
    onInterrupted: (thrown, attempt) => progress.interrupted(thrown, attempt),
    onConnected: () => progress.connected(),
    onStreamedInVain: (thrown) => progress.streamedInVain(thrown),
    onSqlBacklog: (event) => progress.sqlBacklog(event),
    mend: (thrown) => mend(migration, prepared, thrown),
    isRetryable: (thrown) => isTransient(thrown) || (thrown instanceof MigrationError && thrown.kind === "SourceTableChanged"),
  });
  const lagTimer = setInterval(() => void progress.measure(sync), LAG_INTERVAL_MS);
  const ended = sync.run();
  ended.catch(() => undefined);
  return {
    ended,
    position: () => sync.position,
    pendingChanges: () => sync.pendingChanges,
    reached: (lsn) => Promise.race([sync.reached(lsn), ended]),
    hold: () => sync.hold(),
    unhold: () => sync.unhold(),
    betweenConnections: (work) => Promise.race([sync.betweenConnections(work), ended]),
    watchFrom: (lsn) => {
      watch.lsn = lsn;
      watch.changes = new Map();
      return watch.changes;
    },
    stop: async () => {
      clearInterval(lagTimer);
      controller.abort(new Error("the sync is over"));
      await ended.catch(() => undefined);
      await progress.close(sync);
    },
  };
}

function addCounts(changes: Map<string, number>, counts: ChangeCounts): void {
  for (const { table, inserts, updates, deletes } of counts.byTable.values()) {
    const name = `${table.schema}.${table.name}`;
    changes.set(name, (changes.get(name) ?? 0) + inserts + updates + deletes);
  }
}

async function readPosition({ target, ownership }: Migration): Promise<Applied> {
  const row = await withConnection(target, { purpose: "position" }, readMigration);
  if (row?.taskId !== ownership.taskId || row.epoch !== ownership.epoch) throw new MigrationError("LostOwnership");
  const position = row.position ?? row.slotLsn;
  if (!position) throw new Error("the bookkeeping has no position to go on from");
  return { position, lanesTo: row.lanesTo ?? undefined };
}
