/** A quoted identifier, or a string, as quote.ts writes them. */
const QUOTED = /"(?:[^"]|"")*"|E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'/gs;

const IS_ASCII = /^\p{ASCII}*$/u;

/**
 * The same statement in ASCII alone, for a session whose client_encoding is not that of our texts: names become U&"…" and
 * strings E'…' with escapes (manual, 4.1.2.3 and 4.1.2.2). For statements of our own, in which only quoted names and strings
 * are not ASCII.
 */
export const asciiSql = (sql: string): string =>
  IS_ASCII.test(sql) ? sql : sql.replaceAll(QUOTED, (quoted) => (IS_ASCII.test(quoted) ? quoted : escaped(quoted)));

function escaped(quoted: string): string {
  if (quoted.startsWith('"')) return `U&${escapedCharacters(quoted.replaceAll("\\", "\\\\"), (hex) => `\\+${hex.padStart(6, "0")}`)}`;
  const text = quoted.startsWith("E") ? quoted : `E${quoted.replaceAll("\\", "\\\\")}`;
  return escapedCharacters(text, (hex) => `\\U${hex.padStart(8, "0")}`);
}

const escapedCharacters = (text: string, escape: (hex: string) => string): string =>
  text.replaceAll(/\P{ASCII}/gu, (character) => escape((character.codePointAt(0) ?? 0).toString(16)));
