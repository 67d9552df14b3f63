import { type ErrorKind } from "../../contracts/errors.ts";
import { type End, type FindingDraft, type PairCheck } from "./check.ts";
import { readSettings } from "./end.ts";

/** Sessions beside the load's streams: checks, replication, bookkeeping, heartbeat of the sync. */
const OTHER_SESSIONS = 6;

const connections: PairCheck = {
  kind: "TooFewConnections",
  scope: "both",
  async run({ source, target, settings: { fullLoadStreams, indexBuilders } }) {
    return [
      ...(await tooFew(source, fullLoadStreams + OTHER_SESSIONS)),
      ...(await tooFew(target, fullLoadStreams + indexBuilders + OTHER_SESSIONS)),
    ];
  },
};

interface ConnectionUse {
  readonly max: number;
  readonly reserved: number;
  readonly used: number;
  readonly role_limit: number;
  readonly role_used: number;
  readonly database_limit: number;
  readonly database_used: number;
}

/** How many sessions can still be opened, by the tightest of the server's, the role's and the database's limit. Pure. */
export function connectionsLeft(use: ConnectionUse): number {
  const within = (limit: number, used: number): number => (limit < 0 ? Infinity : limit - used);
  return Math.min(use.max - use.reserved - use.used, within(use.role_limit, use.role_used), within(use.database_limit, use.database_used));
}

async function tooFew({ client, server }: End, needed: number): Promise<FindingDraft[]> {
  const { rows } = await client.query<ConnectionUse>(
    `SELECT current_setting('max_connections')::int AS max, current_setting('superuser_reserved_connections')::int AS reserved,
            (SELECT count(*)::int FROM pg_stat_activity WHERE datid IS NOT NULL) AS used,
            r.rolconnlimit AS role_limit, (SELECT count(*)::int FROM pg_stat_activity WHERE usename = session_user) AS role_used,
            d.datconnlimit AS database_limit, (SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()) AS database_used
       FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()`,
  );
  const left = rows[0] ? connectionsLeft(rows[0]) : Infinity;
  return left >= needed ? [] : [{ detail: `The ${server.side} has ${Math.max(0, left)} left for this user; ${needed} are needed.` }];
}

/** Past this share of all locks a statement over everything is likely to fail, since others need locks as well. */
const LOCK_SHARE_MAX = 0.8;

/**
 * Past so many times its locks no server can hold them: the table of locks grows into shared memory that is left over. With
 * the default settings a restore of 17,500 objects did not fit into 2.7 times the locks.
 */
const LOCK_SHARE_SURE_TO_FAIL = 4;

const locks: PairCheck = {
  kind: "TooFewLocks",
  scope: "both",
  alsoFinds: ["TooFewLocksForSchema"],
  async run({ source, target, schemaIsOurs }) {
    const { tables, relations } = await countRelations(source);
    return [
      ...(await tooFewLocks(source, tables, "tables, all locked by pg_dump or for the publication")),
      ...(schemaIsOurs
        ? await tooFewLocks(target, relations, "tables, indexes and sequences, made in one transaction", "TooFewLocksForSchema")
        : []),
    ];
  },
};

async function countRelations({ client }: End): Promise<{ tables: number; relations: number }> {
  const { rows } = await client.query<{ tables: number; relations: number }>(
    // A table with a TOAST table has that and its index locked as well.
    `SELECT count(CASE WHEN c.relkind IN ('r', 'p') THEN 1 END)::int AS tables,
            (count(*) + 2 * count(CASE WHEN c.reltoastrelid <> 0 THEN 1 END))::int AS relations
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relkind IN ('r', 'p', 'i', 'I', 'S', 'm', 'v')`,
  );
  return rows[0] ?? { tables: 0, relations: 0 };
}

const LOCK_SETTINGS = ["max_locks_per_transaction", "max_connections", "max_prepared_transactions"];

async function tooFewLocks({ client, server }: End, needed: number, what: string, kindWhenSure?: ErrorKind): Promise<FindingDraft[]> {
  const settings = await readSettings(client, LOCK_SETTINGS);
  const [perTransaction = 0, sessions = 0, prepared = 0] = LOCK_SETTINGS.map((name) => Number(settings.get(name)));
  const capacity = perTransaction * (sessions + prepared);
  if (needed <= capacity * LOCK_SHARE_MAX) return [];
  const wanted = locksPerTransaction(needed, sessions + prepared);
  return [
    {
      ...(kindWhenSure !== undefined && needed > capacity * LOCK_SHARE_SURE_TO_FAIL ? { kind: kindWhenSure } : {}),
      detail: `The ${server.side} has about ${capacity} locks in all, for ${needed} ${what}.`,
      remedy: `On the ${server.side}: ALTER SYSTEM SET max_locks_per_transaction = ${wanted}; then restart it (on Azure: set the server parameter).`,
    },
  ];
}

/** The setting that leaves room for others as well, as a power of two. Pure. */
const locksPerTransaction = (needed: number, sessions: number): number =>
  2 ** Math.max(7, Math.ceil(Math.log2(needed / LOCK_SHARE_MAX / Math.max(1, sessions))));

/** Below this nobody needs to be told. */
const SPACE_WORTH_SAYING_BYTES = 1024 ** 3;

/** What the target must have room for, in words; undefined when it is little. Pure. */
export function spaceNeeded(sizeBytes: number): string | undefined {
  if (sizeBytes < SPACE_WORTH_SAYING_BYTES) return undefined;
  return `The selected tables hold ${(sizeBytes / 1024 ** 3).toFixed(1)} GiB without their indexes.`;
}

const space: PairCheck = {
  kind: "TargetSpaceNeeded",
  scope: "both",
  run({ tables }) {
    const detail = spaceNeeded(tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    return Promise.resolve(detail === undefined ? [] : [{ detail }]);
  },
};

/** Whether both servers have enough of what a migration uses up. */
export const capacityChecks: readonly PairCheck[] = [connections, locks, space];
