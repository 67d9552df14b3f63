import type pg from "pg";
import { reported, type ReportedError } from "../../contracts/errors.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteName, quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { copiedColumns, readTables, type TableDefinition } from "../source/catalog.ts";
import { unpublished } from "../source/publication.ts";
import { untold } from "../source/table-history.ts";
import { readTargetTables } from "../target/find-targets.ts";
import { type ListedName, readListedNames } from "../target/listed-tables.ts";
import { asPublished, type Prepared } from "../target/prepare.ts";

/**
 * Looks whether the source still has the tables that were listed, and under their names: the changes of a table that was renamed,
 * that another one took the name of, or that is not published any more, may not all be in the stream. Tables that were dropped on
 * both sides leave the migration.
 * @returns what is to be done about the others.
 */
export async function listedErrors(migration: Migration, prepared: Prepared): Promise<ReportedError[]> {
  const { source, target, settings, signal } = migration;
  const [found, { listed, onTarget }] = await withRetry(
    () =>
      Promise.all([
        withConnection(source, { purpose: "listed" }, (client) => readTables(client, prepared.sourceVersionNum)),
        withConnection(target, { purpose: "listed" }, async (client) => {
          const { plain, partitioned } = await readTargetTables(client, prepared.targetVersionNum);
          const onTarget = new Map([...plain, ...partitioned].map((table) => [tableKey(table), table]));
          return { listed: await readListedNames(client), onTarget };
        }),
      ]),
    { signal },
  );
  const { gone, errors } = strayed(listed, found);
  const left = new Set(listed.filter((table) => !gone.includes(table)).map((table) => tableKey(table.target)));
  // Of a partition whose rows lie among others the comparison knows whether they are gone too.
  const isCompared = (table: ListedName): boolean => settings.compareAtCutover !== "none" && left.has(tableKey(table.target));
  const kept = gone.filter((table) => onTarget.has(tableKey(table.target)) && !isCompared(table));
  const dropped = new Set(gone.filter((table) => !kept.includes(table)).map(tableKey));
  if (dropped.size > 0) prepared.tables = prepared.tables.filter((table) => !dropped.has(tableKey(table)));
  const unseen = [...unseenErrors(migration, prepared, listed, found), ...columnErrors(prepared, found, onTarget)];
  if (errors.length + kept.length + unseen.length > 0) return [...errors, ...kept.map(goneError), ...unseen];
  return (await readUnpublished(migration, prepared)).map(unpublishedError);
}

/**
 * Tables that something was done to that is not in the stream. Where all rows are compared at the cutover, the comparison is
 * the better judge; except of a table that writes no WAL any more, which has to be loaded at the cutover.
 */
function unseenErrors(
  { settings }: Migration,
  { tables, row }: Prepared,
  listed: readonly ListedName[],
  found: readonly TableDefinition[],
): ReportedError[] {
  const known = new Map(tables.map((table) => [tableKey(table), table]));
  const byOid = new Map(found.map((table) => [table.oid, table]));
  return listed.flatMap((table) => {
    const itself = byOid.get(table.sourceOid);
    if (!itself || tableKey(itself) !== tableKey(table)) return [];
    if (itself.isUnlogged && known.get(tableKey(table))?.definition.isUnlogged === false) return unseenError(table, "is unlogged now");
    if (settings.compareAtCutover === "checksum" || !table.history || !itself.history) return [];
    const { isRenamed, isRewritten } = untold(table.history, itself.history);
    if (isRewritten) return unseenError(table, "was rewritten by ALTER TABLE (old rows have new values), or had no WAL for a while,");
    // test_decoding tells tables by their names; pgoutput knows them by more.
    if (isRenamed && row.plugin === "test_decoding") return unseenError(table, "had another name, schema or owner for a while");
    return [];
  });
}

