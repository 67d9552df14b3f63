import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { quoteLiteral } from "../postgres/quote.ts";
import { requireOwnership, type Ownership } from "../target/ownership.ts";

/**
 * When a definition comes back. `load`: as its table is loaded. `sync`: before the migration is ready to cut over.
 * `cutover`: when the application may write.
 */
export type Stage = "load" | "sync" | "cutover";

/**
 * What a record is about; within a stage the kinds come back in this order.
 * - index: CREATE INDEX, also for keys; any number at once, also on one table (SHARE lock).
 * - constraint: what makes the index a key, exclusion constraints, checks; one after the other on a table (ACCESS EXCLUSIVE).
 * - parent: index or constraint of a partitioned table, still without its partitions.
 * - attributes: marks and comments of an index.
 * - attach: puts an index of a partition under its parent's.
 */
export const DEFERRED_KINDS = [
  "index",
  "constraint",
  "parent",
  "attributes",
  "attach",
  "foreign key",
  "validation",
  "identity",
  "rule",
  "trigger",
] as const;
export type DeferredKind = (typeof DEFERRED_KINDS)[number];

/** One definition that was taken away, with the statement (or statements) that bring it back. */
export interface Definition {
  readonly stage: Stage;
  readonly kind: DeferredKind;
  readonly table: TableName;
  readonly objectName: string;
  readonly restoreSql: string;
}

/** A definition as pgdms.deferred_ddl has it. */
export interface DeferredDefinition extends Definition {
  readonly id: string;
  readonly isRestored: boolean;
}

interface Row {
  readonly id: string;
  readonly stage: Stage;
  readonly kind: DeferredKind;
  readonly schema_name: string;
  readonly table_name: string;
  readonly object_name: string;
  readonly restore_sql: string;
  readonly is_restored: boolean;
}

/** Everything that was ever recorded, in the order in which it was. */
export async function readDeferred(client: pg.ClientBase): Promise<DeferredDefinition[]> {
  const { rows } = await client.query<Row>(
    "SELECT id, stage, kind, schema_name, table_name, object_name, restore_sql, is_restored FROM pgdms.deferred_ddl ORDER BY id",
  );
  return rows.map((row) => ({
    id: row.id,
    stage: row.stage,
    kind: row.kind,
    table: { schema: row.schema_name, name: row.table_name },
    objectName: row.object_name,
    restoreSql: row.restore_sql,
    isRestored: row.is_restored,
  }));
}

/** The identity of a definition: a table cannot have two of one kind and name. */
export const definitionKey = ({ kind, table, objectName }: Definition): string => `${kind} ${tableKey(table)} ${objectName}`;

/** Writes definitions down; inside the transaction that takes them away. */
export async function recordDefinitions(client: pg.ClientBase, definitions: readonly Definition[]): Promise<void> {
  const column = (value: (definition: Definition) => string): string[] => definitions.map(value);
  await client.query(
    `INSERT INTO pgdms.deferred_ddl (stage, kind, schema_name, table_name, object_name, restore_sql)
     SELECT d.stage, d.kind, d.schema_name, d.table_name, d.object_name, d.restore_sql
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
            AS d(stage, kind, schema_name, table_name, object_name, restore_sql, position)
      ORDER BY d.position`,
    [
      column(({ stage }) => stage),
      column(({ kind }) => kind),
      column(({ table }) => table.schema),
      column(({ table }) => table.name),
      column(({ objectName }) => objectName),
      column(({ restoreSql }) => restoreSql),
    ],
  );
}

/**
 * Brings one definition back and marks it, in one transaction. The owner is asked last: an index build may take hours, and
 * a worker that takes over must not wait for the lock of one that is gone.
 * @throws what the statement throws (nothing is left of it then), or MigrationError LostOwnership.
 */
export async function restoreDefinition(
  client: pg.ClientBase,
  ownership: Ownership,
  { id, restoreSql }: DeferredDefinition,
): Promise<void> {
  try {
    // One round trip: there may be very many of them.
    const mark = `UPDATE pgdms.deferred_ddl SET is_restored = true, error = NULL WHERE id = ${quoteLiteral(id)}`;
    await client.query(`BEGIN;\n${restoreSql};\n${mark}`);
    await requireOwnership(client, ownership);
    await client.query("COMMIT");
    await passing("constraints-half-restored");
  } catch (thrown) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw thrown;
  }
}

/**
 * Notes why a definition could not be brought back.
 * @returns false when it is back: the answer to an earlier COMMIT was lost, and what failed was only doing it twice.
 */
export async function recordFailure(client: pg.ClientBase, { id }: DeferredDefinition, error: string): Promise<boolean> {
  const { rowCount } = await client.query("UPDATE pgdms.deferred_ddl SET error = $2 WHERE id = $1 AND NOT is_restored", [id, error]);
  return rowCount === 1;
}
