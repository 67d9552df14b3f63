import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { versionNum as readVersionNum } from "../postgres/connect.ts";
import { inOwnedTransaction, type Ownership } from "../target/ownership.ts";
import { quietEventTriggers } from "../target/replica-role.ts";
import { inSession } from "./abortable.ts";
import { foreignKeyGroups, unvalidatedCheckGroups } from "./constraint-definitions.ts";
import { readScope, type ScopeTable } from "./deferral-scope.ts";
import { definitionKey, readDeferred, recordDefinitions } from "./deferred-ddl.ts";
import { readIndexes } from "./index-catalog.ts";
import { chooseTrees, indexGroup, type DeferralGroup, type KeptDefinition } from "./index-definitions.ts";
import { firingGroups, identityGroups } from "./quiet-definitions.ts";

export interface Deferral {
  readonly connectTarget: () => Promise<pg.Client>;
  readonly ownership: Ownership;
  /** The selected tables; they should hold no rows, or building their indexes again takes long. */
  readonly tables: readonly TableName[];
  /** False leaves indexes and keys where they are; foreign keys, triggers and identities must go all the same. */
  readonly deferIndexes: boolean;
  /** Tables of so few rows that keeping their indexes up costs less than three transactions to build them again. */
  readonly small?: readonly TableName[];
  /** So many locks one transaction takes at most (one tree of partitioned indexes may need more). */
  readonly locksPerTransaction?: number;
  readonly signal: AbortSignal;
  /** Told after each transaction: how many definitions were taken away, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface DeferralOutcome {
  /** How many definitions were taken away just now (none when an earlier worker has done it). */
  readonly deferred: number;
  /** Whether sessions of ours may set session_replication_role to replica. */
  readonly hasReplicaRole: boolean;
  readonly kept: readonly KeptDefinition[];
}

const LOCKS_PER_TRANSACTION_MAX = 500;

/**
 * Takes away what slows or breaks the load of the tables: what would fire, foreign keys, checks that old rows break, and
 * indexes with their keys. Each thing is recorded in pgdms.deferred_ddl in the transaction that takes it away, so a crash
 * loses no definition; called again it goes on with what is left. What was brought back already stays.
 *
 * Not for tables that hold another's attention: it waits for their locks.
 * @throws MigrationError LostOwnership, the signal's reason, or the server's error.
 */
export async function deferDefinitions({
  connectTarget,
  ownership,
  tables,
  deferIndexes,
  small = [],
  locksPerTransaction = LOCKS_PER_TRANSACTION_MAX,
  signal,
  onProgress,
}: Deferral): Promise<DeferralOutcome> {
  return inSession(connectTarget, signal, async (client) => {
    const hasReplicaRole = await quietEventTriggers(client);
    const { groups, kept } = await readGroups(client, tables, { deferIndexes, small, hasReplicaRole });
    const known = new Set((await readDeferred(client)).map(definitionKey));
    const fresh = groups.filter(({ definitions }) => !definitions.some((definition) => known.has(definitionKey(definition))));
    const deferred = countOf(fresh);
    let done = 0;
    for (const batch of batches(fresh, locksPerTransaction)) {
      signal.throwIfAborted();
      await takeAway(client, ownership, batch);
      await passing("definitions-half-deferred");
      onProgress?.((done += countOf(batch)), deferred);
    }
    return { deferred, hasReplicaRole, kept };
  });
}

const countOf = (groups: readonly DeferralGroup[]): number => groups.reduce((sum, { definitions }) => sum + definitions.length, 0);

async function readGroups(
  client: pg.Client,
  tables: readonly TableName[],
  { deferIndexes, small, hasReplicaRole }: { deferIndexes: boolean; small: readonly TableName[]; hasReplicaRole: boolean },
): Promise<{ groups: DeferralGroup[]; kept: KeptDefinition[] }> {
  const version = await readVersionNum(client);
  const scope = await readScope(client, tables);
  const all = oids(scope);
  const { trees, kept } = deferIndexes
    ? chooseTrees(await readIndexes(client, version, oids(scope.filter(worthDeferring(small)))), (await lockCapacity(client)) / 2)
    : { trees: [], kept: [] };
  const groups = [
    ...(await firingGroups(client, version, all, hasReplicaRole)),
    ...(await identityGroups(client, version, all)),
    ...(await foreignKeyGroups(client, version, all, hasReplicaRole ? "sync" : "cutover")),
    ...(await unvalidatedCheckGroups(client, version, all)),
    ...trees.map(indexGroup),
  ];
  return { groups, kept };
}

/** Partitions share their indexes with their parent, so they go or stay together, whatever their size. */
function worthDeferring(small: readonly TableName[]): (table: ScopeTable) => boolean {
  const keys = new Set(small.map(tableKey));
  return (table) => table.isComplete && (table.isPartition || table.isPartitioned || !keys.has(tableKey(table)));
}

const oids = (scope: readonly ScopeTable[]): number[] => scope.map(({ oid }) => oid);

/** How many locks all sessions of the server can hold together (manual, 19.12 "Lock Management"). */
async function lockCapacity(client: pg.ClientBase): Promise<number> {
  const { rows } = await client.query<{ capacity: number }>(
    `SELECT (current_setting('max_locks_per_transaction')::int
             * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int))::int AS capacity`,
  );
  return rows[0]?.capacity ?? LOCKS_PER_TRANSACTION_MAX;
}

/** Pure: groups in their order, packed so that a batch stays within the locks of a transaction. */
function batches(groups: readonly DeferralGroup[], locksMax: number): DeferralGroup[][] {
  const packed: DeferralGroup[][] = [];
  let locks = Infinity;
  for (const group of groups) {
    if (locks + group.locks > locksMax) {
      packed.push([]);
      locks = 0;
    }
    packed.at(-1)?.push(group);
    locks += group.locks;
  }
  return packed;
}

async function takeAway(client: pg.Client, ownership: Ownership, batch: readonly DeferralGroup[]): Promise<void> {
  await inOwnedTransaction(client, ownership, async () => {
    await recordDefinitions(
      client,
      batch.flatMap(({ definitions }) => definitions),
    );
    await client.query(batch.flatMap(({ drops }) => drops).join(";\n"));
  });
}
