/** A table by its two names, exactly as the catalog has them (no quotes, no folding). */
export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** `schema.name` as the REST API shows it. For people and for the wire, never for SQL. */
export const displayName = ({ schema, name }: TableName): string => `${schema}.${name}`;

/** A key that no two tables share, whatever dots or quotes their names hold. */
export const tableKey = ({ schema, name }: TableName): string => JSON.stringify([schema, name]);

const PART = String.raw`(?:"(?:[^"]|"")+"|[^".]+)`;
const QUALIFIED = new RegExp(`^(?:(${PART})\\.)?(${PART})$`, "s");

const unquoted = (part: string): string => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);

/**
 * Reads a schema-qualified name of the REST API. Names are taken as they are (no folding to lower case); a name that
 * holds a dot is written in double quotes: `public."a.b"`. A name without a schema means the schema `public`.
 * @returns undefined when the text is no table name.
 */
export function parseTableName(text: string): TableName | undefined {
  const match = QUALIFIED.exec(text.trim());
  if (!match) return undefined;
  return { schema: match[1] === undefined ? "public" : unquoted(match[1]), name: unquoted(match[2] ?? "") };
}
