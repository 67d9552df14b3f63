import { type TableName } from "../../contracts/tables.ts";

/** An identifier as SQL takes it, whatever it holds: always quoted, quotes doubled. */
export const quoteName = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A table as SQL takes it. */
export const quoteTable = ({ schema, name }: TableName): string => `${quoteName(schema)}.${quoteName(name)}`;

/** A text literal. Backslashes force the E form, so the result is right whatever standard_conforming_strings says. */
export function quoteLiteral(text: string): string {
  const doubled = text.replaceAll("'", "''");
  return doubled.includes("\\") ? `E'${doubled.replaceAll("\\", "\\\\")}'` : `'${doubled}'`;
}

/** A column list as SQL takes it. */
export const quoteNames = (names: readonly string[]): string => names.map(quoteName).join(", ");
