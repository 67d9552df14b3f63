import { randomUUID } from "node:crypto";
import { MigrationError } from "../../contracts/errors.ts";
import { isTransient } from "../../worker/postgres/failures.ts";
import { parseLsn } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { readKeyValues } from "../../worker/full-load/key-values.ts";
import { type LoadOptions, loadTables } from "../../worker/full-load/load-tables.ts";
import { cutsByKey, planLoad } from "../../worker/full-load/plan.ts";
import { type LoadSnapshot } from "../../worker/full-load/snapshot-session.ts";
import { type LaneOptions } from "../../worker/incremental-sync/lanes.ts";
import { IncrementalSync } from "../../worker/incremental-sync/sync.ts";
import { type SyncTarget } from "../../worker/incremental-sync/sync-table.ts";
import { connect, versionNum, withConnection } from "../../worker/postgres/connect.ts";
import { commonEncoding, readEncoding } from "../../worker/postgres/encoding.ts";
import { quoteTable } from "../../worker/postgres/quote.ts";
import { readTables, type TableDefinition } from "../../worker/source/catalog.ts";
import { readPartitionConditions } from "../../worker/source/partition-conditions.ts";
import { ensurePublication } from "../../worker/source/publication.ts";
import { createSlot, temporarySnapshot } from "../../worker/source/snapshot.ts";
import { changeMigration, readMigration, takeOver } from "../../worker/target/bookkeeping.ts";
import { readTargetTables } from "../../worker/target/find-targets.ts";
import { listTables, readListedTables } from "../../worker/target/listed-tables.ts";
import { readAppliedFrom } from "../../worker/target/table-rows.ts";
import { readSpread } from "../../worker/target/spread.ts";
import { readTargetColumns } from "../../worker/target/target-columns.ts";
import { type TestDatabase } from "../setup/databases.ts";

export type Plugin = "pgoutput" | "test_decoding";

export interface Pair {
  readonly source: TestDatabase;
  readonly target: TestDatabase;
}

export interface EngineOptions {
  readonly plugin: Plugin;
  readonly limits?: { readonly maxChanges: number; readonly maxBytes: number };
  /** Sessions of the target that apply at once; default: one. */
  readonly lanes?: LaneOptions;
  /** Default: as the setting's. */
  readonly tablesWithoutKey?: "replicaIdentityFull" | "insertsOnly";
  /** Tables that are left out of the migration, by name. */
  readonly leaveOut?: readonly string[];
  /** The load breaks off when this many parts are done, what is given happens, and the rest is loaded under another snapshot. */
  readonly interruptedLoad?: { readonly partMB: number; readonly afterParts: number; readonly meanwhile: () => Promise<void> };
  /** Runs after the snapshot and before the load, while the stream is not read yet. */
  readonly duringLoad?: () => Promise<void>;
  /** Tables that are not loaded with the others; `load` brings them to the target afterwards, as the source has them then. */
  readonly loadedLater?: { readonly names: readonly string[]; readonly load: () => Promise<void> };
}

export interface Engine {
  readonly sync: IncrementalSync;
  /** Interruptions that mend themselves, as they came. */
  readonly interruptions: unknown[];
  /** What was taken before its end and read once more. */
  readonly inVain: unknown[];
  /** Definitions of the list as the sync reads them at each connection; a test may change one. */
  readonly targets: Map<string, SyncTarget>;
  /** Resolves when everything committed so far is on the target; rejects when the sync has failed. */
  drain(): Promise<void>;
  stop(): Promise<void>;
}

const LOAD_SETTINGS: LoadOptions["settings"] & { largeTablePartMB: number } = {
  fullLoadStreams: 2,
  largeTablePartMB: 512,
  onExistingRows: "refuse",
};

/**
 * The data path of the worker without its control plane: slot, snapshot, load, sync. The schema is on both sides already.
 * Tables without identity are followed by REPLICA IDENTITY FULL, as with the default setting.
 */
