/**
 * What a catalog shows of a table's past, to be held against later: some of what is done to a table is not in the stream of its
 * changes. Each part changes exactly when something is done that others cannot be taken for, however the table is vacuumed,
 * truncated or analyzed meanwhile.
 */
export interface TableHistory {
  /** The version of the table's row type in pg_type: another one after RENAME, SET SCHEMA and OWNER TO. */
  readonly name: string;
  /** The TOAST table; ALTER TABLE gives a table that it rewrites a new one, VACUUM FULL and CLUSTER only change what is in it. 0: none. */
  readonly toast: string;
  /** The file of the rows: another one after each rewrite. */
  readonly file: string;
  /** The columns with their types, in whatever order. */
  readonly types: string;
  /** The columns with their numbers: one that is dropped and made again, or takes the name of another, has another number. */
  readonly numbers: string;
  /** The versions of the columns in pg_attribute. */
  readonly columns: string;
}

/** What was done to a table that the stream does not tell. Pure. */
export function untold(then: TableHistory, now: TableHistory): { readonly isRenamed: boolean; readonly isRewritten: boolean } {
  const isNewFile = then.toast === "0" ? then.file !== now.file && then.columns !== now.columns : then.toast !== now.toast;
  // Other names and types show in the stream, and the target's were made to fit.
  const isRewritten = then.types === now.types && (isNewFile || then.numbers !== now.numbers);
  return { isRenamed: then.name !== now.name, isRewritten };
}
