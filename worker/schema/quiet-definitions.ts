import type pg from "pg";
import { quoteName, quoteTable } from "../postgres/quote.ts";
import { type DeferredKind } from "./deferred-ddl.ts";
import { type DeferralGroup } from "./index-definitions.ts";

/** How a trigger or rule fires, as the catalog has it (tgenabled, ev_enabled), and the word that brings it back. */
const FIRING = { O: "ENABLE", A: "ENABLE ALWAYS", R: "ENABLE REPLICA" } as const;
type Firing = keyof typeof FIRING;

interface FiringRow {
  readonly schema: string;
  readonly table_name: string;
  readonly is_partitioned: boolean;
  readonly name: string;
  readonly firing: Firing;
}

const firingSql = (from: string, name: string, firing: string, condition: string): string => `
  SELECT n.nspname::text AS schema, t.relname::text AS table_name, t.relkind = 'p' AS is_partitioned, ${name}::text AS name, ${firing}::text AS firing
    FROM ${from} JOIN pg_class t ON t.oid = relation JOIN pg_namespace n ON n.oid = t.relnamespace
   WHERE t.oid = ANY ($1::oid[]) AND ${firing} = ANY ($2::text[]) AND ${condition}
   ORDER BY t.relkind DESC, n.nspname, t.relname, 4`;

/**
 * A partitioned table's own triggers do not fire for rows that are written to its partitions; their copies on the partitions
 * do. Before 13 the copies count as internal and can only be reached from above.
 */
const triggersSql = (versionNum: number): string =>
  firingSql(
    "(SELECT *, tgrelid AS relation FROM pg_trigger) g",
    "tgname",
    "tgenabled",
    `NOT tgisinternal${versionNum >= 130_000 ? " AND t.relkind = 'r'" : ""}`,
  );

const RULES = firingSql(
  "(SELECT *, ev_class AS relation FROM pg_rewrite) g",
  "rulename",
  "ev_enabled",
  "ev_type <> '1' AND t.relkind = 'r'", // '1' is SELECT: a view
);

/**
 * Triggers and rules that would fire for what we write. Under session_replication_role = replica those are the ALWAYS and
 * REPLICA ones (manual, CREATE TRIGGER and ALTER TABLE); where the role may not be set, all of them.
 */
export async function firingGroups(
  client: pg.ClientBase,
  versionNum: number,
  tableOids: readonly number[],
  hasReplicaRole: boolean,
): Promise<DeferralGroup[]> {
  const firing: Firing[] = hasReplicaRole ? ["A", "R"] : ["O", "A", "R"];
  const triggers = await client.query<FiringRow>(triggersSql(versionNum), [tableOids, firing]);
  const rules = await client.query<FiringRow>(RULES, [tableOids, firing]);
  return [...triggers.rows.map((row) => firingGroup("trigger", row)), ...rules.rows.map((row) => firingGroup("rule", row))];
}

function firingGroup(kind: DeferredKind & ("trigger" | "rule"), row: FiringRow): DeferralGroup {
  const table = { schema: row.schema, name: row.table_name };
  const alter = `ALTER TABLE ${row.is_partitioned ? "" : "ONLY "}${quoteTable(table)}`;
  const what = `${kind.toUpperCase()} ${quoteName(row.name)}`;
  return {
    definitions: [{ stage: "cutover", kind, table, objectName: row.name, restoreSql: `${alter} ${FIRING[row.firing]} ${what}` }],
    drops: [`${alter} DISABLE ${what}`],
    locks: 1,
  };
}

/**
 * Identity columns that are GENERATED ALWAYS refuse an UPDATE that names a value, also under session_replication_role =
 * replica. Since 17 a partition has its parent's identity, and only the parent's can be altered.
 */
const identitySql = (versionNum: number): string => `
  SELECT n.nspname::text AS schema, t.relname::text AS table_name, a.attname::text AS name, t.relkind = 'p' AS is_partitioned
    FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace
   WHERE a.attrelid = ANY ($1::oid[]) AND a.attidentity = 'a' AND a.attnum > 0 AND NOT a.attisdropped
     AND ${versionNum >= 170_000 ? "NOT t.relispartition" : "t.relkind = 'r'"}
   ORDER BY n.nspname, t.relname, a.attnum`;

/** Identity columns become BY DEFAULT until the cutover. */
export async function identityGroups(client: pg.ClientBase, versionNum: number, tableOids: readonly number[]): Promise<DeferralGroup[]> {
  const { rows } = await client.query<{ schema: string; table_name: string; name: string; is_partitioned: boolean }>(
    identitySql(versionNum),
    [tableOids],
  );
  return rows.map((row) => {
    const table = { schema: row.schema, name: row.table_name };
    const alter = `ALTER TABLE ${row.is_partitioned ? "" : "ONLY "}${quoteTable(table)} ALTER COLUMN ${quoteName(row.name)} SET GENERATED`;
    return {
      definitions: [{ stage: "cutover", kind: "identity", table, objectName: row.name, restoreSql: `${alter} ALWAYS` }],
      drops: [`${alter} BY DEFAULT`],
      locks: 2,
    };
  });
}
