import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { readEncoding, SQL_ASCII } from "../postgres/encoding.ts";
import { copiedColumns, type TableDefinition } from "../source/catalog.ts";
import { listed, type End, type FindingDraft, type PairCheck } from "./check.ts";
import { versionText } from "./end.ts";

/** Types of PostgreSQL's own that have no "=", or one that compares something else (areas, lengths). */
const WITHOUT_EQUALITY = /^(json|xml|point|line|lseg|box|path|polygon|circle|jsonpath|aclitem|txid_snapshot|pg_snapshot)(\[\])*$/;

const equality: PairCheck = {
  kind: "IdentityWithoutEquality",
  scope: "both",
  run({ tables, settings }) {
    const becomesFull = settings.tablesWithoutKey === "replicaIdentityFull";
    const drafts = tables
      .filter(({ identity }) => identity.kind === "full" || (identity.kind === "nothing" && becomesFull))
      .flatMap((table): FindingDraft[] => {
        const columns = copiedColumns(table).filter(({ typeName }) => WITHOUT_EQUALITY.test(typeName));
        if (columns.length === 0) return [];
        return [{ table, detail: `${listed(columns.map(({ name, typeName }) => `${name} (${typeName})`))}.` }];
      });
    return Promise.resolve(drafts);
  },
};

const withOids: PairCheck = {
  kind: "TableWithOids",
  scope: "both",
  async run({ source: { client, versionNum }, tables }) {
    if (versionNum >= 120_000) return []; // they are no more
    const { rows } = await client.query<{ oid: number }>("SELECT oid FROM pg_class WHERE relhasoids AND oid = ANY ($1::oid[])", [
      tables.map(({ oid }) => oid),
    ]);
    const found = new Set(rows.map(({ oid }) => oid));
    return tables.filter(({ oid }) => found.has(oid)).map((table) => ({ table, detail: "it has oids." }));
  },
};

const caseOnly: PairCheck = {
  kind: "NamesDifferByCase",
  scope: "both",
  run({ tables }) {
    const groups = namesThatDifferByCase(tables);
    return Promise.resolve(
      groups.length === 0 ? [] : [{ detail: `${listed(groups.map((group) => group.map(displayName).join(" and ")))}.` }],
    );
  },
};

/** Groups of names that are one name to whoever forgets the quotes. Pure. */
function namesThatDifferByCase(tables: readonly TableName[]): TableName[][] {
  const groups = new Map<string, TableName[]>();
  for (const table of tables) {
    const key = tableKey(table).toLowerCase();
    groups.set(key, [...(groups.get(key) ?? []), table]);
  }
  return [...groups.values()].filter(({ length }) => length > 1);
}

const partly: PairCheck = {
  kind: "PartOfPartitionedTable",
  scope: "both",
  run({ tables, allTables }) {
    const names = partlySelected(tables, allTables);
    return Promise.resolve(names.length === 0 ? [] : [{ detail: `${listed(names.map(displayName))}.` }]);
  },
};

/** Partitioned tables of which some leaves are selected and some are not. Pure. */
function partlySelected(selected: readonly TableDefinition[], all: readonly TableDefinition[]): TableName[] {
  const count = (tables: readonly TableDefinition[]): Map<string, { root: TableName; leaves: number }> => {
    const roots = new Map<string, { root: TableName; leaves: number }>();
    for (const { partitionRoot: root } of tables)
      if (root) roots.set(tableKey(root), { root, leaves: (roots.get(tableKey(root))?.leaves ?? 0) + 1 });
    return roots;
  };
  const whole = count(all);
  return [...count(selected)].filter(([key, { leaves }]) => leaves < (whole.get(key)?.leaves ?? 0)).map(([, { root }]) => root);
}

const SHARE_USED_MAX = 0.9;

/**
 * Sequences and the integer columns that they feed. Before PostgreSQL 10 the limits are in each sequence's own relation,
 * and are not looked at. last_value is NULL where our role may not read it.
 */
