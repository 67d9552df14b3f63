import type pg from "pg";
import { withClient } from "../postgres/with-client.ts";

/** What both sides were asked, beside pgdms, by plain SQL. */
export interface Proof {
  readonly tables: number;
  readonly rows: number;
  readonly sequences: number;
  readonly constraints: number;
  readonly indexes: number;
  readonly triggers: number;
  /** One sentence for each thing that is not equal; empty when both sides are the same. */
  readonly differences: readonly string[];
}

/** What one side answered: names with what they must agree in. */
type Answers = ReadonlyMap<string, string>;

interface Side {
  readonly tables: Answers;
  readonly sequences: Answers;
  readonly constraints: Answers;
  readonly indexes: Answers;
  readonly triggers: Answers;
  readonly leftovers: readonly string[];
  readonly rows: number;
}

const ownSchemas = "nspname NOT IN ('pg_catalog', 'information_schema', 'pgdms') AND nspname NOT LIKE 'pg\\_%'";

/** Each asks for a name and for a text in which both sides must agree. */
const questions = {
  constraints: `
    SELECT conrelid::regclass || ' ' || conname AS name, pg_get_constraintdef(c.oid) || CASE WHEN convalidated THEN '' ELSE ' NOT VALID' END AS text
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace WHERE ${ownSchemas} AND conrelid <> 0 AND contype <> 'n'`,
  indexes: `
    SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END AS text
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ownSchemas}`,
  triggers: `
    SELECT tgrelid::regclass || ' ' || tgname AS name, pg_get_triggerdef(t.oid) || ' ' || tgenabled::text AS text
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ownSchemas} AND NOT tgisinternal`,
} as const;

const leftovers = {
  source: `SELECT 'slot ' || slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT 'publication ' || pubname FROM pg_publication`,
  target: `SELECT 'schema ' || nspname AS name FROM pg_namespace WHERE nspname = 'pgdms'
           UNION ALL SELECT 'replication origin ' || roname FROM pg_replication_origin`,
} as const;

/**
 * Compares two databases: rows of every table (their number, and an md5 over all), sequences, constraints, indexes and
 * triggers; and looks what the migration left behind. For databases that nobody writes to.
 */
export async function compareSides(sourceUrl: string, targetUrl: string): Promise<Proof> {
  const [source, target] = await Promise.all([ask(sourceUrl, "source"), ask(targetUrl, "target")]);
  return {
    tables: source.tables.size,
    rows: source.rows,
    sequences: source.sequences.size,
    constraints: source.constraints.size,
    indexes: source.indexes.size,
    triggers: source.triggers.size,
    differences: [
      ...(["tables", "sequences", "constraints", "indexes", "triggers"] as const).flatMap((kind) =>
        differences(kind, source[kind], target[kind]),
      ),
      ...source.leftovers.map((name) => `${name} is left on the source`),
      ...target.leftovers.map((name) => `${name} is left on the target`),
    ],
  };
}

function differences(kind: string, source: Answers, target: Answers): string[] {
  const names = [...new Set([...source.keys(), ...target.keys()])];
  return names
    .filter((name) => source.get(name) !== target.get(name))
    .map((name) => `${kind}: ${name}: source ${source.get(name) ?? "has none"}, target ${target.get(name) ?? "has none"}`);
}

const ask = (url: string, side: "source" | "target"): Promise<Side> =>
  withClient(url, "listdb proof", async (client) => {
    // Values as text must look the same on both versions.
    await client.query(
      `SET search_path = pg_catalog; SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'`,
    );
    const answers = async (sql: string): Promise<Answers> => {
      const { rows } = await client.query<{ name: string; text: string }>(sql);
      return new Map(rows.map(({ name, text }) => [name, text]));
    };
    const tables = await tableAnswers(client);
    return {
      ...tables,
      sequences: await sequenceAnswers(client),
      constraints: await answers(questions.constraints),
      indexes: await answers(questions.indexes),
      triggers: await answers(questions.triggers),
      leftovers: (await client.query<{ name: string }>(leftovers[side])).rows.map(({ name }) => name),
    };
  });

/** The md5 of each row, added up: rows come in another order on each side. */
async function tableAnswers(client: pg.Client): Promise<{ tables: Answers; rows: number }> {
  const { rows: tables } = await client.query<{ name: string }>(`
    SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${ownSchemas} AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1`);
  const answers = new Map<string, string>();
  let total = 0;
  for (const { name } of tables) {
    const { rows } = await client.query<{ rows: string; sum: string }>(
      `SELECT count(*) AS rows, md5(coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0)::text) AS sum FROM ${name} t`,
    );
    answers.set(name, `${rows[0]?.rows} rows, md5 ${rows[0]?.sum}`);
    total += Number(rows[0]?.rows);
  }
  return { tables: answers, rows: total };
}

async function sequenceAnswers(client: pg.Client): Promise<Answers> {
  const { rows: sequences } = await client.query<{ name: string }>(`
    SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${ownSchemas} AND c.relkind = 'S'`);
  const answers = new Map<string, string>();
  for (const { name } of sequences) {
    const { rows } = await client.query<{ text: string }>(`SELECT last_value || ' ' || is_called AS text FROM ${name}`);
    answers.set(name, rows[0]?.text ?? "");
  }
  return answers;
}