/** New columns of the source that the target does not take, which the stream shows only when rows are written. */
function columnErrors(
  { tables }: Prepared,
  found: readonly TableDefinition[],
  onTarget: ReadonlyMap<string, TableDefinition>,
): ReportedError[] {
  const byOid = new Map(found.map((table) => [table.oid, table]));
  return tables.flatMap((table) => {
    const [itself, theirs] = [byOid.get(table.sourceOid), onTarget.get(tableKey(table.target))];
    if (!itself || !theirs) return [];
    const taken = new Set([...table.sourceColumns, ...copiedColumns(theirs).map(({ name }) => name)]);
    const missing = copiedColumns(itself).find(({ name }) => !taken.has(name));
    if (!missing) return [];
    return reported("SourceTableChanged", {
      table: displayName(table),
      detail: `${displayName(table)} has the column ${missing.name} (${missing.typeName}) on the source now, for which the target takes no values.`,
      remedy: "Give the target's table the column as it is on the source, reload the table, then cut over again.",
    });
  });
}

const unseenError = (table: TableName, what: string): ReportedError =>
  reported("SourceTableChanged", {
    table: displayName(table),
    detail: `${displayName(table)} ${what} on the source: not all of its changes are in the stream.`,
    remedy: "Reload the table, then cut over again.",
  });

/** Tables that somebody took out of the publication: since then their changes are not in the stream. */
function readUnpublished({ source, signal }: Migration, { row, tables }: Prepared): Promise<TableName[]> {
  if (row.plugin !== "pgoutput") return Promise.resolve([]);
  // By their names of now, which were looked at before.
  const named = tables.map((table) => ({ ...asPublished(table), schema: table.schema, name: table.name }));
  const read = (client: pg.Client): Promise<TableName[]> => unpublished(client, row.publication, named);
  return withRetry(() => withConnection(source, { purpose: "listed" }, read), { signal });
}

const unpublishedError = (table: TableName): ReportedError =>
  reported("SourceTableChanged", {
    table: displayName(table),
    detail: `${displayName(table)} was taken out of the migration's publication on the source, or has another replica identity now.`,
    remedy: "Reload the table, then cut over again.",
  });

/** Listed tables that are gone on the source, and errors about those that are not what they were. Pure. */
function strayed(
  listed: readonly ListedName[],
  found: readonly Pick<TableDefinition, "schema" | "name" | "oid">[],
): { readonly gone: ListedName[]; readonly errors: ReportedError[] } {
  const byName = new Map(found.map((table) => [tableKey(table), table]));
  const byOid = new Map(found.map((table) => [table.oid, table]));
  const gone: ListedName[] = [];
  const errors: ReportedError[] = [];
  for (const table of listed) {
    const namesake = byName.get(tableKey(table));
    const itself = byOid.get(table.sourceOid);
    if (namesake && namesake === itself) continue;
    if (namesake) errors.push(madeAnewError(table));
    else if (itself) errors.push(renamedError(table, itself));
    else gone.push(table);
  }
  return { gone, errors };
}

const madeAnewError = (table: TableName): ReportedError =>
  reported("SourceTableChanged", {
    table: displayName(table),
    detail: `${displayName(table)} is another table on the source now: it was dropped and made again, or one took the other's name.`,
    remedy: "Reload the table, then cut over again.",
  });

function renamedError(table: TableName, now: TableName): ReportedError {
  const back = { schema: table.schema, name: now.name };
  const statements = [
    ...(now.schema === table.schema ? [] : [`ALTER TABLE ${quoteTable(now)} SET SCHEMA ${quoteName(table.schema)};`]),
    ...(now.name === table.name ? [] : [`ALTER TABLE ${quoteTable(back)} RENAME TO ${quoteName(table.name)};`]),
  ];
  return reported("SourceTableChanged", {
    table: displayName(table),
    detail: `${displayName(table)} is called ${displayName(now)} on the source now.`,
    remedy: `On the source: ${statements.join(" ")} Then reload the table, and cut over again.`,
  });
}

const goneError = (table: ListedName): ReportedError =>
  reported("TableMissingOnSource", {
    table: displayName(table),
    detail: `${displayName(table)}.`,
    remedy: `If it is not needed any more, on the target: DROP TABLE ${quoteTable(table.target)}; then cut over again. Else make it again on the source and reload it.`,
  });
