import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { DEFERRED_KINDS, readDeferred, type DeferredDefinition, type Stage } from "./deferred-ddl.ts";
import { RestorePool, type RestoreOptions, type RestoreResult } from "./restore-pool.ts";

export interface TableRestore {
  /** A table's rows are all there: its indexes may be built. For tables without any, nothing happens. */
  tableLoaded(table: TableName): void;
  /** Builds what is left, joins the partitions' indexes, and waits for all. May be called once. */
  finish(): Promise<RestoreResult>;
  /** Ends what is under way; what is not back stays recorded. */
  stop(): void;
}

/**
 * Begins to bring the definitions of the load stage back, table by table, while other tables are still being loaded. Goes
 * on where an earlier worker stopped.
 */
export async function startTableRestore(options: RestoreOptions): Promise<TableRestore> {
  const owed = await readOwed(options.connectTarget, ["load"]);
  const pool = new RestorePool(options);
  const groups = groupByTable(owed.filter(({ kind }) => kind !== "attach"));
  const attachments = owed.filter(({ kind }) => kind === "attach");
  const begun: Promise<void>[] = [];
  const restore = counting(pool, owed.length, options);
  const begin = (key: string): void => {
    const group = groups.get(key);
    if (!group || !groups.delete(key)) return;
    const running = restoreTable(group, restore);
    running.catch(() => undefined); // finish() is where it is reported
    begun.push(running);
  };
  return {
    tableLoaded: (table) => begin(tableKey(table)),
    async finish() {
      for (const key of [...groups.keys()]) begin(key);
      return closing(pool, async () => {
        await allDone(begun);
        // Their order matters: the lowest indexes of a tree come first.
        for (const attachment of attachments) await restore(attachment);
      });
    },
    stop: () => pool.stop(new Error("restoring was stopped")),
  };
}

/** Brings back all that belongs to the loaded rows: indexes, keys, exclusion constraints, checks. */
export async function restoreLoadStage(options: RestoreOptions): Promise<RestoreResult> {
  return (await startTableRestore(options)).finish();
}

/** Brings the load stage of one table back (with a partition, what can be done without its parent). */
async function restoreTable(group: readonly DeferredDefinition[], restore: Restore): Promise<void> {
  const [builds, rest] = [group.filter(({ kind }) => kind === "index"), group.filter(({ kind }) => kind !== "index")];
  const missing = new Set<string>();
  await allDone(builds.map(async (build) => (await restore(build)) || missing.add(build.objectName)));
  // What hangs on an index that could not be built would only fail as well.
  for (const definition of inKindOrder(rest)) if (!missing.has(definition.objectName)) await restore(definition);
}

/**
 * Brings foreign keys back, before the migration is ready to cut over. Where the target's user may not set
 * session_replication_role there are none in this stage. One that its rows break stays NOT VALID; the cutover tries again.
 */
export async function restoreSyncStage(options: RestoreOptions): Promise<RestoreResult> {
  const pool = new RestorePool(options);
  const owed = await readOwed(options.connectTarget, ["sync"]);
  return closing(pool, () => restoreInOrder(owed, pool, options));
}

/**
 * Brings everything back that is owed, whatever its stage: at the cutover, and when a migration fails or is cancelled.
 * What cannot come back stays recorded with its error and is reported with its statement.
 */
export async function restoreEverything(options: RestoreOptions): Promise<RestoreResult> {
  const load = await restoreLoadStage(options);
  const pool = new RestorePool(options);
  const owed = await readOwed(options.connectTarget, ["sync", "cutover"]);
  const rest = await closing(pool, () => restoreInOrder(owed, pool, options));
  return { restored: load.restored + rest.restored, failures: [...load.failures, ...rest.failures] };
}

async function closing(pool: RestorePool, work: () => Promise<void>): Promise<RestoreResult> {
  try {
    await work();
    return { restored: pool.restored, failures: pool.failures };
  } finally {
    await pool.close();
  }
}

/** Waits for all, also when one fails: nothing may go on behind the caller's back. */
async function allDone(promises: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(promises);
  await Promise.all(promises);
}

type Restore = (definition: DeferredDefinition) => Promise<boolean>;

function counting(pool: RestorePool, total: number, { onProgress }: RestoreOptions): Restore {
  let done = 0;
  return async (definition) => {
    const isBack = await pool.restore(definition);
    onProgress?.(++done, total);
    return isBack;
  };
}

/**
 * Validations only read, and run at once; all else alters tables, one after the other, since two foreign keys between the
 * same tables would wait for each other.
 */
async function restoreInOrder(owed: readonly DeferredDefinition[], pool: RestorePool, options: RestoreOptions): Promise<void> {
  const restore = counting(pool, owed.length, options);
  for (const definition of inKindOrder(owed.filter(({ kind }) => kind === "foreign key"))) await restore(definition);
  await allDone(owed.filter(({ kind }) => kind === "validation").map(restore));
  for (const definition of inKindOrder(owed.filter(({ kind }) => kind !== "foreign key" && kind !== "validation")))
    await restore(definition);
}

const inKindOrder = (definitions: readonly DeferredDefinition[]): DeferredDefinition[] =>
  DEFERRED_KINDS.flatMap((kind) => definitions.filter((definition) => definition.kind === kind));

function groupByTable(definitions: readonly DeferredDefinition[]): Map<string, DeferredDefinition[]> {
  const groups = new Map<string, DeferredDefinition[]>();
  for (const definition of definitions) {
    const group = groups.get(tableKey(definition.table));
    if (group) group.push(definition);
    else groups.set(tableKey(definition.table), [definition]);
  }
  return groups;
}

/** What of the stages is not back yet, in the order of its recording. */
async function readOwed(connectTarget: () => Promise<pg.Client>, stages: readonly Stage[]): Promise<DeferredDefinition[]> {
  const client = await connectTarget();
  try {
    return (await readDeferred(client)).filter(({ stage, isRestored }) => !isRestored && stages.includes(stage));
  } finally {
    await client.end().catch(() => undefined);
  }
}
