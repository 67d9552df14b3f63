import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { type TableDefinition } from "./catalog.ts";

/**
 * A publication that has UPDATE and DELETE makes those statements fail, in the user's application, on tables without
 * replica identity. Such tables go into a publication of their own, which has inserts only.
 */
export const insertsPublication = (publication: string): string => `${publication}_inserts`;

export type PublishedTable = Pick<TableDefinition, "schema" | "name" | "identity" | "isUnlogged"> &
  Partial<Pick<TableDefinition, "columns">>;

/**
 * Whether updates may be published with the whole old row. A virtual column cannot be in it, and the source then refuses the
 * updates themselves (publicationcmds.c, pub_contains_invalid_column, since 18).
 */
export const canBeFull = ({ columns = [] }: Pick<PublishedTable, "columns">): boolean =>
  !columns.some(({ isVirtual }) => isVirtual === true);

const hasUsableIdentity = (table: PublishedTable): boolean =>
  table.identity.kind === "key" || (table.identity.kind === "full" && canBeFull(table));

/** Since 18 a whole old row must be published with its generated columns; before, they are never sent. */
const GENERATED_SINCE = 180_000;

const needsGenerated = ({ identity, columns = [] }: PublishedTable): boolean =>
  identity.kind === "full" && columns.some(({ isGenerated }) => isGenerated);

/**
 * Makes sure that the publications exist and hold exactly these tables: leaf partitions and ordinary tables, by name.
 * Must be done before the slot is created, since the plugin looks publications up as they were at each change.
 * @returns the names to subscribe to: one, or two when there are tables without replica identity.
 * @throws MigrationError NoPublicationRight.
 */
export async function ensurePublication(
  source: pg.ClientBase,
  versionNum: number,
  publication: string,
  tables: readonly PublishedTable[],
): Promise<string[]> {
  // Unlogged tables write no WAL, and the server refuses to publish them.
  const logged = tables.filter(({ isUnlogged }) => !isUnlogged);
  const insertsOnly = logged.filter((table) => !hasUsableIdentity(table));
  const whole = logged.filter(hasUsableIdentity);
  const operations = versionNum >= 110_000 ? "insert, update, delete, truncate" : "insert, update, delete";
  const generated = versionNum >= GENERATED_SINCE && whole.some(needsGenerated) ? ", publish_generated_columns = stored" : "";
  await source.query("BEGIN");
  try {
    // A table that changes sides leaves the one with updates first.
    await setTables(source, publication, `publish = ${quoteLiteral(operations)}${generated}`, whole);
    if (insertsOnly.length > 0) await setTables(source, insertsPublication(publication), "publish = 'insert'", insertsOnly);
    else await source.query(`DROP PUBLICATION IF EXISTS ${quoteName(insertsPublication(publication))}`);
    await source.query("COMMIT");
  } catch (thrown) {
    await source.query("ROLLBACK").catch(() => undefined);
    throw publicationError(thrown, publication);
  }
  return insertsOnly.length > 0 ? [publication, insertsPublication(publication)] : [publication];
}

/** Those of the tables that are not in the publication in which their identity belongs. */
export async function unpublished<T extends PublishedTable>(
  source: pg.ClientBase,
  publication: string,
  tables: readonly T[],
): Promise<T[]> {
  const { rows } = await source.query<TableName & { publication: string }>(
    "SELECT pubname::text AS publication, schemaname::text AS schema, tablename::text AS name FROM pg_publication_tables WHERE pubname IN ($1, $2)",
    [publication, insertsPublication(publication)],
  );
  const found = new Map(rows.map((row) => [tableKey(row), row.publication]));
  const belongsTo = (table: T): string => (hasUsableIdentity(table) ? publication : insertsPublication(publication));
  return tables.filter((table) => !table.isUnlogged && found.get(tableKey(table)) !== belongsTo(table));
}

async function setTables(source: pg.ClientBase, name: string, options: string, tables: readonly TableName[]): Promise<void> {
  const list = tables.map((table) => `ONLY ${quoteTable(table)}`).join(", ");
  const { rowCount } = await source.query("SELECT FROM pg_publication WHERE pubname = $1", [name]);
  if (rowCount === 0) {
    await source.query(`CREATE PUBLICATION ${quoteName(name)}${list === "" ? "" : ` FOR TABLE ${list}`} WITH (${options})`);
    return;
  }
  await source.query(`ALTER PUBLICATION ${quoteName(name)} SET (${options})`);
  if (list !== "") await source.query(`ALTER PUBLICATION ${quoteName(name)} SET TABLE ${list}`);
  else await dropAllTables(source, name);
}

/** SET TABLE takes no empty list. */
async function dropAllTables(source: pg.ClientBase, name: string): Promise<void> {
  const { rows } = await source.query<{ schema: string; name: string }>(
    "SELECT schemaname::text AS schema, tablename::text AS name FROM pg_publication_tables WHERE pubname = $1",
    [name],
  );
  if (rows.length === 0) return;
  await source.query(`ALTER PUBLICATION ${quoteName(name)} DROP TABLE ${rows.map((table) => `ONLY ${quoteTable(table)}`).join(", ")}`);
}

/** Makes sure that both publications are gone. */
export async function dropPublication(source: pg.ClientBase, publication: string): Promise<void> {
  await source.query(`DROP PUBLICATION IF EXISTS ${quoteName(publication)}, ${quoteName(insertsPublication(publication))}`);
}

const INSUFFICIENT_PRIVILEGE = "42501";

function publicationError(thrown: unknown, publication: string): unknown {
  if (failureCode(thrown) !== INSUFFICIENT_PRIVILEGE) return thrown;
  return new MigrationError("NoPublicationRight", {
    detail: `Publication ${publication}: ${thrown instanceof Error ? thrown.message : ""}.`,
    sqlState: INSUFFICIENT_PRIVILEGE,
    cause: thrown,
  });
}
