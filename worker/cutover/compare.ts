import { setMaxListeners } from "node:events";
import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { type Comparison } from "../../contracts/reports.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { SnapshotLost } from "../full-load/snapshot-lost.ts";
import { beginInSnapshotSql, isSnapshotUnknown, type LoadSnapshot, lockUnrewrittenSql } from "../full-load/snapshot-session.ts";
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
  /** The source as of this snapshot; without it, as it is now. */
  readonly snapshot?: LoadSnapshot;
  /** Asked before each table but the first; false leaves out what is left. */
  readonly mayBegin?: () => boolean;
  /** Told of each table as its comparison is done; waited for. */
  readonly onTable?: (table: T, comparison: Comparison) => unknown;
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
 * @throws SnapshotLost when the snapshot is gone, or a table was rewritten since.
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
  let begun = 0;
  const next = (): Group<T> | undefined => (begun++ > 0 && options.mayBegin?.() === false ? undefined : waiting.shift());
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, either); // a few for each session
  const worker = async (): Promise<void> => {
    const { snapshot, ...now } = options;
    const sessions = { source: new QuerySession(source, { ...now, snapshot }, either), target: new QuerySession(target, now, either) };
    try {
      for (let group = next(); group; group = next()) {
        const comparison = await compareGroup(group, { sources, targets, mode: options.mode }, sessions);
        for (const table of group.tables) await options.onTable?.(table, comparison);
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
  const sourceSums = queries.map(({ source }) => ({ table: source.table, sql: sqlOf(source) }));
  const targetSums = queries.slice(0, 1).map(({ target }) => ({ table: target.table, sql: sqlOf(target) }));
  const [ours, theirs] = await Promise.all([sessions.source.addUp(sourceSums), sessions.target.addUp(targetSums)]);
  return {
    sourceRows: String(ours.rows),
    targetRows: String(theirs.rows),
    sourceChecksum: ours.checksum === null ? null : String(ours.checksum),
    targetChecksum: theirs.checksum === null ? null : String(theirs.checksum),
    equal: ours.rows === theirs.rows && ours.checksum === theirs.checksum,
  };
}

/** What one side is asked for a sum. */
interface SumQuery {
  readonly table: TableName;
  readonly sql: string;
}

interface SessionOptions {
  readonly clientEncoding?: string;
  readonly snapshot?: LoadSnapshot | undefined;
}

/** One session that runs one long query after the other; an abort ends the query on the server too. */
class QuerySession {
  private readonly open: () => Promise<pg.Client>;
  private readonly snapshot: LoadSnapshot | undefined;
  private readonly signal: AbortSignal;
  private session: Session | undefined;

  constructor(server: Server, { clientEncoding, snapshot }: SessionOptions, signal: AbortSignal) {
    const options = { purpose: "compare", ...(clientEncoding === undefined ? {} : { clientEncoding }) };
    this.open = () => connect(server, options);
    this.snapshot = snapshot;
    this.signal = signal;
  }

  async addUp(queries: readonly SumQuery[]): Promise<Sum> {
    let sum: Sum = { rows: 0n, checksum: 0n };
    for (const query of queries) {
      const { rows, checksum } = await withRetry(() => this.run(query), { signal: this.signal });
      sum = { rows: sum.rows + rows, checksum: sum.checksum === null || checksum === null ? null : sum.checksum + checksum };
    }
    return sum;
  }

  async close(): Promise<void> {
    if (this.session) await closeSession(this.session);
    this.session = undefined;
  }

  private async run({ table, sql }: SumQuery): Promise<Sum> {
    const isNew = this.session === undefined;
    this.session ??= await openSession(this.open);
    try {
      return await abortable(this.session, this.open, this.signal, async (client) => {
        if (!this.snapshot) return sumOf(client, sql);
        if (isNew) await enterSnapshot(client, this.snapshot);
        await lockUnrewritten(client, table);
        const sum = await sumOf(client, sql);
        await client.query("ROLLBACK TO SAVEPOINT compared"); // and the lock goes
        return sum;
      });
    } catch (thrown) {
      await this.close();
      throw thrown;
    }
  }
}

/** @throws SnapshotLost */
async function enterSnapshot(client: pg.ClientBase, snapshot: LoadSnapshot): Promise<void> {
  if (!snapshot.isAlive()) throw new SnapshotLost("the session that exported the snapshot has ended");
  try {
    await client.query(`${beginInSnapshotSql(snapshot)}; SAVEPOINT compared`);
  } catch (thrown) {
    throw isSnapshotUnknown(thrown) ? new SnapshotLost("the source does not know the snapshot any more", thrown) : thrown;
  }
}

/** @throws SnapshotLost when the table was rewritten since the snapshot, which cannot see its rows then. */
async function lockUnrewritten(client: pg.ClientBase, table: TableName): Promise<void> {
  // Several statements give several results, which the types do not know.
  const results: unknown = await client.query(lockUnrewrittenSql(table));
  const [, unrewritten] = results as readonly pg.QueryResult[];
  if (unrewritten?.rowCount !== 1) throw new SnapshotLost(`${displayName(table)} was rewritten since the snapshot`);
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
