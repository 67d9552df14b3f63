import type pg from "pg";
import { type TableName } from "../../contracts/tables.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteTable } from "../postgres/quote.ts";
import { inDatabase, type Server } from "../postgres/server.ts";
import { readTables, type TableDefinition } from "../source/catalog.ts";
import { writtenName } from "./select-tables.ts";

/** A table as a user selects it: an ordinary one, or a partitioned one with all its partitions. */
export interface UserTable {
  /** Schema-qualified, written so that it can be given back in selectedTables. */
  readonly name: string;
  readonly hasRows: boolean;
  readonly sizeBytes: number;
  readonly rowsEstimate: number;
  /** Updates and deletes can be followed. */
  readonly hasKey: boolean;
}

/** Lists the tables of one database of the source, by name. */
export function listUserTables(source: Server, databaseName: string): Promise<UserTable[]> {
  return withConnection(inDatabase(source, databaseName), { purpose: "list tables" }, async (client) => {
    const roots = groupByRoot(await readTables(client, await versionNum(client)));
    const filled = await tablesWithRows(client, [...roots.values()].flat());
    return [...roots.values()].map((members) => toUserTable(members, filled));
  });
}

/** Tables by the name that the user knows; partitions stand together under their root. */
function groupByRoot(tables: readonly TableDefinition[]): Map<string, TableDefinition[]> {
  const roots = new Map<string, TableDefinition[]>();
  for (const table of tables) {
    const name = writtenName(rootOf(table));
    const members = roots.get(name);
    if (members) members.push(table);
    else roots.set(name, [table]);
  }
  return roots;
}

const rootOf = (table: TableDefinition): TableName => table.partitionRoot ?? table;

function toUserTable(members: readonly TableDefinition[], filled: ReadonlySet<number>): UserTable {
  const [first] = members as [TableDefinition];
  const sum = (value: (table: TableDefinition) => number): number => members.reduce((total, table) => total + value(table), 0);
  return {
    name: writtenName(rootOf(first)),
    hasRows: members.some(({ oid }) => filled.has(oid)),
    sizeBytes: sum(({ sizeBytes }) => sizeBytes),
    rowsEstimate: sum(({ rowsEstimate }) => rowsEstimate),
    hasKey: members.every(({ identity }) => identity.kind !== "nothing"),
  };
}

const TABLES_PER_QUERY = 200;

/** Finding the first row of a table that was emptied and not vacuumed may read all of it; past this, "has rows" is assumed. */
const LOOK_TIMEOUT_MS = 5_000;

/** And this long in all. */
const LOOK_ALL_MS = 60_000;

/** Query cancelled by its timeout, no right to read, row security in the way: the size has to do. */
const CANNOT_TELL = new Set(["57014", "42501"]);

/** The oids of the tables that hold rows. A table without pages is not looked into. */
async function tablesWithRows(client: pg.ClientBase, tables: readonly TableDefinition[]): Promise<Set<number>> {
  const candidates = tables.filter(({ pages }) => pages > 0);
  await client.query(`SET statement_timeout = ${LOOK_TIMEOUT_MS}`);
  const deadline = Date.now() + LOOK_ALL_MS;
  const filled = new Set<number>();
  for (let at = 0; at < candidates.length; at += TABLES_PER_QUERY) {
    for (const oid of await lookInto(client, candidates.slice(at, at + TABLES_PER_QUERY), deadline)) filled.add(oid);
  }
  return filled;
}

async function lookInto(client: pg.ClientBase, tables: readonly TableDefinition[], deadline: number): Promise<number[]> {
  if (Date.now() > deadline) return tables.map(({ oid }) => oid);
  const asks = tables.map((table) => `SELECT ${table.oid} AS oid WHERE EXISTS (SELECT FROM ONLY ${quoteTable(table)})`);
  try {
    const { rows } = await client.query<{ oid: number }>(asks.join(" UNION ALL "));
    return rows.map(({ oid }) => oid);
  } catch (thrown) {
    if (!CANNOT_TELL.has(failureCode(thrown) ?? "")) throw thrown;
    if (tables.length === 1) return tables.map(({ oid }) => oid);
    // One of them spoils the question for all: halve until it is alone.
    const half = Math.ceil(tables.length / 2);
    return [...(await lookInto(client, tables.slice(0, half), deadline)), ...(await lookInto(client, tables.slice(half), deadline))];
  }
}
