import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { displayName, type TableName } from "../../contracts/tables.ts";
import { failureCode } from "./failures.ts";
import { quoteTable } from "./quote.ts";

/** No encoding at all: the server takes any bytes and converts none. */
export const SQL_ASCII = "SQL_ASCII";

/** The encoding of the session's database. */
export async function readEncoding(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ encoding: string }>("SELECT current_setting('server_encoding') AS encoding");
  return rows[0]?.encoding ?? "";
}

/**
 * The client_encoding of both sides' sessions. UTF8 has every character of every other encoding; a side that knows no
 * characters must give and get its bytes unconverted (pitfalls 73).
 */
export const commonEncoding = (source: string, target: string): string =>
  source === SQL_ASCII || target === SQL_ASCII ? SQL_ASCII : "UTF8";

/** character_not_in_repertoire (bytes that are no text of the encoding) and untranslatable_character (the encoding has none for it). */
const ENCODING_FAILURES = new Set(["22021", "22P05"]);

export const isEncodingFailure = (sqlState: string | undefined): boolean => sqlState !== undefined && ENCODING_FAILURES.has(sqlState);

/** COPY says where it was: `COPY t, line 3` or `COPY t, line 3, column a`, behind which a value may stand. */
const COPY_COLUMN = /, line \d+, column ([^:]+)(?::|$)/;

/** Rows whose text is not valid UTF-8, by the bytes that such text may have (RFC 3629); the server has no function that only asks. */
const NOT_UTF8 = String.raw`'^([\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})*$'`;

/** A text that one of the servers refused as it stands. The bytes themselves are the user's, and are not told. */
export function textNotConvertible(table: TableName, thrown: unknown): MigrationError {
  const where = thrown instanceof Error && "where" in thrown ? String(thrown.where) : "";
  const column = COPY_COLUMN.exec(where)?.[1];
  const sqlState = failureCode(thrown) ?? "";
  return new MigrationError("TextNotConvertible", {
    table: displayName(table),
    detail: `${displayName(table)}${column === undefined ? "" : `, column ${column}`} (SQLSTATE ${sqlState}).`,
    remedy:
      sqlState === "22021"
        ? `Find the rows on the source with SELECT ctid, * FROM ${quoteTable(table)} t WHERE t::text !~ ${NOT_UTF8}; and mend them, or use a target database with ENCODING 'SQL_ASCII'; then start a new migration.`
        : `Mend the text on the source (the target's encoding has no such character), or use a target database with ENCODING 'UTF8'; then start a new migration.`,
    sqlState,
    cause: thrown,
  });
}
