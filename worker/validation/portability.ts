import { quoteName } from "../postgres/quote.ts";
import { listed, type End, type FindingDraft, type MigrationContext, type PairCheck } from "./check.ts";

/** These checks look at what a dump of the schema would have to make on the target; not when the user brought the schema. */
const ofOurSchema =
  (run: (context: MigrationContext) => Promise<FindingDraft[]>) =>
  (context: MigrationContext): Promise<FindingDraft[]> =>
    context.schemaIsOurs ? run(context) : Promise.resolve([]);

async function names({ client }: End, sql: string, values: unknown[] = []): Promise<string[]> {
  return (await client.query<{ name: string }>(sql, values)).rows.map(({ name }) => name);
}

const notOfExtension = (catalog: string, oid: string): string =>
  `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalog}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** The first oid that is not of initdb's (access/transam.h). */
const FIRST_USER_OID = 16_384;

/** The oid of pg_catalog in every version (pg_namespace.dat); the type regnamespace came with 9.5. */
const PG_CATALOG = 11;

/** Collations of columns and indexes that come from the operating system; those that users made are in the dump. */
const USED_COLLATIONS = `
  SELECT DISTINCT co.collname::text AS name
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_collation co ON co.oid = a.attcollation
   WHERE co.collnamespace = ${PG_CATALOG} AND co.collname NOT IN ('default', 'C', 'POSIX')
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT a.attisdropped
   ORDER BY 1`;

const collations: PairCheck = {
  kind: "CollationMissing",
  scope: "both",
  run: ofOurSchema(async ({ source, target }) => {
    const used = await names(source, USED_COLLATIONS);
    const known = new Set(await names(target, `SELECT collname::text AS name FROM pg_collation WHERE collnamespace = ${PG_CATALOG}`));
    const missing = used.filter((name) => !known.has(name));
    return missing.length === 0 ? [] : [{ detail: `${listed(missing)}.` }];
  }),
};

const USED_LANGUAGES = `
  SELECT DISTINCT l.lanname::text AS name FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
   WHERE l.lanname NOT IN ('internal', 'c', 'sql') AND p.oid >= ${FIRST_USER_OID} AND ${notOfExtension("pg_proc", "p.oid")}
   ORDER BY 1`;

/** A language that an extension brings is made with it, where the target has the extension. */
const languages: PairCheck = {
  kind: "LanguageMissing",
  scope: "both",
  run: ofOurSchema(async ({ source, target }) => {
    const known = await names(target, "SELECT lanname::text AS name FROM pg_language UNION SELECT name::text FROM pg_available_extensions");
    const missing = (await names(source, USED_LANGUAGES)).filter((name) => !known.includes(name));
    return missing.length === 0 ? [] : [{ detail: `${listed(missing)}.` }];
  }),
};

/** What CREATE asks a superuser for (manual, the CREATE commands), one SELECT of names each. */
const superuserObjects = (versionNum: number): string => {
  const kinds = [
    `SELECT 'cast ' || format_type(castsource, NULL) || ' to ' || format_type(casttarget, NULL) FROM pg_cast x
      WHERE x.oid >= ${FIRST_USER_OID} AND castmethod = 'b' AND ${notOfExtension("pg_cast", "x.oid")}`,
    `SELECT 'type ' || format_type(x.oid, NULL) FROM pg_type x
      WHERE x.oid >= ${FIRST_USER_OID} AND typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = x.oid) AND ${notOfExtension("pg_type", "x.oid")}`,
    `SELECT 'text search parser ' || prsname FROM pg_ts_parser x WHERE x.oid >= ${FIRST_USER_OID} AND ${notOfExtension("pg_ts_parser", "x.oid")}`,
    `SELECT 'text search template ' || tmplname FROM pg_ts_template x WHERE x.oid >= ${FIRST_USER_OID} AND ${notOfExtension("pg_ts_template", "x.oid")}`,
    `SELECT 'operator class ' || opcname FROM pg_opclass x WHERE x.oid >= ${FIRST_USER_OID} AND ${notOfExtension("pg_opclass", "x.oid")}`,
    `SELECT 'event trigger ' || evtname FROM pg_event_trigger x WHERE ${notOfExtension("pg_event_trigger", "x.oid")}`,
    `SELECT 'foreign data wrapper ' || fdwname FROM pg_foreign_data_wrapper x WHERE ${notOfExtension("pg_foreign_data_wrapper", "x.oid")}`,
    `SELECT 'function ' || proname || ' in ' || lanname FROM pg_proc x JOIN pg_language l ON l.oid = prolang
      WHERE x.oid >= ${FIRST_USER_OID} AND NOT lanpltrusted AND lanname <> 'sql' AND ${notOfExtension("pg_proc", "x.oid")}`,
    `SELECT 'leakproof function ' || proname FROM pg_proc x
      WHERE x.oid >= ${FIRST_USER_OID} AND proleakproof AND ${notOfExtension("pg_proc", "x.oid")}`,
    ...(versionNum >= 90_600
      ? [`SELECT 'access method ' || amname FROM pg_am x WHERE x.oid >= ${FIRST_USER_OID} AND ${notOfExtension("pg_am", "x.oid")}`]
      : []),
  ];
  return `SELECT name FROM (${kinds.join(" UNION ALL ")}) AS o(name) ORDER BY name`;
};

const superuser: PairCheck = {
  kind: "SuperuserObject",
  scope: "both",
  run: ofOurSchema(async ({ source, target }) => {
    if (target.isSuperuser) return [];
    const found = await names(source, superuserObjects(source.versionNum));
    return found.length === 0 ? [] : [{ detail: `${listed(found)}.` }];
  }),
};

const policyRoles = (versionNum: number): string => `
  SELECT DISTINCT r.rolname::text AS name FROM pg_roles r
   WHERE ${versionNum >= 90_500 ? "r.oid IN (SELECT unnest(polroles) FROM pg_policy) OR" : ""} r.oid IN (SELECT umuser FROM pg_user_mappings)
   ORDER BY 1`;

/**
 * Roles that own what a dump makes, or hold rights on it: the server notes both (pg_shdepend), but for the role that initdb
 * made, which needs no note.
 */
const dumpedRoles = ({ migrateOwners, migratePrivileges }: MigrationContext["settings"]): string => `
  SELECT DISTINCT r.rolname::text AS name FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
   WHERE d.refclassid = 'pg_authid'::regclass AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND d.deptype IN (${[...(migrateOwners ? ["'o'"] : []), ...(migratePrivileges ? ["'a'"] : [])].join(", ") || "''"})
  UNION
  SELECT DISTINCT r.rolname::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
   WHERE ${migrateOwners} AND c.oid >= ${FIRST_USER_OID} AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND ${notOfExtension("pg_class", "c.oid")}
   ORDER BY 1`;

const roles: PairCheck = {
  kind: "RoleMissingOnTarget",
  scope: "both",
  run: ofOurSchema(async ({ source, target, settings }) => {
    const known = new Set(await names(target, "SELECT rolname::text AS name FROM pg_roles"));
    const missing = (all: readonly string[]): string[] => all.filter((name) => !known.has(name));
    const named = missing(await names(source, policyRoles(source.versionNum)));
    const owning = missing(await names(source, dumpedRoles(settings)));
    const remedy = `On the target: ${[...new Set([...named, ...owning])].map((name) => `CREATE ROLE ${quoteName(name)};`).join(" ")}`;
    return [
      ...(named.length === 0 ? [] : [{ detail: `Policies or user mappings name ${listed(named)}.`, remedy }]),
      ...(owning.length === 0 ? [] : [{ detail: `Objects belong to, or give rights to, ${listed(owning)}.`, remedy }]),
    ];
  }),
};

const tablespaces: PairCheck = {
  kind: "TablespaceIgnored",
  scope: "both",
  run: ofOurSchema(async ({ source }) => {
    const used = await names(
      source,
      `SELECT DISTINCT t.spcname::text AS name FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
        WHERE t.spcname NOT IN ('pg_global', 'pg_default') ORDER BY 1`,
    );
    return used.length === 0 ? [] : [{ detail: `${listed(used)}.` }];
  }),
};

/** Rights beside those of initdb (pg_init_privs came with 9.6). */
const catalogGrants: PairCheck = {
  kind: "CatalogGrant",
  scope: "both",
  run: ofOurSchema(async ({ source }) => {
    if (source.versionNum < 90_600) return [];
    const granted = await names(
      source,
      `SELECT c.relname::text AS name FROM pg_class c
         LEFT JOIN pg_init_privs i ON i.classoid = 'pg_class'::regclass AND i.objoid = c.oid AND i.objsubid = 0
        WHERE c.relnamespace = ${PG_CATALOG} AND c.relacl IS NOT NULL AND c.relacl IS DISTINCT FROM i.initprivs
          AND ${notOfExtension("pg_class", "c.oid")} ORDER BY 1`,
    );
    return granted.length === 0 ? [] : [{ detail: `${listed(granted)}.` }];
  }),
};

/**
 * pg_dump makes such a constraint for the whole table and for each partition and then attaches these, which the server
 * refuses: "No support currently for comparing exclusion indexes" (index.c, CompareIndexInfo). On partitioned tables since 17.
 */
const UNATTACHABLE = (versionNum: number): string => `
  SELECT format('%s of %s.%s', k.conname, n.nspname, t.relname) AS name
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
   WHERE t.relkind = 'p' AND k.conparentid = 0 AND (k.contype = 'x'${versionNum >= 180_000 ? " OR (k.contype IN ('p', 'u') AND k.conperiod)" : ""})
     AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = k.conindid)
   ORDER BY 1`;

const unattachable: PairCheck = {
  kind: "ConstraintNotRestorable",
  scope: "both",
  run: ofOurSchema(async ({ source }) => {
    const found = source.versionNum >= 170_000 ? await names(source, UNATTACHABLE(source.versionNum)) : [];
    return found.length === 0 ? [] : [{ detail: `${listed(found)}.` }];
  }),
};

/** Whether the target can hold the schema that a dump would make. */
export const portabilityChecks: readonly PairCheck[] = [collations, languages, superuser, roles, unattachable, tablespaces, catalogGrants];
