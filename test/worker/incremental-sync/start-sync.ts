import { randomUUID } from "node:crypto";
import { MigrationError } from "../../../contracts/errors.ts";
import { parseLsn } from "../../../contracts/lsn.ts";
import { tableKey } from "../../../contracts/tables.ts";
import { IncrementalSync, type SyncOptions } from "../../../worker/incremental-sync/sync.ts";
import { type SyncTarget } from "../../../worker/incremental-sync/sync-table.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { isTransient } from "../../../worker/postgres/failures.ts";
import { copiedColumns, readTables } from "../../../worker/source/catalog.ts";
import { changeMigration, readMigration, takeOver } from "../../../worker/target/bookkeeping.ts";
import { type createPair } from "../../setup/databases.ts";

export type Pair = Awaited<ReturnType<typeof createPair>>;

/** A sync on both databases as they are: the slot is made first, so every later change is followed. */
export async function startSync(
  pair: Pair,
  plugin: "pgoutput" | "test_decoding",
  limits = { maxChanges: 20_000, maxBytes: 16 * 1024 * 1024 },
  onOpening: (controller: AbortController) => void = () => undefined,
  {
    beforeIt = () => Promise.resolve(),
    epoch = 1,
    ...more
  }: Partial<SyncOptions> & {
    /** Runs when the slot is there, and before anybody reads it. */
    readonly beforeIt?: () => Promise<unknown>;
    /** Later than 1: a worker was there before. */
    readonly epoch?: number;
  } = {},
) {
  const taskId = randomUUID();
  const slot = `s_${taskId.slice(0, 8)}`;
  const ownership = { taskId, epoch };
  const target = await connect(pair.target.server, { purpose: "test" });
  await takeOver(target, epoch, { taskId, sourceDatabase: pair.source.name, slot, publication: "p", plugin });
  await pair.source.query("CREATE PUBLICATION p FOR ALL TABLES");
  const { rows } = await pair.source.query("SELECT lsn::text AS lsn FROM pg_create_logical_replication_slot($1, $2)", [slot, plugin]);
  const slotLsn = parseLsn(String(rows[0]?.["lsn"]));
  await changeMigration(target, ownership, { slotLsn, position: slotLsn });
  await beforeIt();
  const controller = new AbortController();
  const tables = new Map<string, SyncTarget>(
    (await readTables(target, 170_000)).map((table) => [
      tableKey(table),
      {
        ...table,
        target: table,
        isTargetPartitioned: false,
        targetColumns: new Map(copiedColumns(table).map((column) => [column.name, column])),
        sourceColumns: copiedColumns(table).map(({ name }) => name),
        keyColumns: table.primaryKey,
        snapshotLsn: slotLsn,
        isInsertOnly: false,
      },
    ]),
  );
  const sync = new IncrementalSync({
    source: pair.source.server,
    target: pair.target.server,
    ownership,
    slot,
    publications: () => {
      onOpening(controller);
      return ["p"];
    },
    plugin,
    sourceVersionNum: 130_010,
    clientEncoding: "UTF8",
    canBeReplica: true,
    limits,
    tables: () => Promise.resolve(tables),
    position: async () => {
      const row = await readMigration(target);
      if (row?.epoch !== ownership.epoch) throw new MigrationError("LostOwnership");
      return { position: row.position ?? slotLsn };
    },
    signal: controller.signal,
    onApplied: () => undefined,
    onInterrupted: () => undefined,
    onConnected: () => connections++,
    isRetryable: isTransient,
    ...more,
  });
  let connections = 0;
  const ended = sync.run().catch((thrown: unknown) => thrown);
  return {
    sync,
    target,
    ended,
    connections: () => connections,
    /** Resolves when everything committed so far is on the target; fails when the sync does. */
    async caughtUp() {
      const { rows } = await pair.source.query("SELECT pg_logical_emit_message(true, 'test', '') AS lsn");
      const reached = sync.reached(parseLsn(String(rows[0]?.["lsn"])));
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
