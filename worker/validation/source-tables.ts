import { quoteName, quoteTable } from "../postgres/quote.ts";
import { type TableDefinition } from "../source/catalog.ts";
import { canBeFull } from "../source/publication.ts";
import { listed, type End, type FindingDraft, type MigrationContext, type PairCheck } from "./check.ts";

const oidsOf = (tables: readonly TableDefinition[]): number[] => tables.map(({ oid }) => oid);

const byOid = (tables: readonly TableDefinition[]): ReadonlyMap<number, TableDefinition> =>
  new Map(tables.map((table) => [table.oid, table]));

const missing: PairCheck = {
  kind: "TableMissingOnSource",
  scope: "both",
  run({ unknownTables, tables, settings: { includeTables, excludeTables } }) {
    if (unknownTables.length > 0) return Promise.resolve([{ detail: `Nothing fits: ${listed(unknownTables)}.` }]);
    const isLimited = includeTables.length > 0 || excludeTables.length > 0;
    return Promise.resolve(tables.length === 0 && isLimited ? [{ detail: "The selection leaves no table." }] : []);
  },
};

/** The wording of what happens to a table without a usable replica identity, by setting. */
const identity: PairCheck = {
  kind: "NoReplicaIdentity",
  scope: "both",
  alsoFinds: ["TableInsertsOnly", "ReplicaIdentityWillBeFull"],
  async run({ source, tables, settings, plugin }) {
    const without = tables.filter((table) => table.identity.kind === "nothing" && !table.isUnlogged);
    const becomesFull = settings.tablesWithoutKey === "replicaIdentityFull";
    const unpublishable = tables.filter(
      (table) => plugin === "pgoutput" && !canBeFull(table) && (table.identity.kind === "full" || (becomesFull && without.includes(table))),
    );
    if (unpublishable.length > 0) return unpublishable.map(virtualFinding);
    switch (settings.tablesWithoutKey) {
      case "refuse":
        return without.map((table) => ({
          table,
          detail: "it has no primary key, no other usable identity.",
          remedy: `Add a primary key, or ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL; or set migrationSetting.tablesWithoutKey to insertsOnly or replicaIdentityFull.`,
        }));
      case "insertsOnly":
        return without.map((table) => ({ kind: "TableInsertsOnly", table, detail: "it has no primary key, no other usable identity." }));
      case "replicaIdentityFull":
        return identityFullFindings(source, without);
    }
  },
};

/** Published with REPLICA IDENTITY FULL, its updates would fail in the source's applications. */
const virtualFinding = (table: TableDefinition): FindingDraft => ({
  table,
  detail: "it has virtual generated columns, which PostgreSQL does not publish with REPLICA IDENTITY FULL.",
  remedy: `Add a primary key to ${quoteTable(table)} and set REPLICA IDENTITY DEFAULT, or set sourceSetting.plugin to test_decoding.`,
});

/** Only a table's owner may set its replica identity. */
async function identityFullFindings(source: End, tables: readonly TableDefinition[]): Promise<FindingDraft[]> {
  const foreign = new Set((await notOwned(source, tables)).map(({ oid }) => oid));
  return tables.map((table) =>
    foreign.has(table.oid)
      ? {
          table,
          detail: `${source.role} may not set its replica identity, not being its owner.`,
          remedy: `As the owner: ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL;`,
        }
      : { kind: "ReplicaIdentityWillBeFull", table, detail: "it has no primary key, no other usable identity." },
  );
}

/** Which of the tables the role neither owns nor is a member of the owner of. */
export async function notOwned({ client }: End, tables: readonly TableDefinition[]): Promise<TableDefinition[]> {
  const { rows } = await client.query<{ oid: number }>(
    "SELECT oid FROM pg_class WHERE oid = ANY ($1::oid[]) AND NOT pg_has_role(relowner, 'USAGE')",
    [oidsOf(tables)],
  );
  const known = byOid(tables);
  return rows.flatMap(({ oid }) => known.get(oid) ?? []);
}

const selectRight: PairCheck = {
  kind: "NoSelectRight",
  scope: "both",
  async run({ source, tables }) {
    return [...(await unreadableTables(source, tables)), ...(await unreadableSequences(source))];
  },
};

