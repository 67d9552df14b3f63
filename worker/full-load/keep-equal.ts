import type pg from "pg";
import { formatLsn } from "../../contracts/lsn.ts";
import { type Comparison } from "../../contracts/reports.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { compareTables } from "../cutover/compare.ts";
import { passing } from "../fault-points.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";
import { enterKept, readLedger } from "./ledger.ts";
import { SnapshotLost } from "./snapshot-lost.ts";
import { type LoadSnapshot } from "./snapshot-session.ts";

/** Tables that are compared at once; each takes one session on either side. */
const CONNECTIONS = 4;

/** So many tables are looked into with one statement. */
const TABLES_PER_QUERY = 200;

export interface KeepOptions {
  /** The tables that the load is going to have. */
  readonly tables: readonly ListedTable[];
  readonly snapshot: LoadSnapshot;
  /** Keys of tables that were found to differ, under this snapshot or one before: they are loaded, and added here. */
  readonly different: Set<string>;
  /** Whether the snapshot is young enough for another table. */
  readonly mayBegin: () => boolean;
  readonly signal: AbortSignal;
}

/**
 * Finds the tables whose target holds exactly the rows that the source has in the snapshot, by their number and a checksum
 * over all that is migrated of them, and enters them into the ledger as loaded under it. All others stay to be loaded.
 *
 * It asks the rows alone, whoever wrote them and whenever. A table that shares its target with others is always loaded.
 * @throws SnapshotLost when tables are left that could not be compared under this snapshot.
 */
export async function keepEqualTables(migration: Migration, prepared: Prepared, options: KeepOptions): Promise<void> {
  const { source, target, ownership, board, log } = migration;
  const { snapshot, different, mayBegin, signal } = options;
  const tables = await withRetry(
    () => withConnection(target, { purpose: "compare" }, (client) => comparable(client, options.tables, different)),
    { signal },
  );
  let compared = 0;
  const settle = async (table: ListedTable, { equal, sourceRows }: Comparison): Promise<void> => {
    board.change({ step: `comparing tables with the source (${++compared} of ${tables.length})` });
    if (!equal) return void different.add(tableKey(table));
    await withRetry(
      () =>
        withConnection(target, { purpose: "compare" }, async (client) => {
          await inOwnedTransaction(client, ownership, () => enterKept(client, table, { lsn: snapshot.lsn, rows: sourceRows }));
          await passing("table-kept");
        }),
      { signal },
    );
    showKept(migration, table, Number(sourceRows));
  };
  await compareTables({
    ...{ source, target, snapshot, mayBegin, signal, clientEncoding: prepared.clientEncoding },
    tables: tables.map((table) => ({ ...table, columns: loadedColumns(table) })),
    mode: "checksum",
    connections: CONNECTIONS,
    onTable: settle,
  });
  log.info(
    { event: "load.kept", lsn: formatLsn(snapshot.lsn), compared, different: different.size },
    "tables were compared with the source",
  );
  if (compared < tables.length) throw new SnapshotLost(`${tables.length - compared} tables are to be compared under another snapshot`);
}

/** Tables of which nothing is loaded yet, and that hold rows: what is empty is as soon loaded as compared. */
async function comparable(client: pg.ClientBase, tables: readonly ListedTable[], different: ReadonlySet<string>): Promise<ListedTable[]> {
  const begun = new Set((await readLedger(client)).map(tableKey));
  const candidates = tables.filter((table) => !table.isTargetShared && !begun.has(tableKey(table)) && !different.has(tableKey(table)));
  const filled: ListedTable[] = [];
  for (let at = 0; at < candidates.length; at += TABLES_PER_QUERY)
    filled.push(...(await withRows(client, candidates.slice(at, at + TABLES_PER_QUERY))));
  return filled;
}

async function withRows(client: pg.ClientBase, tables: readonly ListedTable[]): Promise<ListedTable[]> {
  const asks = tables.map(
    ({ target, isTargetPartitioned }, at) =>
      `SELECT ${at} AS at WHERE EXISTS (SELECT FROM ${isTargetPartitioned ? "" : "ONLY "}${quoteTable(target)})`,
  );
  const { rows } = await client.query<{ at: number }>(asks.join(" UNION ALL "));
  return rows.flatMap(({ at }) => tables[at] ?? []);
}

/** What a load would copy. */
const loadedColumns = ({ definition, sourceColumns }: ListedTable): ListedTable["definition"]["columns"] =>
  definition.columns.filter(({ name, isGenerated }) => sourceColumns.includes(name) && !isGenerated);

function showKept({ board, log }: Migration, table: ListedTable, rows: number): void {
  const endedOn = new Date().toISOString();
  board.table(table, { state: "COMPLETED", fullLoadRows: rows, fullLoadBytes: 0, fullLoadEndedOn: endedOn, lastModifiedTime: endedOn });
  log.info({ event: "load.table.kept", table: displayName(table), rows }, "the table equals the source and is kept");
}
