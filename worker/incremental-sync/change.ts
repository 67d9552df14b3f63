import { type Tuple } from "./tuple.ts";
import { type SyncTable } from "./sync-table.ts";

/** One change of one row, or a truncation, in the order of the source. */
export type Change =
  | { readonly kind: "insert"; readonly table: SyncTable; readonly row: Tuple }
  | { readonly kind: "update"; readonly table: SyncTable; readonly old: Tuple | undefined; readonly row: Tuple }
  | { readonly kind: "delete"; readonly table: SyncTable; readonly old: Tuple }
  | {
      readonly kind: "truncate";
      /** Emptied as a whole; each table of the target once. */
      readonly tables: readonly SyncTable[];
      /** Partitions whose rows lie among others on the target: rows that fulfil their condition go. */
      readonly partial: readonly SyncTable[];
      readonly cascade: boolean;
      readonly restartIdentity: boolean;
      /** Others that were truncated with these keep their rows, since they were loaded later: CASCADE must not reach them. */
      readonly sparesOthers: boolean;
    };