export async function startEngine(pair: Pair, options: EngineOptions): Promise<Engine> {
  const { plugin, lanes, limits = { maxChanges: 50, maxBytes: 1024 * 1024 }, tablesWithoutKey = "replicaIdentityFull" } = options;
  const taskId = randomUUID();
  const ownership = { taskId, epoch: 1 };
  const slot = `f_${taskId.slice(0, 8)}`;
  const controller = new AbortController();
  await quietIdentities(pair.target);
  const target = await connect(pair.target.server, { purpose: "test" });
  await takeOver(target, 1, { taskId, sourceDatabase: pair.source.name, slot, publication: "p", plugin });
  const { sourceVersionNum, found, sourceEncoding } = await withConnection(pair.source.server, { purpose: "test" }, async (client) => {
    const version = await versionNum(client);
    return { sourceVersionNum: version, found: await readTables(client, version), sourceEncoding: await readEncoding(client) };
  });
  const clientEncoding = commonEncoding(sourceEncoding, await readEncoding(target));
  const becomesFull = tablesWithoutKey === "replicaIdentityFull";
  const source = found
    .filter(({ name }) => options.leaveOut?.includes(name) !== true)
    .map((table) => (becomesFull ? asFull(table) : table));
  for (const table of becomesFull ? found : [])
    if (table.identity.kind === "nothing") await pair.source.query(`ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL`);
  const targetVersionNum = await versionNum(target);
  await listTables(target, ownership, {
    source,
    target: await readTargetTables(target, targetVersionNum),
    tablesWithoutKey,
  });
  const listed = await readListedTables(target, source);
  const publications =
    plugin === "pgoutput"
      ? await withConnection(pair.source.server, { purpose: "test" }, (client) => ensurePublication(client, sourceVersionNum, "p", source))
      : [];
  const snapshot = await createSlot(pair.source.server, { slot, plugin, timeoutMs: 30_000, signal: controller.signal });
  await changeMigration(target, ownership, { slotLsn: snapshot.lsn, position: snapshot.lsn });
  await options.duringLoad?.();
  const later = options.loadedLater?.names ?? [];
  const targetColumns = () =>
    withConnection(pair.target.server, { purpose: "test" }, (client) => readTargetColumns(client, targetVersionNum));
  const columns = await targetColumns();
  const { interruptedLoad } = options;
  const settings = interruptedLoad ? { ...LOAD_SETTINGS, fullLoadStreams: 1, largeTablePartMB: interruptedLoad.partMB } : LOAD_SETTINGS;
  const list = listed.filter(({ name }) => !later.includes(name)).map((table) => ({ ...table, targetColumns: columns(table.target) }));
  const keyValues = await withConnection(pair.source.server, { purpose: "test" }, (client) =>
    readKeyValues(client, cutsByKey(list, settings, sourceVersionNum)),
  );
  const load = (under: LoadSnapshot, more: Partial<LoadOptions> = {}): Promise<void> =>
    loadTables({
      source: pair.source.server,
      target: pair.target.server,
      ownership,
      plan: planLoad(list, settings, { sourceVersionNum, keyValues }),
      snapshot: under,
      settings,
      canBeReplica: true,
      clientEncoding,
      signal: controller.signal,
      ...more,
    });
  if (interruptedLoad) {
    const death = new AbortController();
    const onProgress: LoadOptions["onProgress"] = (_table, { partsDone }) => {
      if (partsDone >= interruptedLoad.afterParts) death.abort(new Error("the worker dies"));
    };
    await load(snapshot, { signal: death.signal, onProgress }).catch((thrown: unknown) => {
      if (!death.signal.aborted) throw thrown;
    });
    await interruptedLoad.meanwhile();
    const next = await temporarySnapshot(pair.source.server, { slot: `${slot}_t`, plugin, timeoutMs: 30_000, signal: controller.signal });
    await load(next);
    await next.release();
  } else await load(snapshot);
  await snapshot.release();
  await options.loadedLater?.load();
  const { rows: ends } = await pair.source.query("SELECT pg_current_wal_insert_lsn()::text AS lsn");
  const laterLsn = parseLsn(String(ends[0]?.["lsn"]));
  const overrides = new Map<string, SyncTarget>();
  const interruptions: unknown[] = [];
  const inVain: unknown[] = [];
  const sync = new IncrementalSync({
    source: pair.source.server,
    target: pair.target.server,
    ownership,
    slot,
    publications: () => publications,
    plugin,
    sourceVersionNum,
    clientEncoding,
    canBeReplica: true,
    limits,
    tables: async () => {
      const now = await targetColumns();
      const spreadOf = await readSpread(target);
      const appliedFrom = await readAppliedFrom(target);
      const oids = listed.map(({ definition }) => definition.oid);
      const conditions = await withConnection(pair.source.server, { purpose: "test" }, (client) =>
        readPartitionConditions(client, sourceVersionNum, oids),
      );
      return new Map(
        listed.map((table) => [
          tableKey(table),
          overrides.get(tableKey(table)) ??
            ({
              ...table,
              targetColumns: now(table.target),
              spread: spreadOf(table.target, table.keyColumns),
              partitionCondition: conditions.get(table.definition.oid),
              ignoredColumns: new Set(table.definition.columns.filter(({ isGenerated }) => isGenerated).map(({ name }) => name)),
              sourceTypeNames: table.definition.columns.map(({ typeName }) => typeName),
              ...(later.includes(table.name) ? { snapshotLsn: laterLsn } : appliedFrom.get(tableKey(table))),
            } as SyncTarget),
        ]),
      );
    },
    position: async () => {
      const row = await readMigration(target);
      return { position: row?.position ?? snapshot.lsn, lanesTo: row?.lanesTo ?? undefined };
    },
    ...(lanes ? { lanes } : {}),
    signal: controller.signal,
    onApplied: () => undefined,
    onInterrupted: (thrown) => interruptions.push(thrown),
    onConnected: () => undefined,
    onStreamedInVain: (thrown) => inVain.push(thrown),
    isRetryable: (thrown) => isTransient(thrown) || (thrown instanceof MigrationError && thrown.kind === "SourceTableChanged"),
  });
  const ended = sync.run().catch((thrown: unknown) => thrown);
  return {
    sync,
    interruptions,
    inVain,
    targets: overrides,
    async drain() {
      const { rows } = await pair.source.query("SELECT pg_logical_emit_message(true, 'test', '')::text AS lsn");
      const reached: Promise<unknown> = sync.reached(parseLsn(String(rows[0]?.["lsn"])));
      const failure = await Promise.race([reached, ended]);
      if (failure) throw failure as Error;
    },
    async stop() {
      controller.abort(new Error("the test is over"));
      await ended;
      await target.end();
    },
  };
}

