import { quoteName, quoteTable } from "../postgres/quote.ts";
import { type TableName } from "../../contracts/tables.ts";

/** What must be known of a column to write its values alike on both sides. */
export interface ComparedColumn {
  readonly name: string;
  readonly typeOid: number;
  /** The type on the other side of the migration, which is where the values end up. */
  readonly targetTypeOid: number;
}

export interface CompareQuery {
  readonly table: TableName;
  /** A partitioned table holds its rows in its partitions; an ordinary one is read without its children. */
  readonly isPartitioned: boolean;
  /** In the same order on both sides. */
  readonly columns: readonly ComparedColumn[];
  /** One side writes floats as before PostgreSQL 12, the other as since. */
  readonly floatTextDiffers: boolean;
  /** The sides have different encodings: texts are compared by their bytes in UTF-8. */
  readonly encodingDiffers?: boolean;
  /** One side counts bytes where the other counts characters, so that values of char(n) have other blanks at their end. */
  readonly blanksDiffer?: boolean;
}

const BYTEA = 17;
const CHAR = 18;
const XML = 142;
const BPCHAR = 1042;
const TEXTS = new Set([25, BPCHAR, 1043]);
const FLOATS: Readonly<Record<number, string>> = { 700: "float4send", 701: "float8send" };
const FLOAT8 = 701;

/** Types made of floats, with the functions that give their binary form; arrays have one function for all. */
const FLOAT_PARTS: Readonly<Record<number, string>> = {
  600: "point_send",
  601: "lseg_send",
  602: "path_send",
  603: "box_send",
  604: "poly_send",
  628: "line_send",
  718: "circle_send",
  629: "array_send",
  719: "array_send",
  1017: "array_send",
  1018: "array_send",
  1019: "array_send",
  1020: "array_send",
  1021: "array_send",
  1022: "array_send",
  1027: "array_send",
};

/** How the two sides write the same value otherwise. */
type ValueDifferences = Pick<CompareQuery, "floatTextDiffers" | "encodingDiffers" | "blanksDiffer">;

/** Values longer than this are hashed by themselves, so that a row's text stays below the limit of one gigabyte. */
const LONG_VALUE_BYTES = 1_000_000;

/** Rows only. An index-only scan where the table's visibility map allows, else a scan of the whole table. */
export const countSql = ({ table, isPartitioned }: CompareQuery): string =>
  `SELECT count(*)::text AS rows, NULL::text AS checksum FROM ${isPartitioned ? "" : "ONLY "}${quoteTable(table)}`;

/**
 * Rows, and a sum over them that does not depend on their order: 64 bits of each row's md5, added as numerics. The sum tells
 * a doubled row, which an exclusive or would not. Reads the whole table, TOAST included; about one CPU second for each
 * 100 to 200 MB, and the server may take parallel workers for it.
 */
export function checksumSql(query: CompareQuery): string {
  const { table, isPartitioned, columns, encodingDiffers = false } = query;
  const values = columns.map((column) => valueSql(column, query)).join(", ");
  const row = encodingDiffers ? `convert_to(ROW(${values})::text, 'UTF8')` : `ROW(${values})::text`;
  return `SELECT count(*)::text AS rows,
       coalesce(sum(('x' || substr(md5(${row}), 1, 16))::bit(64)::bigint::numeric), 0)::text AS checksum
  FROM ${isPartitioned ? "" : "ONLY "}${quoteTable(table)}`;
}

/** One column's value as a text that is the same on both sides, whatever their versions; NULL stays NULL. */
export function valueSql(column: ComparedColumn, differences: ValueDifferences): string {
  const { floatTextDiffers, encodingDiffers = false, blanksDiffer = false } = differences;
  const type = column.targetTypeOid;
  const value = type === BPCHAR && blanksDiffer ? `rtrim(${operandSql(column)}::text)` : operandSql(column);
  if (type === BYTEA) return `md5(${value})`;
  // The text of "char" values beyond ASCII changed in PostgreSQL 16.
  if (type === CHAR) return `charsend(${value})`;
  // The cast of xml keeps a plain declaration that the output function, and so every way to the target, leaves out (xml.c, xml_out_internal).
  if (type === XML) return `textin(xml_out(${value}))`;
  if (floatTextDiffers && FLOATS[type] !== undefined) return floatSql(value, FLOATS[type]);
  if (floatTextDiffers && FLOAT_PARTS[type] !== undefined) return `${FLOAT_PARTS[type]}(${value})`;
  if (TEXTS.has(type) && encodingDiffers)
    return `CASE WHEN length(${value}) > ${LONG_VALUE_BYTES} THEN md5(convert_to(${value}::text, 'UTF8')) ELSE ${value}::text END`;
  if (TEXTS.has(type)) return `CASE WHEN octet_length(${value}) > ${LONG_VALUE_BYTES} THEN md5(${value}::text) ELSE ${value}::text END`;
  return `${value}::text`;
}

/** Where the target has another type that holds the values' text, the source's text read as that type is what is there. */
function operandSql({ name, typeOid, targetTypeOid }: ComparedColumn): string {
  if (typeOid === targetTypeOid) return quoteName(name);
  return `${quoteName(name)}::text${targetTypeOid === FLOAT8 ? "::float8" : ""}`;
}

/** There are many bit patterns that are no number, and text carries none of them. */
const floatSql = (value: string, send: string): string => `CASE WHEN ${value} = 'NaN' THEN 'NaN' ELSE encode(${send}(${value}), 'hex') END`;
