import type pg from "pg";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { withConnection } from "../postgres/connect.ts";
import { failureCode, isTransient } from "../postgres/failures.ts";
import { quoteLiteral, quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { type Server } from "../postgres/server.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { inOwnedTransaction, type Ownership } from "../target/ownership.ts";
import { listSequences, type ListedSequence } from "./list-sequences.ts";
import { readSequences, type SequenceState } from "./sequences.ts";

/** A migrated table: its own name, its name on the target, and the partitioned table above it, which may own the sequence. */
export interface SequenceTable extends TableName {
  readonly target: TableName;
  readonly partitionRoot?: TableName | undefined;
}

/** A sequence of the source and the one of the target that stands for it. */
interface SequencePair {
  readonly source: SequenceState;
  readonly target: TableName;
}

interface SequenceMapping {
  readonly pairs: readonly SequencePair[];
  /** Sequences that the target lacks. */
  readonly missing: readonly SequenceState[];
}

/**
 * Decides which sequence of the target takes which state: the one of the same column, else the one of the same name. Pure.
 * Sequences that only serve tables that are not migrated are left alone; one that serves no table at all is migrated.
 */
export function mapSequences(
  source: readonly SequenceState[],
  target: readonly ListedSequence[],
  tables: readonly SequenceTable[],
): SequenceMapping {
  const targetOf = new Map(tables.map((table) => [tableKey(table), table.target]));
  for (const { partitionRoot } of tables) if (partitionRoot) targetOf.set(tableKey(partitionRoot), partitionRoot);
  const byColumn = new Map(target.flatMap((each) => (each.owner ? [[columnKey(each.owner, each.owner.column), each] as const] : [])));
  const byName = new Map(target.map((each) => [tableKey(each), each]));
  const pairs: SequencePair[] = [];
  const missing: SequenceState[] = [];
  for (const sequence of source) {
    if (!isWanted(sequence, targetOf)) continue;
    const { owner } = sequence;
    const table = owner && targetOf.get(tableKey(owner));
    const found = (owner && table && byColumn.get(columnKey(table, owner.column))) ?? byName.get(tableKey(sequence));
    if (found) pairs.push({ source: sequence, target: { schema: found.schema, name: found.name } });
    else missing.push(sequence);
  }
  return { pairs, missing };
}

function isWanted({ owner, usedBy }: SequenceState, migrated: ReadonlyMap<string, TableName>): boolean {
  const tables = owner ? [owner, ...usedBy] : usedBy;
  return tables.length === 0 || tables.some((table) => migrated.has(tableKey(table)));
}

const columnKey = ({ schema, name }: TableName, column: string): string => JSON.stringify([schema, name, column]);

/** The migration's tables as sequences know them. */
export const sequenceTables = (tables: readonly ListedTable[]): SequenceTable[] =>
  tables.map(({ schema, name, target, definition }) => ({ schema, name, target, partitionRoot: definition.partitionRoot }));

export interface SetSequencesOptions {
  readonly source: Server;
  readonly target: Server;
  readonly ownership: Ownership;
  readonly tables: readonly SequenceTable[];
  readonly signal: AbortSignal;
}

/** A sequence that is not where it should be, with the statement that sets it. */
interface SequenceFailure {
  /** Of the source, as people read it. */
  readonly sequence: string;
  readonly statement: string;
  readonly reason: string;
}

export interface SequencesSet {
  readonly set: number;
  readonly failures: readonly SequenceFailure[];
}

/**
 * Puts the target's sequences exactly where the source's are. May be repeated: what counts is where the source is then.
 * What could not be set is in the result, not thrown.
 * @throws MigrationError LostOwnership; what the source says, 42501 when a sequence may not be read; the signal's reason.
 */
export async function setSequences({ source, target, ownership, tables, signal }: SetSequencesOptions): Promise<SequencesSet> {
  const retry = { signal };
  const states = await withRetry(() => withConnection(source, { purpose: "sequences" }, readSequences), retry);
  return withRetry(
    () =>
      withConnection(target, { purpose: "sequences" }, async (client) => {
        const { pairs, missing } = mapSequences(states, await listSequences(client), tables);
        const failures = await inOwnedTransaction(client, ownership, () => setAll(client, pairs));
        return { set: pairs.length - failures.length, failures: [...missing.map(missingFailure), ...failures] };
      }),
    retry,
  );
}

/** So many sequences go in one round trip while all goes well. */
const BATCH_MAX = 200;

/** In one transaction. (What setval has set stays set even if it is rolled back: setval is not transactional.) */
async function setAll(client: pg.ClientBase, pairs: readonly SequencePair[]): Promise<SequenceFailure[]> {
  const failures: SequenceFailure[] = [];
  for (let at = 0; at < pairs.length; at += BATCH_MAX) {
    const batch = pairs.slice(at, at + BATCH_MAX);
    const refused = await refusalOf(client, batch);
    await passing("sequences-half-set");
    // One of them cannot be set: which one, and is it the only one?
    if (refused !== undefined) for (const pair of batch) failures.push(...(await setOne(client, pair)));
  }
  return failures;
}

async function setOne(client: pg.ClientBase, pair: SequencePair): Promise<SequenceFailure[]> {
  const reason = await refusalOf(client, [pair]);
  return reason === undefined ? [] : [{ sequence: displayName(pair.source), statement: setvalSql(pair.target, pair.source), reason }];
}

/** Sets sequences under a savepoint. @returns why the server refused; undefined when all are set. */
async function refusalOf(client: pg.ClientBase, pairs: readonly SequencePair[]): Promise<string | undefined> {
  const statements = pairs.map(({ source, target }) => setvalSql(target, source)).join("; ");
  try {
    await client.query(`SAVEPOINT pgdms_sequence; ${statements}; RELEASE SAVEPOINT pgdms_sequence`);
    return undefined;
  } catch (thrown) {
    if (failureCode(thrown) === undefined || isTransient(thrown)) throw thrown;
    await client.query("ROLLBACK TO SAVEPOINT pgdms_sequence");
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
}

const setvalSql = (target: TableName, { lastValue, isCalled }: SequenceState): string =>
  `SELECT setval(${quoteLiteral(quoteTable(target))}::regclass, ${lastValue}, ${isCalled})`;

const missingFailure = (sequence: SequenceState): SequenceFailure => ({
  sequence: displayName(sequence),
  statement: `CREATE SEQUENCE ${quoteTable(sequence)}; ${setvalSql(sequence, sequence)}`,
  reason: "the target has no such sequence",
});