/**
 * From now on a source of version 16 or later sends each change before its transaction ends, as it otherwise does with what it
 * has no memory for (manual, "Developer Options").
 */
export const streamEverything = (source: TestDatabase): Promise<unknown> =>
  source.query(`ALTER DATABASE ${source.name} SET debug_logical_replication_streaming = immediate`);

/** A table without identity gets FULL on the source. */
const asFull = (table: TableDefinition): TableDefinition =>
  table.identity.kind === "nothing" ? { ...table, identity: { kind: "full" } } : table;

/** As the worker does until the cutover (pitfalls, rule 10). */
async function quietIdentities(target: TestDatabase): Promise<void> {
  const { rows } = await target.query(
    "SELECT format('ALTER TABLE %s ALTER %I SET GENERATED BY DEFAULT', attrelid::regclass, attname) AS sql FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE attidentity = 'a' AND attnum > 0 AND c.relkind IN ('r', 'p')",
  );
  for (const { sql } of rows) await target.query(String(sql));
}

/** Count and fingerprint of every table with rows, by name. */
async function fingerprints(database: TestDatabase, names: readonly string[]): Promise<Map<string, string>> {
  const parts = names.map(
    (name) =>
      `SELECT ${literal(name)} AS name, count(*) || ' rows, ' || coalesce(md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))), '') AS sum FROM ONLY ${name} t`,
  );
  const { rows } = await database.query(parts.join(" UNION ALL "));
  return new Map(rows.map((row) => [String(row["name"]), String(row["sum"])]));
}

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Names of the tables whose rows differ as a multiset of their text, with what either side has. */
export async function differences({ source, target }: Pair, names: readonly string[]): Promise<string[]> {
  const [ours, theirs] = await Promise.all([fingerprints(source, names), fingerprints(target, names)]);
  return names
    .filter((name) => ours.get(name) !== theirs.get(name))
    .map((name) => `${name}: source ${ours.get(name)}, target ${theirs.get(name)}`);
}
