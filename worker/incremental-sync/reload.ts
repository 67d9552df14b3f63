import type pg from "pg";
import { MigrationError, reported, type ReportedError } from "../../contracts/errors.ts";
import { formatLsn } from "../../contracts/lsn.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { readLedger, tableLoads } from "../full-load/ledger.ts";
import { loadOptions, makePlan, slotOptions } from "../full-load/load-phase.ts";
import { type LoadProgress, loadTables } from "../full-load/load-tables.ts";
import { type LoadTable } from "../full-load/plan.ts";
import { SnapshotLost } from "../full-load/snapshot-lost.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { readTables, type TableDefinition } from "../source/catalog.ts";
import { snapshotSlot } from "../source/slot.ts";
import { temporarySnapshot } from "../source/snapshot.ts";
import { type ListedTable, pinAgain, readListedTables } from "../target/listed-tables.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { unpublished } from "../source/publication.ts";
import { asPublished, needsIdentity, type Prepared, publish } from "../target/prepare.ts";
import { askReload, endEarlierApply, followFrom, forgetLoads, readSuspended } from "../target/table-states.ts";
import { type RunningSync } from "./sync-phase.ts";
import { suspend, whySuspended, withNeighbours } from "./suspend.ts";

/**
 * Loads tables anew while the others are followed, as their request in the bookkeeping says. From the beginning on their
 * changes are left out; they are emptied and loaded under a new snapshot; and then the sync goes back to the position of
 * that snapshot, from where it applies their changes and passes over those of the others that it had applied before.
 *
 * A crash anywhere leaves the request, and the next worker begins again. What could not be loaded is suspended with the reason.
 */
export async function reloadTables(
  migration: Migration,
  prepared: Prepared,
  sync: RunningSync,
  asked: readonly ListedTable[],
): Promise<void> {
  const { board, log } = migration;
  const tables = withNeighbours(prepared.tables, asked);
  const names = tables.map(displayName);
  log.info({ event: "reload.began", tables: names }, "tables are loaded anew");
  for (const table of tables) board.table(table, { ...NOT_LOADED, fullLoadStartedOn: new Date().toISOString() });
  const startedMs = Date.now();
  // test_decoding does not tell what a transaction belongs to before its end, so going back would mean to read it twice.
  if (prepared.row.plugin === "test_decoding") await sync.betweenConnections(() => loadAndFollow(migration, prepared, tables, atOnce));
  else await besideTheSync(migration, prepared, sync, tables);
  log.info({ event: "reload.done", tables: names, durationMs: Date.now() - startedMs }, "tables were loaded anew");
}

const NOT_LOADED = { state: "FULL_LOAD", error: undefined, fullLoadRows: 0, fullLoadBytes: 0, fullLoadEndedOn: null } as const;

type Still = (work: () => Promise<void>) => Promise<void>;

/** Nothing is applied anyway. */
const atOnce: Still = (work) => work();

async function besideTheSync(migration: Migration, prepared: Prepared, sync: RunningSync, tables: readonly ListedTable[]): Promise<void> {
  sync.hold();
  try {
    await loadAndFollow(migration, prepared, tables, (work) => sync.betweenConnections(work));
  } finally {
    sync.unhold();
  }
}

/** @param still does work while no change is applied. */
async function loadAndFollow(migration: Migration, prepared: Prepared, tables: readonly ListedTable[], still: Still): Promise<void> {
  await still(() => inOwned(migration, (client) => leaveOut(client, tables)));
  const found = await refreshTables(migration, prepared, tables);
  const failed = await suspendUnfit(migration, prepared, tables, found);
  await publishAgain(migration, prepared, found);
  const left = (): ListedTable[] => prepared.tables.filter((table) => found.has(tableKey(table)) && !failed.has(tableKey(table)));
  await inOwned(migration, (client) => forgetLoads(client, left()));
  const onFailed = async (table: LoadTable, thrown: Error): Promise<void> => {
    const neighbours = withNeighbours(prepared.tables, [table]);
    for (const each of neighbours) failed.add(tableKey(each));
    await suspend(migration, neighbours, whySuspended(migration, thrown, "Then reload the table."));
  };
  while (!(await loadOnce(migration, prepared, left(), onFailed)));
  const loaded = left();
  if (loaded.length === 0) return;
  await analyze(migration, loaded);
  await still(() => inOwned(migration, (client) => followFrom(client, loaded)));
  await showFollowed(migration, loaded);
}

