import { type DefinitionDifference } from "../../contracts/reports.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { quoteName, quoteNames, quoteTable } from "../postgres/quote.ts";
import { compareDefinitions } from "../schema/compare-definitions.ts";
import { compareTables, sayDifference } from "../schema/compare.ts";
import { type TableDefinition } from "../source/catalog.ts";
import { listed, type FindingDraft, type MigrationContext, type PairCheck } from "./check.ts";
import { notOwned } from "./source-tables.ts";

/** The tables of the target that rows go to, each once. */
function ownTargetTables(context: MigrationContext): TableDefinition[] {
  return [...new Set([...context.targets.values()].map(({ definition }) => definition))];
}

const definitionsOf = ({ targets }: MigrationContext): ReadonlyMap<string, TableDefinition> =>
  new Map([...targets].map(([key, { definition }]) => [key, definition]));

/** The source's tables by the oid of the target's table that takes their rows. */
function sourcesByTarget({ tables, targets }: MigrationContext): Map<number, TableDefinition[]> {
  const sources = new Map<number, TableDefinition[]>();
  for (const table of tables) {
    const oid = targets.get(tableKey(table))?.definition.oid;
    if (oid !== undefined) sources.set(oid, [...(sources.get(oid) ?? []), table]);
  }
  return sources;
}

/**
 * With migrateSchema the schema is made when none of the tables is there, and taken as it is when all are. Some of them
 * is neither: a dump would fail at the first that exists.
 */
const missing: PairCheck = {
  kind: "TableMissingOnTarget",
  scope: "both",
  run(context) {
    const { tables, schemaIsOurs, settings } = context;
    const absent = compareTables(tables, definitionsOf(context)).missing;
    if (absent.length === 0 || (schemaIsOurs && absent.length === tables.length)) return Promise.resolve([]);
    if (!settings.migrateSchema) return Promise.resolve(absent.map((table) => ({ table, detail: "it is missing." })));
    const remedy = "Empty the target database to have the whole schema made, or restore what is missing by hand.";
    return Promise.resolve([{ detail: `Some selected tables exist there, others do not: ${listed(absent.map(displayName))}.`, remedy }]);
  },
};

const columns: PairCheck = {
  kind: "ColumnMissingOnTarget",
  scope: "both",
  async run(context) {
    const drafts = compareTables(context.tables, definitionsOf(context)).different.map(({ table, differences }): FindingDraft => ({
      table,
      detail: `${listed(differences.map(sayDifference))}.`,
    }));
    return [...drafts, ...(await unfillableColumns(context))];
  },
};

/** Columns that only the target has, that take no NULL and have no default: no row of the source can fill them. */
async function unfillableColumns(context: MigrationContext): Promise<FindingDraft[]> {
  const { target } = context;
  const own = new Map(ownTargetTables(context).map((table) => [table.oid, table]));
  const sources = sourcesByTarget(context);
  const { rows } = await target.client.query<{ oid: number; name: string }>(
    `SELECT attrelid AS oid, attname::text AS name FROM pg_attribute
      WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef
        ${target.versionNum >= 100_000 ? "AND attidentity = ''" : ""}
      ORDER BY attrelid, attnum`,
    [[...own.keys()]],
  );
  return rows.flatMap(({ oid, name }) => {
    const table = own.get(oid);
    const isFilled = (sources.get(oid) ?? []).every((source) => source.columns.some((column) => column.name === name));
    if (!table || isFilled) return [];
    const remedy = `ALTER TABLE ${quoteTable(table)} ALTER COLUMN ${quoteName(name)} DROP NOT NULL; or give it a default.`;
    return [{ table, detail: `the target's column ${name} is NOT NULL without a default, and the source has no such column.`, remedy }];
  });
}

/** So many tables are looked into with one statement. */
const TABLES_PER_QUERY = 200;

const notEmpty: PairCheck = {
  kind: "TargetTableNotEmpty",
  scope: "both",
  async run(context) {
    if (context.settings.onExistingRows !== "refuse") return [];
    const own = ownTargetTables(context);
    const full: TableDefinition[] = [];
    for (let at = 0; at < own.length; at += TABLES_PER_QUERY)
      full.push(...(await tablesWithRows(context, own.slice(at, at + TABLES_PER_QUERY))));
    return full.map((table) => ({
      table,
      detail: "it has rows.",
      remedy: `TRUNCATE ${quoteTable(table)}; on the target, or set migrationSetting.onExistingRows to truncate, append or keepEqual.`,
    }));
  },
};

async function tablesWithRows(
  { target: { client }, targets }: MigrationContext,
  tables: readonly TableDefinition[],
): Promise<TableDefinition[]> {
  const isPartitioned = new Set([...targets.values()].flatMap((found) => (found.isPartitioned ? [found.definition] : [])));
  const asks = tables.map(
    (table, at) => `SELECT ${at} AS at WHERE EXISTS (SELECT FROM ${isPartitioned.has(table) ? "" : "ONLY "}${quoteTable(table)})`,
  );
  const { rows } = await client.query<{ at: number }>(asks.join(" UNION ALL "));
  return rows.flatMap(({ at }) => tables[at] ?? []);
}

