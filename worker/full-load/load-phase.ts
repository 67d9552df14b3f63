import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { tableKey } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { interruptionOf } from "../incremental-sync/sync-progress.ts";
import { suspend, whySuspended, withNeighbours } from "../incremental-sync/suspend.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { type RetryOptions, withRetry } from "../postgres/retry.ts";
import { startTableRestore } from "../schema/restore.ts";
import { dropSlot, dropSnapshotSlots, readSlot, snapshotSlot } from "../source/slot.ts";
import { createSlot, type ExportedSnapshot, temporarySnapshot } from "../source/snapshot.ts";
import { changeMigration } from "../target/bookkeeping.ts";
import { restoreOptions } from "../target/definitions.ts";
import { readTargetColumns } from "../target/target-columns.ts";
import { type Prepared, setAside } from "../target/prepare.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { readSuspended } from "../target/table-states.ts";
import { keepEqualTables } from "./keep-equal.ts";
import { readKeyValues } from "./key-values.ts";
import { readLedger, type TableLoad, tableLoads } from "./ledger.ts";
import { type LoadOptions, type LoadProgress, loadTables } from "./load-tables.ts";
import { cutsByKey, type LoadPlan, type LoadTable, planLoad } from "./plan.ts";
import { SnapshotLost } from "./snapshot-lost.ts";
import { throttleOf } from "./throttle.ts";

/** Between two snapshots when one was lost, so that a source in trouble is left in peace. */
const NEXT_SNAPSHOT_MS = 1_000;

/** Interruptions of the load are about this. */
const SUBJECT = "full load";

/** The load, if it is not done, and then nothing is left on the source that only the load needed. */
export async function loadEverything(migration: Migration, prepared: Prepared, signal: AbortSignal): Promise<void> {
  if (prepared.row.phase !== "syncing") await load(migration, prepared, signal);
  await letSnapshotsGo(migration, prepared);
}

/** Those of workers before, too. Can it not be done now, the end of the migration does it. */
async function letSnapshotsGo({ source, log, ownership }: Migration, { row }: Prepared): Promise<void> {
  await withConnection(source, { purpose: "slot" }, (client) => dropSnapshotSlots(client, row.slot, ownership.epoch)).catch(
    (thrown: unknown) => log.warn({ event: "load.snapshots.left", err: thrown }, "slots of earlier snapshots could not be looked for"),
  );
}

/**
 * Loads every table, under the slot's snapshot or, after an interruption, what is left under a new one, and builds the
 * indexes that were set aside as tables finish.
 */
async function load(migration: Migration, prepared: Prepared, signal: AbortSignal): Promise<void> {
  const { board, target, ownership, log, tell } = migration;
  const startedMs = Date.now();
  const different = new Set<string>();
  for (let isFirst = true; !(await loadOnce(migration, prepared, { isFirst, different, signal })); isFirst = false)
    await sleep(NEXT_SNAPSHOT_MS, undefined, { signal });
  await withRetry(
    async () => {
      await withConnection(target, { purpose: "load" }, (client) => changeMigration(client, ownership, { phase: "syncing" }));
      await passing("load-recorded");
    },
    retrying(migration, signal),
  );
  board.goesOn(SUBJECT);
  board.change({ initializationCompleted: true });
  tell({ kind: "movedForward" });
  log.info(
    { event: "load.done", tables: prepared.tables.length, rows: board.database.fullLoadRows, durationMs: Date.now() - startedMs },
    "full load done",
  );
}

/** Loads under one snapshot. @returns false when tables are left that need another one. */
async function loadOnce(
  migration: Migration,
  prepared: Prepared,
  { isFirst, different, signal }: { isFirst: boolean; different: Set<string>; signal: AbortSignal },
): Promise<boolean> {
  const { board, log, settings } = migration;
  const snapshot = await (isFirst ? firstSnapshot(migration, prepared, signal) : nextSnapshot(migration, prepared, signal));
  const takenMs = Date.now();
  const mayBegin = (): boolean => settings.maxSnapshotAgeMinutes === 0 || Date.now() - takenMs < settings.maxSnapshotAgeMinutes * 60_000;
  try {
    if (board.state === "INITIALIAZING") board.event("slotCreated");
    board.event("loadBegan");
    // Planned after the snapshot, and anew for each: what is left may have been altered.
    const suspended = await withRetry(() => withConnection(migration.target, { purpose: "plan" }, readSuspended), { signal });
    const tables = prepared.tables.filter((table) => !suspended.has(tableKey(table)));
    if (settings.onExistingRows === "keepEqual") {
      await keepEqualTables(migration, prepared, { tables, snapshot, different, mayBegin, signal });
      await deferIndexesOfOthers(migration, tables, signal);
    }
    const plan = await makePlan(migration, { ...prepared, tables }, signal);
    await loadUnder(migration, prepared, { plan, snapshot, mayBegin, signal });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof SnapshotLost)) throw thrown;
    log.warn({ event: "load.snapshot.lost", err: thrown }, "the snapshot is gone; going on under a new one");
    return false;
  } finally {
    await snapshot.release();
  }
}

