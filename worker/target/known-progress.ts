import type pg from "pg";
import { formatLsn } from "../../contracts/lsn.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { readLedger, tableLoads } from "../full-load/ledger.ts";
import { type ProgressBoard } from "../progress-board.ts";
import { type MigrationRow } from "./bookkeeping.ts";
import { readCounts } from "./table-rows.ts";

/** Puts on the board how far the workers before had come, and opens it: what is reported from now on only goes forward. */
export async function showKnownProgress(
  board: ProgressBoard,
  target: pg.ClientBase,
  row: MigrationRow,
  tables: readonly TableName[],
): Promise<void> {
  if (row.phase !== "preparing") {
    const loads = tableLoads(await readLedger(target));
    for (const table of tables) {
      const load = loads.get(tableKey(table));
      if (!load) continue;
      board.table(table, {
        state: load.isLoaded ? "COMPLETED" : "BEFORE_LOAD",
        fullLoadRows: load.rows,
        fullLoadBytes: load.bytes,
        fullLoadStartedOn: load.startedOn,
        fullLoadEndedOn: load.isLoaded ? load.endedOn : null,
        lastModifiedTime: load.endedOn,
      });
    }
    await showCounts(board, target);
    board.change({
      initializationCompleted: row.phase !== "loading",
      appliedLsn: row.phase === "loading" || row.position === null ? null : formatLsn(row.position),
    });
  }
  board.open();
}

/** Counters of earlier workers, and of earlier connections, go on from where they were. */
export async function showCounts(board: ProgressBoard, target: pg.ClientBase): Promise<void> {
  for (const { schema, name, ...change } of await readCounts(target)) board.table({ schema, name }, change);
}
