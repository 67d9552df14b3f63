import { type Lsn } from "../../contracts/lsn.ts";
import { type TableName } from "../../contracts/tables.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteLiteral, quoteTable } from "../postgres/quote.ts";

/** A snapshot of the source that is on offer while its exporter lives. */
export interface LoadSnapshot {
  readonly name: string;
  readonly lsn: Lsn;
  readonly isAlive: () => boolean;
}

/** Begins a transaction of the source in an exported snapshot. */
export const beginInSnapshotSql = ({ name }: LoadSnapshot): string =>
  `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ${quoteLiteral(name)}`;

/** 22023 until PostgreSQL 16, 42704 since 17, 55000 when its exporter has just ended. */
const UNKNOWN_SNAPSHOT = new Set(["22023", "42704", "55000"]);

/** Whether a server says that it does not know the snapshot. */
export const isSnapshotUnknown = (thrown: unknown): boolean => UNKNOWN_SNAPSHOT.has(failureCode(thrown) ?? "");

/**
 * Two statements: one locks a table against being rewritten while it is read, the other gives one row, with the number of the
 * table's file, unless it was since the snapshot. pg_class shows the file of the snapshot's time, pg_relation_filenode that of now. A rewritten table may look
 * empty to an older snapshot (manual, 13.6 "Caveats"), and its rows have other addresses.
 */
export function lockUnrewrittenSql(table: TableName): string {
  const name = quoteTable(table);
  return `LOCK TABLE ONLY ${name} IN ACCESS SHARE MODE;
     SELECT relfilenode FROM pg_class WHERE oid = ${quoteLiteral(name)}::regclass AND relfilenode = pg_relation_filenode(oid)`;
}