/** From now on nothing writes to the tables but their load. */
async function leaveOut(client: pg.ClientBase, tables: readonly ListedTable[]): Promise<void> {
  await endEarlierApply(client);
  await askReload(client, tables);
}

/**
 * Suspends the tables that cannot be loaded as they are: those that are gone, and those without identity where the settings
 * refuse them.
 * @returns their keys.
 */
async function suspendUnfit(
  migration: Migration,
  prepared: Prepared,
  tables: readonly ListedTable[],
  found: ReadonlySet<string>,
): Promise<Set<string>> {
  const gone = tables.filter((table) => !found.has(tableKey(table)));
  if (gone.length > 0) await suspend(migration, gone, whyUnfit(migration, "TableMissingOnSource", gone));
  const wanted = new Set(tables.map(tableKey));
  const without = prepared.tables.filter(
    (table) => wanted.has(tableKey(table)) && found.has(tableKey(table)) && table.definition.identity.kind === "nothing",
  );
  const refused = migration.settings.tablesWithoutKey === "refuse" ? withNeighbours(prepared.tables, without) : [];
  if (refused.length > 0) await suspend(migration, refused, whyUnfit(migration, "NoReplicaIdentity", refused));
  return new Set([...gone, ...refused].map(tableKey));
}

/** A table that was dropped and made again is in no publication any more, and one may have got another identity. */
async function publishAgain({ source, signal }: Migration, prepared: Prepared, found: ReadonlySet<string>): Promise<void> {
  const { row, sourceVersionNum } = prepared;
  const again = prepared.tables.filter((table) => found.has(tableKey(table)));
  await withRetry(
    () =>
      withConnection(source, { purpose: "reload" }, async (client) => {
        const missing = row.plugin === "pgoutput" ? await unpublished(client, row.publication, again.map(asPublished)) : [];
        if (missing.length === 0 && !again.some(needsIdentity)) return;
        const existing = new Set((await readTables(client, sourceVersionNum)).map(tableKey));
        const tables = prepared.tables.filter((table) => existing.has(tableKey(table)));
        prepared.publications = await publish(client, sourceVersionNum, tables, row);
      }),
    { signal },
  );
}

const inOwned = ({ target, ownership, signal }: Migration, work: (client: pg.Client) => Promise<void>): Promise<void> =>
  withRetry(() => withConnection(target, { purpose: "reload" }, (client) => inOwnedTransaction(client, ownership, () => work(client))), {
    signal,
  });

/** Pins what both sides have now. @returns the keys of the tables that the source still has. */
async function refreshTables(migration: Migration, prepared: Prepared, tables: readonly ListedTable[]): Promise<Set<string>> {
  const { source, target, signal } = migration;
  const definitions = await withRetry(
    () => withConnection(source, { purpose: "reload" }, (client) => readTables(client, prepared.sourceVersionNum)),
    { signal },
  );
  const { tablesWithoutKey } = migration.settings;
  await inOwned(migration, (client) => pinAgain(client, tables, { source: definitions, tablesWithoutKey }));
  prepared.tables = await readTablesAgain(migration, prepared, definitions, target);
  const wanted = new Set(tables.map(tableKey));
  return new Set(definitions.map(tableKey).filter((key) => wanted.has(key)));
}

/** The listed tables with the definitions of now; those that are gone keep the last that was known of them. */
async function readTablesAgain(
  { signal }: Migration,
  { tables }: Prepared,
  definitions: readonly TableDefinition[],
  target: Migration["target"],
): Promise<ListedTable[]> {
  const now = new Set(definitions.map(tableKey));
  const gone = tables.filter((table) => !now.has(tableKey(table))).map(({ definition }) => definition);
  return withRetry(() => withConnection(target, { purpose: "reload" }, (client) => readListedTables(client, [...definitions, ...gone])), {
    signal,
  });
}

const AFTER = {
  TableMissingOnSource: "Drop it on the target as well and start a new migration without it, or make it again on the source and reload it.",
  NoReplicaIdentity: "Then reload the table.",
} as const;

/** Why tables cannot be loaded as they are, in the name of the first. */
function whyUnfit(migration: Migration, kind: keyof typeof AFTER, [table]: readonly ListedTable[]): ReportedError {
  const detail = table ? { table: displayName(table), detail: `${displayName(table)}.` } : {};
  return whySuspended(migration, new MigrationError(kind, detail), AFTER[kind]);
}

