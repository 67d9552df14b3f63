import type pg from "pg";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { type Definition, type Stage } from "./deferred-ddl.ts";
import { type DeferralGroup } from "./index-definitions.ts";

interface ConstraintRow {
  readonly schema: string;
  readonly table_name: string;
  readonly is_partitioned: boolean;
  readonly name: string;
  readonly definition: string;
  readonly is_validated: boolean;
  readonly is_enforced: boolean;
  readonly comment: string | null;
}

const constraintsSql = (versionNum: number, condition: string): string => `
  SELECT n.nspname::text AS schema, t.relname::text AS table_name, t.relkind = 'p' AS is_partitioned, k.conname::text AS name,
         pg_get_constraintdef(k.oid) AS definition, k.convalidated AS is_validated,
         ${versionNum >= 180_000 ? "k.conenforced" : "true"} AS is_enforced, obj_description(k.oid, 'pg_constraint') AS comment
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
   WHERE ${condition}
   ORDER BY n.nspname, t.relname, k.conname`;

/** Those of a partition that belong to its parent's come and go with it (conparentid since 11). */
const foreignKeysSql = (versionNum: number): string =>
  constraintsSql(
    versionNum,
    `k.contype = 'f' AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))${versionNum >= 110_000 ? " AND k.conparentid = 0" : ""}`,
  );

/** The foreign keys on and to the tables, from whichever tables. */
export async function foreignKeyGroups(
  client: pg.ClientBase,
  versionNum: number,
  tableOids: readonly number[],
  stage: Stage,
): Promise<DeferralGroup[]> {
  const { rows } = await client.query<ConstraintRow>(foreignKeysSql(versionNum), [tableOids]);
  return rows.map((row) => ({ definitions: foreignKeyDefinitions(row, versionNum, stage), drops: [drop(row)], locks: 4 }));
}

/**
 * Added without a look at the rows, then validated: a row that breaks it on the source as well leaves it NOT VALID instead
 * of away. Before PostgreSQL 18 a partitioned table's can only be added with the look.
 */
function foreignKeyDefinitions(row: ConstraintRow, versionNum: number, stage: Stage): Definition[] {
  const apart = row.is_validated && row.is_enforced && (!row.is_partitioned || versionNum >= 180_000);
  const add = addition(row, stage, "foreign key", apart ? " NOT VALID" : "");
  if (!apart) return [add];
  const restoreSql = `ALTER TABLE ${table(row)} VALIDATE CONSTRAINT ${quoteName(row.name)}`;
  return [add, { ...add, kind: "validation", restoreSql }];
}

/** NOT NULL constraints are objects since 18. */
const unvalidatedSql = (versionNum: number): string =>
  constraintsSql(
    versionNum,
    `k.contype ${versionNum >= 180_000 ? "IN ('c', 'n') AND k.conenforced" : "= 'c'"} AND NOT k.convalidated AND k.coninhcount = 0 AND k.conrelid = ANY ($1::oid[])`,
  );

/**
 * Checks that were never validated: rows of the source may break them, and could not be loaded. (pg_dump makes them after
 * the rows for the same reason.)
 */
export async function unvalidatedCheckGroups(
  client: pg.ClientBase,
  versionNum: number,
  tableOids: readonly number[],
): Promise<DeferralGroup[]> {
  const { rows } = await client.query<ConstraintRow>(unvalidatedSql(versionNum), [tableOids]);
  return rows.map((row) => ({ definitions: [addition(row, "load", "constraint", "")], drops: [drop(row)], locks: 2 }));
}

const table = ({ schema, table_name }: ConstraintRow): string => quoteTable({ schema, name: table_name });

const drop = (row: ConstraintRow): string => `ALTER TABLE ${table(row)} DROP CONSTRAINT ${quoteName(row.name)}`;

function addition(row: ConstraintRow, stage: Stage, kind: Definition["kind"], end: string): Definition {
  const name = quoteName(row.name);
  const comment = row.comment === null ? "" : `;\nCOMMENT ON CONSTRAINT ${name} ON ${table(row)} IS ${quoteLiteral(row.comment)}`;
  return {
    stage,
    kind,
    table: { schema: row.schema, name: row.table_name },
    objectName: row.name,
    restoreSql: `ALTER TABLE ${table(row)} ADD CONSTRAINT ${name} ${row.definition}${end}${comment}`,
  };
}