const owner: PairCheck = {
  kind: "NotOwnerOnTarget",
  scope: "both",
  async run(context) {
    const foreign = await notOwned(context.target, ownTargetTables(context));
    return foreign.map((table) => ({
      table,
      detail: `${context.target.role} is not its owner.`,
      remedy: `ALTER TABLE ${quoteTable(table)} OWNER TO ${quoteName(context.target.role)};`,
    }));
  },
};

/**
 * Policies that bind even the owner (FORCE ROW LEVEL SECURITY) would refuse rows, or the whole COPY. With migrateSchema the
 * source's tables tell what the target's will be like.
 */
const rowSecurity: PairCheck = {
  kind: "NoTargetRight",
  scope: "both",
  async run(context) {
    const { target } = context;
    const bound = context.schemaIsOurs ? await forcedOnSource(context) : await boundOnTarget(context);
    const role = quoteName(target.role);
    return bound.map((table) => ({
      table,
      detail: `its policies bind ${target.role}.`,
      remedy: `ALTER ROLE ${role} BYPASSRLS; or ALTER TABLE ${quoteTable(table)} NO FORCE ROW LEVEL SECURITY; until after the cutover.`,
    }));
  },
};

async function boundOnTarget(context: MigrationContext): Promise<TableDefinition[]> {
  const own = ownTargetTables(context).filter(({ hasRowSecurity }) => hasRowSecurity);
  const { rows } = await context.target.client.query<{ oid: number }>(
    "SELECT o AS oid FROM unnest($1::oid[]) o WHERE row_security_active(o)",
    [own.map(({ oid }) => oid)],
  );
  return own.filter(({ oid }) => rows.some((row) => row.oid === oid));
}

async function forcedOnSource({ source, target, tables }: MigrationContext): Promise<TableDefinition[]> {
  const secured = tables.filter(({ hasRowSecurity }) => hasRowSecurity); // none before 9.5, which has no such column
  if (secured.length === 0) return [];
  const { rowCount } = await target.client.query("SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)");
  if (rowCount === 1) return [];
  const { rows } = await source.client.query<{ oid: number }>(
    "SELECT oid FROM pg_class WHERE oid = ANY ($1::oid[]) AND relforcerowsecurity",
    [secured.map(({ oid }) => oid)],
  );
  return secured.filter(({ oid }) => rows.some((row) => row.oid === oid));
}

/**
 * A key of a partition tells the rows of that partition apart. Where rows of several come together, the target's own key
 * must hold the same columns or fewer: else a change could find the row of another partition.
 */
const keys: PairCheck = {
  kind: "TargetKeyMissing",
  scope: "both",
  run(context) {
    const sources = sourcesByTarget(context);
    const drafts = ownTargetTables(context).flatMap((table): FindingDraft[] => {
      const partitions = sources.get(table.oid) ?? [];
      const wanted = partitions.find(({ identity }) => identity.kind === "key" && !isKeyWithin(table.primaryKey, identity.columns));
      if (partitions.length < 2 || wanted?.identity.kind !== "key") return [];
      const remedy = `On the target: ALTER TABLE ${quoteTable(table)} ADD PRIMARY KEY (${quoteNames(wanted.identity.columns)}); or cut it as the source does.`;
      return [{ table, detail: `${partitions.length} partitions of the source go to it.`, remedy }];
    });
    return Promise.resolve(drafts);
  },
};

const isKeyWithin = (key: readonly string[], columns: readonly string[]): boolean =>
  key.length > 0 && key.every((name) => columns.includes(name));

/** What of a table is compared before the load: the rest comes with the cutover's report. */
const COMPARED_KINDS = ["column", "constraint", "index"];

/** A schema that the user brought may lack on purpose what slows the load down: told, with the source's words, and no more. */
const definitions: PairCheck = {
  kind: "TargetDefinitionsDiffer",
  scope: "both",
  async run({ source, target, tables, targets, schemaIsOurs }) {
    const sameNames = tables.filter((table) => isSameTable(table, targets)).map(displayName);
    if (schemaIsOurs || sameNames.length === 0) return [];
    const report = await compareDefinitions({
      source: source.client,
      target: target.client,
      onlyTables: sameNames,
      withReplicaIdentity: false,
      kinds: COMPARED_KINDS,
    });
    const count = report.missing + report.different;
    const shown = report.differences.filter((difference) => difference.source !== null).slice(0, DIFFERENCES_SHOWN_MAX);
    if (count === 0) return [];
    const more = count > shown.length ? `; and ${count - shown.length} more` : "";
    return [{ detail: `${shown.map(sayDefinitionDifference).join("; ")}${more}.` }];
  },
};

const DIFFERENCES_SHOWN_MAX = 10;

function isSameTable(table: TableDefinition, targets: MigrationContext["targets"]): boolean {
  const found = targets.get(tableKey(table))?.definition;
  return found !== undefined && tableKey(found) === tableKey(table);
}

const sayDefinitionDifference = ({ kind, name, source, target }: DefinitionDifference): string =>
  `${kind} ${name}: ${target === null ? `missing on the target (${source ?? ""})` : `${source ?? ""} on the source, ${target} on the target`}`;

/** What the selected tables must be like on the target. The owner comes first: the others read the rows. */
export const targetTableChecks: readonly PairCheck[] = [missing, columns, keys, definitions, owner, rowSecurity, notEmpty];