/** The indexes of tables that are kept stay; only now it is known which they are. */
async function deferIndexesOfOthers(migration: Migration, tables: readonly ListedTable[], signal: AbortSignal): Promise<void> {
  const loads = await withRetry(() => withConnection(migration.target, { purpose: "ledger" }, readLoads), { signal });
  const others = tables.filter((table) => loads.get(tableKey(table))?.isLoaded !== true);
  migration.board.change({ step: "setting indexes aside" });
  await withRetry(() => setAside(migration, others, { deferIndexes: migration.settings.deferIndexes, signal }), { signal });
}

const readLoads = async (client: pg.ClientBase): Promise<Map<string, TableLoad>> => tableLoads(await readLedger(client));

interface Load {
  readonly plan: LoadPlan;
  readonly snapshot: ExportedSnapshot;
  readonly signal: AbortSignal;
}

async function loadUnder(
  migration: Migration,
  prepared: Prepared,
  { plan, snapshot, mayBegin, signal }: Load & { readonly mayBegin: () => boolean },
): Promise<void> {
  const { settings, board, tell, pace } = migration;
  const onProgress = (done: number, total: number): void => board.change({ step: `building indexes (${done} of ${total})` });
  const restore = await withRetry(
    () => startTableRestore({ ...restoreOptions(migration, signal), onProgress }),
    retrying(migration, signal),
  );
  board.change({ step: pace.step });
  // Indexes of a table that takes the rows of several wait for the last of them.
  const waiting = await countWaiting(migration, plan);
  try {
    await loadTables({
      ...loadOptions(migration, prepared, { plan, snapshot, signal }),
      mayBegin,
      // Nothing else needs the snapshot: the source's vacuum is held back no longer than each table's copy takes.
      onProgress: (table, progress) => {
        board.goesOn(SUBJECT);
        showLoading(migration, table, progress);
      },
      onTableLoaded: (table, progress) => {
        board.goesOn(SUBJECT);
        showLoaded(migration, table, progress);
        const left = (waiting.get(tableKey(table.target)) ?? 1) - 1;
        waiting.set(tableKey(table.target), left);
        if (left === 0) restore.tableLoaded(table.target);
        tell({ kind: "movedForward" });
      },
      ...(settings.onTableError === "stop" ? {} : { onTableFailed: (table, thrown) => suspendFailed(migration, prepared, table, thrown) }),
      onInterrupted: (thrown, attempt) => interrupted(migration, thrown, attempt),
    });
    board.change({ step: "building indexes" });
    const { failures } = await restore.finish();
    const [first] = failures;
    if (first)
      throw new MigrationError("DefinitionNotRestored", {
        detail: failures.map(({ message }) => message).join(" "),
        ...(first.remedy === undefined ? {} : { remedy: first.remedy }),
      });
  } finally {
    restore.stop();
  }
}

/** What every load of the migration has in common, the first one and those that tables have anew. */
export const loadOptions = (
  { source, target, ownership, settings, pace }: Migration,
  { canBeReplica, clientEncoding }: Prepared,
  { plan, snapshot, signal }: Load,
): LoadOptions => ({
  ...{ source, target, ownership, settings, canBeReplica, clientEncoding, plan, snapshot, signal },
  throttle: throttleOf(settings.maxLoadMBps),
  allowedStreams: () => pace.allowed,
});

/** The table that could not be loaded stays behind; the others go on. */
const suspendFailed = (migration: Migration, { tables }: Prepared, table: LoadTable, thrown: unknown): Promise<void> =>
  suspend(migration, withNeighbours(tables, [table]), whySuspended(migration, thrown, "Then reload the table."));

/** How many tables of the plan are still to be loaded into each table of the target. */
async function countWaiting({ target, signal }: Migration, plan: LoadPlan): Promise<Map<string, number>> {
  const loads = await withRetry(() => withConnection(target, { purpose: "ledger" }, readLoads), { signal });
  const waiting = new Map<string, number>();
  for (const { table } of plan) {
    const key = tableKey(table.target);
    if (loads.get(tableKey(table))?.isLoaded !== true) waiting.set(key, (waiting.get(key) ?? 0) + 1);
  }
  return waiting;
}

