import { setMaxListeners } from "node:events";
import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { type Comparison } from "../../contracts/reports.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { connect, versionNum, withConnection } from "../postgres/connect.ts";
import { readEncoding, SQL_ASCII } from "../postgres/encoding.ts";
import { withRetry } from "../postgres/retry.ts";
import { type Server } from "../postgres/server.ts";
import { abortable, closeSession, openSession, type Session } from "../schema/abortable.ts";
import { readShapes, type TableShape } from "./compare-columns.ts";
import { checksumSql, countSql, type ComparedColumn, type CompareQuery } from "./compare-sql.ts";

/** A table of the source, where its rows are on the target, and the columns that were migrated. */
export interface ComparedTable extends TableName {
  readonly target: TableName;
  readonly columns: readonly { readonly name: string }[];
}

export interface CompareOptions<T extends ComparedTable> {
  readonly source: Server;
  readonly target: Server;
  readonly tables: readonly T[];
  readonly mode: "checksum" | "count";
  /** Tables at once; each takes one session on either side. */
  readonly connections: number;
  readonly clientEncoding?: string;
  readonly signal: AbortSignal;
  /** Told of each table as its comparison is done. */
  readonly onTable?: (table: T, comparison: Comparison) => void;
}

/** Source tables whose rows are together in one table of the target. */
interface Group<T> {
  readonly target: TableName;
  readonly tables: readonly T[];
}

/** The floats' text became the shortest exact one in 12. */
const SHORTEST_FLOATS_SINCE = 120_000;

/**
 * Compares tables of both sides, each at the same time on both. Where several tables go to one of the target, their rows
 * are added up, and each gets the comparison of the whole.
 * @throws MigrationError TableMissingOnSource or TableMissingOnTarget, ColumnMissingOnTarget; what a server says; the signal's reason.
 */
export async function compareTables<T extends ComparedTable>(options: CompareOptions<T>): Promise<void> {
  const { source, target, tables, connections, signal } = options;
  const [sources, targets] = await Promise.all([
    readSide(
      source,
      tables.map(({ schema, name }) => ({ schema, name })),
      signal,
    ),
    readSide(
      target,
      tables.map((table) => table.target),
      signal,
    ),
  ]);
  const waiting = groupByTarget(tables);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, either); // a few for each session
  const worker = async (): Promise<void> => {
    const sessions = { source: new QuerySession(source, options, either), target: new QuerySession(target, options, either) };
    try {
      for (let group = waiting.shift(); group; group = waiting.shift()) {
        const comparison = await compareGroup(group, { sources, targets, mode: options.mode }, sessions);
        for (const table of group.tables) options.onTable?.(table, comparison);
      }
    } finally {
      await Promise.all([sessions.source.close(), sessions.target.close()]);
    }
  };
  const workers = Array.from({ length: Math.min(connections, waiting.length) }, () =>
    worker().catch((thrown: unknown) => stop.abort(thrown)),
  );
  await Promise.all(workers);
  either.throwIfAborted();
}

interface SideFacts {
  readonly versionNum: number;
  readonly encoding: string;
  readonly shapes: ReadonlyMap<string, TableShape>;
}

const readSide = (server: Server, tables: readonly TableName[], signal: AbortSignal): Promise<SideFacts> =>
  withRetry(
    () =>
      withConnection(server, { purpose: "compare" }, async (client) => {
        const version = await versionNum(client);
        return { versionNum: version, encoding: await readEncoding(client), shapes: await readShapes(client, version, tables) };
      }),
    { signal },
  );

function groupByTarget<T extends ComparedTable>(tables: readonly T[]): Group<T>[] {
  const groups = new Map<string, T[]>();
  for (const table of tables) groups.set(tableKey(table.target), [...(groups.get(tableKey(table.target)) ?? []), table]);
  return [...groups.values()].flatMap((members) => (members[0] ? [{ target: members[0].target, tables: members }] : []));
}

/** Rows and checksum of one side; a checksum is null when only rows were counted. */
interface Sum {
  readonly rows: bigint;
  readonly checksum: bigint | null;
}

interface Facts {
  readonly sources: SideFacts;
  readonly targets: SideFacts;
  readonly mode: "checksum" | "count";
}

interface Sessions {
  readonly source: QuerySession;
  readonly target: QuerySession;
}

async function compareGroup(group: Group<ComparedTable>, { sources, targets, mode }: Facts, sessions: Sessions): Promise<Comparison> {
  const queries = group.tables.map((table) => queriesOf(table, sources, targets));
  const sqlOf = mode === "checksum" ? checksumSql : countSql;
  const sourceStatements = queries.map((query) => sqlOf(query.source));
  const targetStatements = queries.slice(0, 1).map((query) => sqlOf(query.target));
  const [ours, theirs] = await Promise.all([sessions.source.addUp(sourceStatements), sessions.target.addUp(targetStatements)]);
  return {
    sourceRows: String(ours.rows),
    targetRows: String(theirs.rows),
    sourceChecksum: ours.checksum === null ? null : String(ours.checksum),
    targetChecksum: theirs.checksum === null ? null : String(theirs.checksum),
    equal: ours.rows === theirs.rows && ours.checksum === theirs.checksum,
  };
}

