import type pg from "pg";
import { tableKey } from "../../contracts/tables.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteName, quoteTable } from "../postgres/quote.ts";
import { type Server } from "../postgres/server.ts";
import { readDeferred } from "../schema/deferred-ddl.ts";
import { type TableDefinition } from "../source/catalog.ts";
import { type LedgerPart } from "./ledger.ts";
import { type PartRange } from "./part-range.ts";
import { integerKey, type LoadPlan, type LoadTable, type TablePlan } from "./plan.ts";

/**
 * Finds the tables, by tableKey, whose parts may be of several snapshots: the sync then applies a change by the part that its
 * key lies in. That is safe only where every row's part can be told from each change and parts cannot come into each other's way
 * by another unique key: one of a later moment may hold a value that one of an earlier moment still has.
 */
export async function findMixable(
  plan: LoadPlan,
  ledger: readonly LedgerPart[],
  { source, target }: { readonly source: Server; readonly target: pg.ClientBase },
): Promise<ReadonlySet<string>> {
  const loaded = new Map<string, LedgerPart[]>();
  for (const part of ledger) if (part.isDone) loaded.set(tableKey(part), [...(loaded.get(tableKey(part)) ?? []), part]);
  // Where something is loaded its parts count, and not those that would be planned now.
  const partsOf = ({ table, parts }: TablePlan): readonly { range: PartRange }[] => loaded.get(tableKey(table)) ?? parts;
  const candidates = plan.filter((table) => isToldByKey(table.table, partsOf(table)) && isAlone(table, plan)).map(({ table }) => table);
  if (candidates.length === 0) return new Set();
  const unrewritten = await withoutRewritten(source, candidates, loaded);
  return new Set((await withoutOtherKeys(target, unrewritten)).map(tableKey));
}

/** The parts are ranges of a key that every change names, and nothing of the table is missing from the stream. */
function isToldByKey({ definition, sourceColumns }: LoadTable, parts: readonly { readonly range: PartRange }[]): boolean {
  const { identity, primaryKey, isUnlogged, isKeyDeferrable, hasOtherUniqueKeys } = definition;
  if (isUnlogged || isKeyDeferrable === true || hasOtherUniqueKeys === true) return false;
  const key = integerKey(definition);
  // A generated column is in no change.
  if (key === undefined || !sourceColumns.includes(key)) return false;
  if (!parts.every(({ range }) => range.kind === "key" && range.column === key)) return false;
  return identity.kind === "full" || (identity.kind === "key" && identity.columns.join("\0") === primaryKey.join("\0"));
}

const isAlone = ({ table }: TablePlan, plan: LoadPlan): boolean =>
  !table.isTargetPartitioned && plan.filter((other) => tableKey(other.table.target) === tableKey(table.target)).length === 1;

/**
 * What is loaded must be of the table's present file: no change tells what TRUNCATE and ALTER TABLE do to rows. The table is
 * looked for by its name, as the load does: another one may have taken it.
 */
async function withoutRewritten(
  source: Server,
  tables: readonly LoadTable[],
  loaded: ReadonlyMap<string, readonly LedgerPart[]>,
): Promise<readonly LoadTable[]> {
  const begun = tables.filter((table) => loaded.has(tableKey(table)));
  if (begun.length === 0) return tables;
  const { rows } = await withConnection(source, { purpose: "plan" }, (client) =>
    client.query<{ at: number; file: number }>(
      `SELECT n::int AS at, c.relfilenode AS file FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t(schema, name, n)
         JOIN pg_namespace s ON s.nspname = t.schema JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.name`,
      [begun.map(({ schema }) => schema), begun.map(({ name }) => name)],
    ),
  );
  const files = new Map(rows.map(({ at, file }) => [begun[at - 1], file]));
  const isUnrewritten = (table: LoadTable): boolean =>
    (loaded.get(tableKey(table)) ?? []).every(({ sourceFile }) => sourceFile === files.get(table));
  return tables.filter(isUnrewritten);
}

/** The target has, now or once its definitions are back, no other unique key than the source's primary key. */
async function withoutOtherKeys(target: pg.ClientBase, tables: readonly LoadTable[]): Promise<LoadTable[]> {
  const { rows } = await target.query<{ at: number; sql: string }>(
    `SELECT n::int AS at, pg_get_indexdef(i.indexrelid) AS sql FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n)
       JOIN pg_index i ON i.indrelid = t.name::regclass AND (i.indisunique OR i.indisexclusion)`,
    [tables.map((table) => quoteTable(table.target))],
  );
  const owed = (await readDeferred(target)).filter(({ isRestored }) => !isRestored);
  return tables.filter((table, at) => {
    const keys = rows.filter((row) => row.at === at + 1).map(({ sql }) => sql);
    const later = owed.filter((definition) => tableKey(definition.table) === tableKey(table.target)).map(({ restoreSql }) => restoreSql);
    return [...keys, ...later.filter((sql) => MAKES_KEY.test(sql))].every((sql) => isKeyOf(table.definition, sql));
  });
}

/**
 * Constraints get their indexes by statements of their own, which may begin with their tablespace; exclusion constraints, and some
 * keys, are made whole. A name that looks so does no harm.
 */
const MAKES_KEY = /^CREATE UNIQUE|\bEXCLUDE\b|\b(PRIMARY KEY|UNIQUE)\b(?! USING INDEX\b)/m;

/** Whether the statement is that of the primary key, as the server has it: what looks otherwise counts as another key. */
function isKeyOf({ primaryKey }: TableDefinition, sql: string): boolean {
  const columns = plain(primaryKey.map(quoteName).join(", "));
  const isIndex = /^CREATE UNIQUE INDEX/m.test(sql) && plain(sql).includes(` USING btree (${columns})`);
  return isIndex || plain(sql).includes(` PRIMARY KEY (${columns})`);
}

/** Without the quotes of names that need none, unless they are keywords: then PostgreSQL has them. */
const plain = (sql: string): string => sql.replace(/"([a-z_][a-z0-9_]*)"/g, "$1");