async function unreadableTables({ client, role }: End, tables: readonly TableDefinition[]): Promise<FindingDraft[]> {
  const { rows } = await client.query<{ oid: number; usage: boolean }>(
    `SELECT c.oid, has_schema_privilege(c.relnamespace, 'USAGE') AS usage FROM pg_class c
      WHERE c.oid = ANY ($1::oid[]) AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE'))
      ORDER BY c.relname`,
    [oidsOf(tables)],
  );
  const known = byOid(tables);
  return rows.flatMap(({ oid, usage }) => {
    const table = known.get(oid);
    if (!table) return [];
    const to = quoteName(role);
    const schema = usage ? "" : `GRANT USAGE ON SCHEMA ${quoteName(table.schema)} TO ${to}; `;
    return [{ table, detail: `${role} may not read it.`, remedy: `${schema}GRANT SELECT ON ${quoteTable(table)} TO ${to};` }];
  });
}

/** Sequences are set on the target at cutover, so their values must be readable. */
async function unreadableSequences({ client, role }: End): Promise<FindingDraft[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND n.nspname <> 'pgdms'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.oid AND d.deptype = 'e')
        AND NOT (has_sequence_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'))
      ORDER BY 1`,
  );
  if (rows.length === 0) return [];
  const names = rows.map(({ name }) => name);
  return [
    {
      detail: `${role} may not read these sequences: ${listed(names)}.`,
      remedy: `GRANT SELECT ON SEQUENCE ${names.join(", ")} TO ${quoteName(role)};`,
    },
  ];
}

/** row_security_active tells whether policies bind our role here: owner, FORCE and BYPASSRLS are all in its answer. */
const rowSecurity: PairCheck = {
  kind: "RowSecurityHidesRows",
  scope: "both",
  async run({ source: { client, role }, tables }) {
    const bound = tables.filter(({ hasRowSecurity }) => hasRowSecurity);
    if (bound.length === 0) return []; // and before 9.5 there is no such function
    const { rows } = await client.query<{ oid: number }>("SELECT o AS oid FROM unnest($1::oid[]) o WHERE row_security_active(o)", [
      oidsOf(bound),
    ]);
    const known = byOid(bound);
    return rows.flatMap(({ oid }) => {
      const table = known.get(oid);
      return table ? [{ table, detail: `its policies bind ${role}.`, remedy: `ALTER ROLE ${quoteName(role)} BYPASSRLS;` }] : [];
    });
  },
};

const unlogged: PairCheck = {
  kind: "UnloggedTable",
  scope: "both",
  run: ({ tables }) =>
    Promise.resolve(
      tables
        .filter(({ isUnlogged }) => isUnlogged)
        .map((table) => ({ table, detail: "it is unlogged.", remedy: `ALTER TABLE ${quoteTable(table)} SET LOGGED;` })),
    ),
};

/** What stands in the way of a publication of these tables; empty when nothing does. */
export async function publicationObstacles(source: End, tables: readonly TableDefinition[]): Promise<FindingDraft[]> {
  if (source.versionNum < 100_000) return [{ detail: "PostgreSQL has publications since version 10." }];
  const { rows } = await source.client.query<{ may: boolean; database: string }>(
    "SELECT has_database_privilege(current_database(), 'CREATE') AS may, current_database()::text AS database",
  );
  const found: FindingDraft[] = [];
  const [row] = rows;
  if (row?.may !== true) {
    const remedy = `GRANT CREATE ON DATABASE ${quoteName(row?.database ?? "")} TO ${quoteName(source.role)}; or set sourceSetting.plugin to test_decoding.`;
    found.push({ detail: `${source.role} may not create publications in ${row?.database ?? "the database"}.`, remedy });
  }
  for (const table of source.isSuperuser ? [] : await notOwned(source, tables)) {
    const remedy = `GRANT the owner's role to ${quoteName(source.role)}, or set sourceSetting.plugin to test_decoding.`;
    found.push({ table, detail: `${source.role} is not its owner.`, remedy });
  }
  return found;
}

const publicationRight: PairCheck = {
  kind: "NoPublicationRight",
  scope: "both",
  run: ({ source, tables, settings }: MigrationContext) =>
    settings.plugin === "pgoutput" ? publicationObstacles(source, tables) : Promise.resolve([]),
};

/** What the selected tables need on the source. */
export const sourceTableChecks: readonly PairCheck[] = [missing, selectRight, rowSecurity, publicationRight, identity, unlogged];
