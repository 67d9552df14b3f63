import { type Tuple } from "./tuple.ts";
import { type SyncTable } from "./sync-table.ts";

/** One change of one row, or a truncation, in the order of the source. */
export type Change =
  | { readonly kind: "insert"; readonly table: SyncTable; readonly row: Tuple }
  | { readonly kind: "update"; readonly table: SyncTable; readonly old: Tuple | undefined; readonly row: Tuple }
  | { readonly kind: "delete"; readonly table: SyncTable; readonly old: Tuple }
  | {
      readonly kind: "truncate";
      readonly tables: readonly SyncTable[];
      readonly cascade: boolean;
      readonly restartIdentity: boolean;
      /** Others that were truncated with these keep their rows, since they were loaded later: CASCADE must not reach them. */
      readonly sparesOthers: boolean;
    };