/** How the tables are to be copied, by what both sides have now. */
export async function makePlan(
  { source, target, settings }: Migration,
  { tables, sourceVersionNum, targetVersionNum }: Pick<Prepared, "tables" | "sourceVersionNum" | "targetVersionNum">,
  signal: AbortSignal,
): Promise<LoadPlan> {
  return withRetry(
    async () => {
      const columnsOf = await withConnection(target, { purpose: "plan" }, (client) => readTargetColumns(client, targetVersionNum));
      const list: LoadTable[] = tables.map((table) => ({ ...table, targetColumns: columnsOf(table.target) }));
      const keyed = cutsByKey(list, settings, sourceVersionNum);
      const keyValues =
        keyed.length > 0
          ? await withConnection(source, { purpose: "plan" }, (client) => readKeyValues(client, keyed))
          : new Map<string, readonly bigint[]>();
      return planLoad(list, settings, { sourceVersionNum, keyValues });
    },
    { signal },
  );
}

/** The slot with its own snapshot for a load that begins; for one that goes on, a new snapshot beside the slot. */
async function firstSnapshot(migration: Migration, prepared: Prepared, signal: AbortSignal): Promise<ExportedSnapshot> {
  const { source, target, ownership, board } = migration;
  const { row } = prepared;
  if (row.phase === "loading") return await nextSnapshot(migration, prepared, signal);
  board.change({ step: "creating the replication slot" });
  return withRetry(
    async () => {
      // A worker before may have died between the slot and its record; nothing was loaded under it.
      await withConnection(source, { purpose: "slot" }, (client) => dropSlot(client, row.slot, { signal }));
      const snapshot = await createSlot(source, { ...slotOptions(migration, prepared, signal), slot: row.slot });
      try {
        await passing("snapshot-exported");
        await withConnection(target, { purpose: "slot" }, (client) =>
          changeMigration(client, ownership, { slotLsn: snapshot.lsn, position: snapshot.lsn, phase: "loading" }),
        );
        await passing("slot-recorded");
        return snapshot;
      } catch (thrown) {
        await snapshot.release();
        throw thrown;
      }
    },
    retrying(migration, signal),
  );
}

/** A snapshot for what is left. The migration's own slot must still be good: it keeps what happens meanwhile. */
async function nextSnapshot(migration: Migration, prepared: Prepared, signal: AbortSignal): Promise<ExportedSnapshot> {
  const { source, board } = migration;
  board.change({ step: "taking a new snapshot" });
  return withRetry(
    async () => {
      await withConnection(source, { purpose: "slot" }, async (client) => {
        const slot = await readSlot(client, prepared.sourceVersionNum, prepared.row.slot);
        if (!slot || slot.walStatus === "lost") throw new MigrationError("SlotLost", { detail: `Slot ${prepared.row.slot}.` });
      });
      return temporarySnapshot(source, {
        ...slotOptions(migration, prepared, signal),
        slot: snapshotSlot(prepared.row.slot, "t", migration.ownership.epoch),
      });
    },
    retrying(migration, signal),
  );
}

const retrying = (migration: Migration, signal: AbortSignal): RetryOptions => ({
  signal,
  onRetry: (thrown, attempt) => interrupted(migration, thrown, attempt),
});

function interrupted({ board, log, tell }: Migration, thrown: unknown, attempt: number): void {
  log.warn({ event: "load.interrupted", attempt, err: thrown }, "the load was interrupted; trying again");
  board.interrupted(interruptionOf(thrown), SUBJECT);
  tell({ kind: "retried", what: "full load" });
}

export const slotOptions = (
  { settings }: Migration,
  { row }: Prepared,
  signal: AbortSignal,
): Omit<Parameters<typeof createSlot>[1], "slot"> => ({
  plugin: row.plugin,
  timeoutMs: settings.slotTimeoutSeconds * 1000,
  signal,
});

function showLoading({ board }: Migration, table: LoadTable, { rows, bytes }: LoadProgress): void {
  const startedOn = board.tableProgress(table)?.fullLoadStartedOn ?? new Date().toISOString();
  board.table(table, { state: "FULL_LOAD", fullLoadStartedOn: startedOn, fullLoadRows: rows, fullLoadBytes: bytes });
}

function showLoaded({ board, log }: Migration, table: LoadTable, { rows, bytes }: LoadProgress): void {
  const endedOn = new Date().toISOString();
  board.table(table, { state: "COMPLETED", fullLoadRows: rows, fullLoadBytes: bytes, fullLoadEndedOn: endedOn, lastModifiedTime: endedOn });
  log.debug({ event: "load.table.done", schema: table.schema, table: table.name, rows, bytes }, "table loaded");
}