/** One session that runs one long query after the other; an abort ends the query on the server too. */
class QuerySession {
  private readonly open: () => Promise<pg.Client>;
  private readonly signal: AbortSignal;
  private session: Session | undefined;

  constructor(server: Server, { clientEncoding }: { readonly clientEncoding?: string }, signal: AbortSignal) {
    const options = { purpose: "compare", ...(clientEncoding === undefined ? {} : { clientEncoding }) };
    this.open = () => connect(server, options);
    this.signal = signal;
  }

  async addUp(statements: readonly string[]): Promise<Sum> {
    let sum: Sum = { rows: 0n, checksum: 0n };
    for (const sql of statements) {
      const { rows, checksum } = await withRetry(() => this.run(sql), { signal: this.signal });
      sum = { rows: sum.rows + rows, checksum: sum.checksum === null || checksum === null ? null : sum.checksum + checksum };
    }
    return sum;
  }

  async close(): Promise<void> {
    if (this.session) await closeSession(this.session);
    this.session = undefined;
  }

  private async run(sql: string): Promise<Sum> {
    this.session ??= await openSession(this.open);
    try {
      return await abortable(this.session, this.open, this.signal, (client) => sumOf(client, sql));
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }
}

async function sumOf(client: pg.ClientBase, sql: string): Promise<Sum> {
  const { rows } = await client.query<{ rows: string; checksum: string | null }>(sql);
  const [row] = rows;
  if (!row) throw new Error("an aggregate gave no row");
  return { rows: BigInt(row.rows), checksum: row.checksum === null ? null : BigInt(row.checksum) };
}

/** Where a side knows no encoding, its bytes are compared as they are. */
function differencesOf(
  sources: SideFacts,
  targets: SideFacts,
): Pick<CompareQuery, "floatTextDiffers" | "encodingDiffers" | "blanksDiffer"> {
  const isOneWithout = sources.encoding !== targets.encoding && [sources.encoding, targets.encoding].includes(SQL_ASCII);
  return {
    floatTextDiffers: sources.versionNum >= SHORTEST_FLOATS_SINCE !== targets.versionNum >= SHORTEST_FLOATS_SINCE,
    encodingDiffers: sources.encoding !== targets.encoding && !isOneWithout,
    blanksDiffer: isOneWithout,
  };
}

function queriesOf(
  table: ComparedTable,
  sources: SideFacts,
  targets: SideFacts,
): { readonly source: CompareQuery; readonly target: CompareQuery } {
  const ours = sources.shapes.get(tableKey(table));
  const theirs = targets.shapes.get(tableKey(table.target));
  if (!ours) throw new MigrationError("TableMissingOnSource", { table: displayName(table), detail: `${displayName(table)}.` });
  if (!theirs) throw new MigrationError("TableMissingOnTarget", { table: displayName(table), detail: `${displayName(table.target)}.` });
  const columns = comparedNames(table, ours, theirs).map((name): { readonly source: ComparedColumn; readonly target: ComparedColumn } => {
    const [here, there] = [ours.columns.get(name), theirs.columns.get(name)];
    if (!here || !there)
      throw new MigrationError(here ? "ColumnMissingOnTarget" : "SourceTableChanged", {
        table: displayName(table),
        detail: `Column ${name} of ${displayName(table)} is gone on the ${here ? "target" : "source"}.`,
      });
    const types = { name, targetTypeOid: there.typeOid };
    return { source: { ...types, typeOid: sameKind(here.typeOid, there.typeOid) }, target: { ...types, typeOid: there.typeOid } };
  });
  const differences = differencesOf(sources, targets);
  return {
    source: { table, isPartitioned: ours.isPartitioned, columns: columns.map((column) => column.source), ...differences },
    target: { table: table.target, isPartitioned: theirs.isPartitioned, columns: columns.map((column) => column.target), ...differences },
  };
}

/** The oids of types that users made differ from database to database: such a pair counts as one type. */
const FIRST_USER_OID = 16_384;
const sameKind = (sourceOid: number, targetOid: number): number =>
  sourceOid >= FIRST_USER_OID && targetOid >= FIRST_USER_OID ? targetOid : sourceOid;

/** The migrated columns, and those that both sides compute by themselves; by name, so that both sides agree on the order. */
function comparedNames({ columns }: ComparedTable, ours: TableShape, theirs: TableShape): string[] {
  const names = new Set(columns.map(({ name }) => name));
  for (const [name, { isGenerated }] of ours.columns) if (isGenerated && theirs.columns.get(name)?.isGenerated === true) names.add(name);
  return [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