/** Loads what is left under a new snapshot. @returns false when the snapshot was lost before all was loaded. */
async function loadOnce(
  migration: Migration,
  prepared: Prepared,
  tables: readonly ListedTable[],
  onTableFailed: (table: LoadTable, thrown: Error) => Promise<void>,
): Promise<boolean> {
  if (tables.length === 0) return true;
  const { source, settings, signal, log } = migration;
  const snapshot = await withRetry(
    () =>
      temporarySnapshot(source, {
        ...slotOptions(migration, prepared, signal),
        slot: snapshotSlot(prepared.row.slot, "r", migration.ownership.epoch),
      }),
    { signal },
  );
  log.info({ event: "reload.snapshot", lsn: formatLsn(snapshot.lsn) }, "the snapshot of the reload is taken");
  try {
    const plan = await makePlan(migration, { ...prepared, tables }, signal);
    await loadTables({
      ...loadOptions(migration, prepared, { plan, snapshot, signal }),
      settings: { ...settings, onExistingRows: "truncate" },
      onProgress: (table, progress) => showProgress(migration, table, progress),
      onTableLoaded: (table, progress) => showProgress(migration, table, progress),
      onTableFailed,
      onInterrupted: (thrown, attempt) =>
        log.warn({ event: "reload.interrupted", attempt, err: thrown }, "the reload was interrupted; trying again"),
    });
    return true;
  } catch (thrown) {
    if (!(thrown instanceof SnapshotLost)) throw thrown;
    return false;
  } finally {
    await snapshot.release();
  }
}

const showProgress = ({ board }: Migration, table: LoadTable, { rows, bytes }: LoadProgress): void =>
  board.table(table, { state: "FULL_LOAD", fullLoadRows: rows, fullLoadBytes: bytes });

async function analyze({ target, signal }: Migration, tables: readonly ListedTable[]): Promise<void> {
  const names = [...new Set(tables.map((table) => quoteTable(table.target)))];
  await withRetry(
    () =>
      withConnection(target, { purpose: "reload" }, async (client) => {
        for (const name of names) await client.query(`ANALYZE ${name}`);
      }),
    { signal },
  );
}

async function showFollowed({ target, board, signal }: Migration, tables: readonly ListedTable[]): Promise<void> {
  const loads = tableLoads(await withRetry(() => withConnection(target, { purpose: "reload" }, readLedger), { signal }));
  const endedOn = new Date().toISOString();
  for (const table of tables) {
    const load = loads.get(tableKey(table));
    board.table(table, {
      state: "COMPLETED",
      error: undefined,
      fullLoadRows: load?.rows ?? 0,
      fullLoadBytes: load?.bytes ?? 0,
      fullLoadEndedOn: endedOn,
      lastModifiedTime: endedOn,
    });
  }
}

/**
 * Loads unlogged tables once more, at the cutover: their changes are in no stream. With rows of before on the target that
 * is not possible, and the comparison tells.
 */
export async function copyUnlogged(migration: Migration, prepared: Prepared): Promise<void> {
  const isAlone = (table: ListedTable): boolean =>
    withNeighbours(prepared.tables, [table]).every(({ definition }) => definition.isUnlogged);
  const tables = prepared.tables.filter((table) => table.definition.isUnlogged && isAlone(table));
  if (tables.length === 0 || migration.settings.onExistingRows === "append") return;
  await inOwned(migration, (client) => forgetLoads(client, tables));
  const failures: Error[] = [];
  const onFailed = (_table: LoadTable, thrown: Error): Promise<void> => Promise.resolve(void failures.push(thrown));
  while (!(await loadOnce(migration, prepared, tables, onFailed)));
  const [failure] = failures;
  if (failure !== undefined) throw failure;
  await showFollowed(migration, tables);
}

/** Why a cutover cannot be: tables that are suspended, or are being loaded anew. */
export async function suspendedErrors({ target, signal }: Migration): Promise<ReportedError[]> {
  const suspended = await withRetry(() => withConnection(target, { purpose: "cutover" }, readSuspended), { signal });
  return [...suspended.values()].map((table) =>
    reported("TableError", {
      table: displayName(table),
      detail: table.isReloadAsked
        ? `${displayName(table)} is being loaded anew.`
        : `${displayName(table)}: ${table.error?.message ?? "it is not loaded."}`,
      ...(table.isReloadAsked ? { remedy: "Wait until it is loaded, then cut over again." } : {}),
    }),
  );
}
