import type pg from "pg";
import { withClient } from "./workload.ts";

/** Rows that are shown of a table that differs. */
const SHOWN_ROWS = 6;

/** Tables with rows of their own: ordinary ones and leaf partitions. */
const TABLES = `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY 1`;

/** Everything that must be the same on both sides besides rows, as text. */
const DEFINITIONS: Readonly<Record<string, string>> = {
  sequences: `SELECT format('%I.%I', schemaname, sequencename) || ' ' || coalesce(last_value::text, 'not called') AS line FROM pg_sequences WHERE schemaname = 'public'`,
  indexes: `SELECT indexdef || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END AS line
    FROM pg_indexes x JOIN pg_index i ON i.indexrelid = format('%I.%I', x.schemaname, x.indexname)::regclass WHERE x.schemaname = 'public'`,
  constraints: `SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) AS line
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype NOT IN ('n', 't')`,
  triggers: `SELECT tgrelid::regclass || ' ' || pg_get_triggerdef(oid) || ' ' || tgenabled::text AS line FROM pg_trigger WHERE NOT tgisinternal`,
  identities: `SELECT attrelid::regclass || '.' || attname || ' ' || attidentity::text AS line FROM pg_attribute
    WHERE attidentity <> '' AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)`,
};

export interface Verdict {
  /** What is not as it should be; empty: all is well. */
  readonly differences: readonly string[];
  readonly tables: number;
  readonly rows: number;
}

/** Compares two databases row by row (as multisets) and definition by definition, and looks for what was left behind. */
export async function judge(sourceUrl: string, targetUrl: string): Promise<Verdict> {
  return await withClient(sourceUrl, (source) =>
    withClient(targetUrl, async (target) => {
      const differences: string[] = [];
      const names = (await source.query<{ name: string }>(TABLES)).rows.map(({ name }) => name);
      let rows = 0;
      for (const name of names) {
        const [ours, theirs] = await Promise.all([fingerprint(source, name), fingerprint(target, name).catch(String)]);
        rows += typeof ours === "string" ? 0 : ours.rows;
        if (JSON.stringify(ours) !== JSON.stringify(theirs)) differences.push(await sayRows(source, target, name));
      }
      for (const [what, sql] of Object.entries(DEFINITIONS)) differences.push(...(await differentLines(source, target, what, sql)));
      differences.push(...(await moneyLost(target)));
      differences.push(...(await leftOn(source, "the source", LEFT_ON_SOURCE)), ...(await leftOn(target, "the target", LEFT_ON_TARGET)));
      return { differences, tables: names.length, rows };
    }),
  );
}

async function fingerprint(client: pg.ClientBase, name: string): Promise<{ rows: number; sum: string }> {
  const { rows } = await client.query<{ rows: string; sum: string }>(
    `SELECT count(*) AS rows, coalesce(md5(string_agg(h, '' ORDER BY h)), '') AS sum FROM (SELECT md5(t::text) AS h FROM ONLY ${name} t) x`,
  );
  return { rows: Number(rows[0]?.rows), sum: rows[0]?.sum ?? "" };
}

/** The rows that one side has more often than the other. */
async function sayRows(source: pg.ClientBase, target: pg.ClientBase, name: string): Promise<string> {
  const counts = async (client: pg.ClientBase): Promise<Map<string, number>> => {
    const { rows } = await client.query<{ line: string; n: string }>(
      `SELECT left(t::text, 300) || ' ' || md5(t::text) AS line, count(*) AS n FROM ONLY ${name} t GROUP BY t::text`,
    );
    return new Map(rows.map(({ line, n }) => [line, Number(n)]));
  };
  const [ours, theirs] = await Promise.all([counts(source), counts(target).catch(() => new Map<string, number>())]);
  const total = (side: ReadonlyMap<string, number>): number => [...side.values()].reduce((sum, n) => sum + n, 0);
  const more = (a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): string =>
    [...a]
      .filter(([line, n]) => n > (b.get(line) ?? 0))
      .slice(0, SHOWN_ROWS)
      .map(([line, n]) => `    ${line} (${n} times, the other ${b.get(line) ?? 0})`)
      .join("\n");
  return `${name}: ${total(ours)} rows on the source, ${total(theirs)} on the target; only on the source:\n${more(ours, theirs)}\n  only on the target:\n${more(theirs, ours)}`;
}

async function differentLines(source: pg.ClientBase, target: pg.ClientBase, what: string, sql: string): Promise<string[]> {
  const read = async (client: pg.ClientBase): Promise<Set<string>> =>
    new Set((await client.query<{ line: string }>(sql)).rows.map(({ line }) => line));
  const [ours, theirs] = await Promise.all([read(source), read(target)]);
  return [
    ...[...ours].filter((line) => !theirs.has(line)).map((line) => `${what}, only on the source: ${line}`),
    ...[...theirs].filter((line) => !ours.has(line)).map((line) => `${what}, only on the target: ${line}`),
  ];
}

/** Every transaction of the bank moves one sum in four places; a transaction that was torn apart would show. */
async function moneyLost(target: pg.ClientBase): Promise<string[]> {
  const { rows } = await target.query<{ sums: string[] }>(
    `SELECT ARRAY[(SELECT sum(balance) FROM accounts), (SELECT sum(balance) FROM tellers), (SELECT sum(balance) FROM branches),
                  (SELECT coalesce(sum(delta), 0) FROM moves)]::text[] AS sums`,
  );
  const sums = rows[0]?.sums ?? [];
  return new Set(sums).size === 1 ? [] : [`the sums of the bank differ: ${sums.join(", ")}`];
}

const LEFT_ON_SOURCE = [
  `SELECT 'slot ' || slot_name AS line FROM pg_replication_slots WHERE database = current_database()`,
  `SELECT 'publication ' || pubname AS line FROM pg_publication`,
  `SELECT 'REPLICA IDENTITY FULL of ' || oid::regclass AS line FROM pg_class WHERE relreplident = 'f' AND relnamespace = 'public'::regnamespace`,
];
const LEFT_ON_TARGET = [
  `SELECT 'schema ' || nspname AS line FROM pg_namespace WHERE nspname = 'pgdms'`,
  `SELECT 'index ' || indexrelid::regclass || ' INVALID' AS line FROM pg_index WHERE NOT indisvalid`,
];

async function leftOn(client: pg.ClientBase, where: string, queries: readonly string[]): Promise<string[]> {
  const found: { line: string }[] = [];
  for (const sql of queries) found.push(...(await client.query<{ line: string }>(sql)).rows);
  return found.map(({ line }) => `left on ${where}: ${line}`);
}
