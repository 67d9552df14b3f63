import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";
import { quoteName, quoteTable, quoteLiteral } from "../postgres/quote.ts";
import { typesFit } from "./compare.ts";

/** A column as far as a statement that makes it elsewhere needs to know. */
interface ColumnFacts {
  readonly name: string;
  readonly typeName: string;
  /** Only where it is not the type's own. */
  readonly collation: string | undefined;
  readonly isNotNull: boolean;
  readonly default: string | undefined;
  readonly isGenerated: boolean;
  readonly identity: "" | "a" | "d";
  /**
   * Old rows got a value when the column was added (pg_attribute.atthasmissing), whatever the default is now. Before 11
   * the table was rewritten for it, which nothing tells, so it may always be so.
   */
  readonly hasMissingValue: boolean;
}

/** An enum type that a column has, or the elements of its array. */
interface EnumFacts extends TableName {
  readonly labels: readonly string[];
}

/** What changes of a table's definition are noticed by. */
export interface TableFacts {
  readonly columns: readonly ColumnFacts[];
  readonly enums: readonly EnumFacts[];
}

const columnsSql = (versionNum: number): string => `
  SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS "typeName",
         CASE WHEN a.attcollation <> t.typcollation THEN format('%I.%I', cn.nspname, co.collname) END AS collation,
         a.attnotnull AS "isNotNull", pg_get_expr(d.adbin, d.adrelid) AS "default",
         ${versionNum >= 120_000 ? "a.attgenerated <> ''" : "false"} AS "isGenerated",
         ${versionNum >= 100_000 ? "a.attidentity::text" : "''"} AS identity,
         ${versionNum >= 110_000 ? "a.atthasmissing" : "true"} AS "hasMissingValue"
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

const ENUMS = `
  SELECT n.nspname::text AS schema, t.typname::text AS name,
         (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum e WHERE e.enumtypid = t.oid) AS labels
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
   WHERE t.typtype = 'e' AND EXISTS (
     SELECT FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid
      WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND t.oid IN (c.oid, c.typelem, c.typbasetype))
   ORDER BY 1, 2`;

interface ColumnRow extends Omit<ColumnFacts, "collation" | "default"> {
  readonly collation: string | null;
  readonly default: string | null;
}

/** Reads one table as it is now; undefined when there is none of the name. */
export async function readTableFacts(client: pg.ClientBase, versionNum: number, table: TableName): Promise<TableFacts | undefined> {
  const name = quoteTable(table);
  const { rows } = await client.query<{ exists: boolean }>(`SELECT to_regclass(${quoteLiteral(name)}) IS NOT NULL AS exists`);
  if (rows[0]?.exists !== true) return undefined;
  // Before 9.6 to_regclass takes a cstring, which a parameter is not.
  const fill = (sql: string): string => sql.replaceAll("$1", () => quoteLiteral(name));
  const columns = await client.query<ColumnRow>(fill(columnsSql(versionNum)));
  const enums = await client.query<TableName & { labels: string | null }>(fill(ENUMS));
  return {
    columns: columns.rows.map((row) => ({ ...row, collation: row.collation ?? undefined, default: row.default ?? undefined })),
    enums: enums.rows.map(({ schema, name: type, labels }) => ({
      schema,
      name: type,
      labels: labels === null ? [] : (JSON.parse(labels) as string[]),
    })),
  };
}

/** A statement that brings the target's definition nearer to the source's. */
export interface DefinitionStep {
  readonly sql: string;
  /** Old rows are not touched by it, and nothing can be lost: a column that takes NULL and has no default, a label. */
  readonly isAddition: boolean;
}

export interface FactsPair {
  readonly source: TableFacts;
  readonly target: TableFacts;
  /** Name on the target. */
  readonly table: TableName;
  /** Columns that the source had when the table was loaded. */
  readonly pinned: readonly string[];
}

/**
 * The statements that make a table of the target fit the source's; empty when it fits. Columns that only the target ever
 * had are left alone. Pure.
 */
export function stepsToFit({ source, target, table, pinned }: FactsPair): DefinitionStep[] {
  const here = new Set(source.columns.map(({ name }) => name));
  const there = new Map(target.columns.map((column) => [column.name, column]));
  const added = source.columns.filter(({ name, isGenerated }) => !there.has(name) && !isGenerated);
  const gone = target.columns.filter(({ name }) => !here.has(name) && pinned.includes(name));
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  const [first, second] = [added[0], gone[0]];
  const isRenamed = first && second && added.length === 1 && gone.length === 1 && first.typeName === second.typeName;
  const columns = isRenamed
    ? [must(`${alter} RENAME COLUMN ${quoteName(second.name)} TO ${quoteName(first.name)}`)]
    : [...added.map((column) => addition(alter, column)), ...gone.map(({ name }) => must(`${alter} DROP COLUMN ${quoteName(name)}`))];
  const types = source.columns.flatMap((column) => {
    const found = there.get(column.name);
    if (!found || typesFit(column.typeName, found.typeName)) return [];
    const name = quoteName(column.name);
    return [must(`${alter} ALTER COLUMN ${name} TYPE ${column.typeName} USING ${name}::${column.typeName}`)];
  });
  return [...source.enums.flatMap((type) => missingLabels(type, target.enums)), ...columns, ...types];
}

const must = (sql: string): DefinitionStep => ({ sql, isAddition: false });

function addition(alter: string, column: ColumnFacts): DefinitionStep {
  const { name, typeName, collation, isNotNull, identity, hasMissingValue } = column;
  const words = [
    `${alter} ADD COLUMN ${quoteName(name)} ${typeName}`,
    ...(collation === undefined ? [] : [`COLLATE ${collation}`]),
    ...(identity === "" ? [] : [`GENERATED ${identity === "a" ? "ALWAYS" : "BY DEFAULT"} AS IDENTITY`]),
    ...(column.default === undefined ? [] : [`DEFAULT ${column.default}`]),
    ...(isNotNull && identity === "" ? ["NOT NULL"] : []),
  ];
  const isAddition = !isNotNull && column.default === undefined && identity === "" && !hasMissingValue;
  return { sql: words.join(" "), isAddition };
}

/**
 * Each label after the one that it follows on the source, so that the order is the same. A label that only the target has may
 * be one that the source renamed: were the new name added, old rows would keep the old one.
 */
function missingLabels({ schema, name, labels }: EnumFacts, targets: readonly EnumFacts[]): DefinitionStep[] {
  const found = targets.find((type) => type.schema === schema && type.name === name) ?? targets.find((type) => type.name === name);
  if (!found) return []; // another type there: text, perhaps
  const type = quoteTable(found);
  const known = new Set(found.labels);
  const isGone = found.labels.some((label) => !labels.includes(label));
  return labels.flatMap((label, n) => {
    if (known.has(label)) return [];
    const [before, inPlace] = [labels[n - 1], found.labels[n]];
    if (isGone && labels.length === found.labels.length && inPlace !== undefined && !labels.includes(inPlace))
      return [must(`ALTER TYPE ${type} RENAME VALUE ${quoteLiteral(inPlace)} TO ${quoteLiteral(label)}`)];
    const next = found.labels[0];
    const place = before === undefined ? (next === undefined ? "" : ` BEFORE ${quoteLiteral(next)}`) : ` AFTER ${quoteLiteral(before)}`;
    return [{ sql: `ALTER TYPE ${type} ADD VALUE ${quoteLiteral(label)}${place}`, isAddition: !isGone }];
  });
}
