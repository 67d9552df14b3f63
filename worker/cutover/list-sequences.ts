import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";
import { EXCLUDED_SCHEMAS } from "../source/catalog.ts";

/** The column that a sequence belongs to (serial, identity). */
interface SequenceOwner extends TableName {
  readonly column: string;
}

export interface ListedSequence extends TableName {
  readonly owner: SequenceOwner | undefined;
  /** Tables with a column default that draws from it. */
  readonly usedBy: readonly TableName[];
}

type Oid = number;

/** A sequence, or a relation that has to do with one. */
interface Named extends TableName {
  readonly oid: Oid;
}

/** A column that a sequence belongs to. */
interface Owning {
  readonly sequence: Oid;
  readonly table: Oid;
  readonly attnum: number;
}

/** A column default that draws from a sequence. */
interface Drawing {
  readonly sequence: Oid;
  readonly expression: Oid;
}

/** Sequences of extensions belong to CREATE EXTENSION. */
const SEQUENCES = `
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'S' AND ${EXCLUDED_SCHEMAS}
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
   ORDER BY n.nspname, c.relname`;

/** Owners are dependencies of the kinds a (serial, OWNED BY) and i (identity). Indexes depend on their columns in the same way. */
const OWNERS = `
  SELECT objid AS sequence, refobjid AS table, refobjsubid AS attnum FROM pg_depend
   WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')`;

/** Defaults depend on the sequences that they draw from. They depend on other relations as well, such as their own table. */
const DRAWS = `
  SELECT objid AS expression, refobjid AS sequence FROM pg_depend
   WHERE classid = 'pg_attrdef'::regclass AND refclassid = 'pg_class'::regclass`;

const DEFAULTS = "SELECT oid AS expression, adrelid AS table FROM pg_attrdef";

const NAMES = `
  SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
    FROM unnest($1::oid[]) AS s(oid) JOIN pg_class c ON c.oid = s.oid JOIN pg_namespace n ON n.oid = c.relnamespace
   ORDER BY n.nspname, c.relname`;

const COLUMNS = `
  SELECT s.n::int AS n, a.attname::text AS name
    FROM unnest($1::oid[], $2::int2[]) WITH ORDINALITY AS s(oid, attnum, n) JOIN pg_attribute a ON a.attrelid = s.oid AND a.attnum = s.attnum`;

/**
 * Every sequence of the session's database, without its value, in the order of their names. The catalogs are read one by one and
 * joined here: a statement that joins them all takes a server minutes for thousands of sequences where its catalogs were never
 * analyzed.
 * @throws what the server says.
 */
export async function listSequences(client: pg.ClientBase): Promise<ListedSequence[]> {
  const { rows: sequences } = await client.query<Named>(SEQUENCES);
  const isListed = new Set(sequences.map(({ oid }) => oid));
  const owners = await readOwners(client, isListed);
  const users = await readUsers(client, isListed);
  return sequences.map(({ oid, schema, name }) => ({ schema, name, owner: owners.get(oid), usedBy: users.get(oid) ?? [] }));
}

/** The owning column of each sequence that has one. */
async function readOwners(client: pg.ClientBase, isListed: ReadonlySet<Oid>): Promise<Map<Oid, SequenceOwner>> {
  const owning = (await client.query<Owning>(OWNERS)).rows.filter(({ sequence }) => isListed.has(sequence));
  const tables = owning.map(({ table }) => table);
  const names = new Map((await client.query<Named>(NAMES, [[...new Set(tables)]])).rows.map((named) => [named.oid, named]));
  const columns = await client.query<{ n: number; name: string }>(COLUMNS, [tables, owning.map(({ attnum }) => attnum)]);
  const owners = new Map<Oid, SequenceOwner>();
  for (const { n, name: column } of columns.rows) {
    const owner = owning[n - 1];
    const table = owner && names.get(owner.table);
    if (table) owners.set(owner.sequence, { schema: table.schema, name: table.name, column });
  }
  return owners;
}

/** The relations whose column defaults draw from each sequence, in the order of their names. */
async function readUsers(client: pg.ClientBase, isListed: ReadonlySet<Oid>): Promise<Map<Oid, TableName[]>> {
  const draws = (await client.query<Drawing>(DRAWS)).rows.filter(({ sequence }) => isListed.has(sequence));
  const defaults = await client.query<{ expression: Oid; table: Oid }>(DEFAULTS);
  const tableOf = new Map(defaults.rows.map(({ expression, table }) => [expression, table]));
  const drawnBy = new Map<Oid, Set<Oid>>();
  for (const { sequence, expression } of draws) {
    const table = tableOf.get(expression);
    if (table !== undefined) drawnBy.set(table, (drawnBy.get(table) ?? new Set()).add(sequence));
  }
  const users = new Map<Oid, TableName[]>();
  for (const { oid, schema, name } of (await client.query<Named>(NAMES, [[...drawnBy.keys()]])).rows)
    for (const sequence of drawnBy.get(oid) ?? []) {
      const tables = users.get(sequence);
      if (tables) tables.push({ schema, name });
      else users.set(sequence, [{ schema, name }]);
    }
  return users;
}