const sequences: PairCheck = {
  kind: "SequenceNearEnd",
  scope: "both",
  async run({ source: { client, versionNum } }) {
    if (versionNum < 100_000) return [];
    const { rows } = await client.query<{ name: string; last_value: string; end_value: string }>(
      `SELECT name, last_value::text, end_value::text FROM (
         SELECT format('%I.%I', s.schemaname, s.sequencename) AS name, s.last_value,
                least(s.max_value, CASE a.atttypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647 ELSE s.max_value END) AS end_value
           FROM pg_sequences s
           LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
                AND d.objid = format('%I.%I', s.schemaname, s.sequencename)::regclass
           LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
          WHERE s.increment_by > 0 AND s.schemaname !~ '^pg_' AND s.schemaname <> 'pgdms') q
        WHERE last_value > end_value * $1::numeric ORDER BY name`,
      [String(SHARE_USED_MAX)],
    );
    const all = rows.map(({ name, last_value, end_value }) => `${name} is at ${last_value} of ${end_value}`);
    return all.length === 0 ? [] : [{ detail: `${listed(all)}.` }];
  },
};

const largeObjects: PairCheck = {
  kind: "LargeObjectsIgnored",
  scope: "both",
  async run({ source: { client } }) {
    // Their rows may be read by superusers only; the size of the table that holds them all, by anybody.
    const { rows } = await client.query<{ count: number; size: string }>(
      "SELECT count(*)::int AS count, pg_size_pretty(pg_table_size(2613)) AS size FROM pg_largeobject_metadata", // pg_largeobject
    );
    const { count = 0, size = "" } = rows[0] ?? {};
    return count === 0 ? [] : [{ detail: `There are ${count}, of ${size} in all.` }];
  },
};

const encodings: PairCheck = {
  kind: "EncodingDiffers",
  scope: "both",
  async run({ source, target, targetDatabaseExists }) {
    const [from, to] = [await readEncoding(source.client), await readEncoding(target.client)];
    if (from === to || (!targetDatabaseExists && from !== SQL_ASCII)) return [];
    const bytes = from === SQL_ASCII ? " SQL_ASCII takes any bytes: those that are not valid on the target stop the load." : "";
    return [{ detail: `Source ${from}, target ${targetDatabaseExists ? to : "UTF8"}.${bytes}` }];
  },
};

const TRUNCATE_SINCE = 110_000;

/** The plugins have TRUNCATE since 11 (release notes, E.24.3.2.1 "Logical replication of TRUNCATE"). */
const truncate: PairCheck = {
  kind: "TruncateNotFollowed",
  scope: "both",
  run({ source: { versionNum }, settings: { compareAtCutover } }) {
    if (versionNum >= TRUNCATE_SINCE) return Promise.resolve([]);
    const unseen = " With compareAtCutover none nothing would notice.";
    return Promise.resolve([{ detail: `It is ${versionText(versionNum)}.${compareAtCutover === "none" ? unseen : ""}` }]);
  },
};

const WRITERS = ["pg_cron", "pg_partman", "timescaledb", "pgagent"];

/** Jobs that write on either side, and event triggers that are or will be on the target: they fire for what we build there. */
const writers: PairCheck = {
  kind: "BackgroundWriter",
  scope: "both",
  async run(context) {
    const found = [
      ...(await writersOf(context.source)),
      ...(context.targetDatabaseExists ? [...(await writersOf(context.target)), ...(await eventTriggers(context.target))] : []),
      ...(context.schemaIsOurs ? await eventTriggers(context.source) : []), // the schema brings them along
    ];
    return found.length === 0 ? [] : [{ detail: `${listed(found)}.` }];
  },
};

async function writersOf({ client, server }: End): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT extname::text AS name FROM pg_extension WHERE extname = ANY ($1::name[]) ORDER BY extname",
    [WRITERS],
  );
  return rows.map(({ name }) => `${name} on the ${server.side}`);
}

async function eventTriggers({ client, server }: End): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT evtname::text AS name FROM pg_event_trigger WHERE evtenabled <> 'D'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = pg_event_trigger.oid AND d.deptype = 'e')
      ORDER BY evtname`,
  );
  return rows.map(({ name }) => `the event trigger ${name} on the ${server.side}`);
}

/** What of the data or of those who write it may surprise. */
export const dataRiskChecks: readonly PairCheck[] = [
  equality,
  withOids,
  caseOnly,
  partly,
  sequences,
  largeObjects,
  encodings,
  truncate,
  writers,
];
