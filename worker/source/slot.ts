import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { failureCode } from "../postgres/failures.ts";

/** What the source says of a slot. */
export interface SlotState {
  readonly plugin: string;
  readonly databaseName: string;
  readonly isActive: boolean;
  /** The process that reads it; null when none does, and before PostgreSQL 9.5. */
  readonly activePid: number | null;
  /** Changes from here on are still there to be sent. Null before PostgreSQL 9.6, which does not show it. */
  readonly confirmedFlushLsn: Lsn | null;
  /** WAL from here on is kept. Null when the slot is lost. */
  readonly restartLsn: Lsn | null;
  /** reserved, extended, unreserved or lost; null before PostgreSQL 13. */
  readonly walStatus: string | null;
  /** Bytes of WAL that may be written before the slot is in danger; null when unlimited or not known. */
  readonly safeWalSizeBytes: number | null;
  /** WAL that the slot keeps on the source, in bytes. */
  readonly walHeldBytes: number;
}

interface Row {
  readonly plugin: string;
  readonly database: string;
  readonly active: boolean;
  readonly active_pid: number | null;
  readonly confirmed_flush_lsn: string | null;
  readonly restart_lsn: string | null;
  readonly wal_status: string | null;
  readonly safe_wal_size: string | null;
  readonly wal_held: string;
}

/** The end of WAL, also on a standby, in the functions' names before and since PostgreSQL 10. */
const walEnd = (versionNum: number): string =>
  versionNum >= 100_000
    ? "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
    : "CASE WHEN pg_is_in_recovery() THEN pg_last_xlog_replay_location() ELSE pg_current_xlog_location() END";

const slotSql = (versionNum: number): string => `
  SELECT plugin::text AS plugin, database::text AS database, active,
         ${versionNum >= 90_500 ? "active_pid" : "NULL::int AS active_pid"},
         ${versionNum >= 90_600 ? "confirmed_flush_lsn::text" : "NULL::text AS confirmed_flush_lsn"},
         restart_lsn::text AS restart_lsn,
         ${versionNum >= 130_000 ? "wal_status, safe_wal_size::text" : "NULL::text AS wal_status, NULL::text AS safe_wal_size"},
         coalesce(greatest(${walEnd(versionNum)} - restart_lsn, 0), 0)::bigint::text AS wal_held
    FROM pg_replication_slots WHERE slot_name = $1`;

const lsnOrNull = (text: string | null): Lsn | null => (text === null ? null : parseLsn(text));

/** Reads one slot by its exact name; undefined when there is none. */
export async function readSlot(source: pg.ClientBase, versionNum: number, slot: string): Promise<SlotState | undefined> {
  const { rows } = await source.query<Row>(slotSql(versionNum), [slot]);
  const row = rows[0];
  return (
    row && {
      plugin: row.plugin,
      databaseName: row.database,
      isActive: row.active,
      activePid: row.active_pid,
      confirmedFlushLsn: lsnOrNull(row.confirmed_flush_lsn),
      restartLsn: lsnOrNull(row.restart_lsn),
      walStatus: row.wal_status,
      safeWalSizeBytes: row.safe_wal_size === null ? null : Number(row.safe_wal_size),
      walHeldBytes: Number(row.wal_held),
    }
  );
}

const UNDEFINED_OBJECT = "42704";
const OBJECT_IN_USE = "55006";

const DROP_RETRY_MS = 100;
const DROP_TIMEOUT_MS = 30_000;

export interface DropSlotOptions {
  readonly signal?: AbortSignal;
  /** How long to wait for whoever still reads the slot. */
  readonly timeoutMs?: number;
  /** A walsender of ours: ended if it is the one that holds the slot. Nobody else's session is ever ended. */
  readonly ownWalSenderPid?: number;
}

/**
 * Makes sure that a slot is gone. The name is taken exactly, never as a pattern.
 * @throws the server's 55006 (object_in_use) when somebody still reads it after the time limit.
 */
export async function dropSlot(source: pg.ClientBase, slot: string, options: DropSlotOptions = {}): Promise<void> {
  const { signal, timeoutMs = DROP_TIMEOUT_MS, ownWalSenderPid } = options;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    try {
      await source.query("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", [slot]);
      return;
    } catch (thrown) {
      const code = failureCode(thrown);
      if (code === UNDEFINED_OBJECT) return; // gone between the two looks
      if (code !== OBJECT_IN_USE || Date.now() >= deadline) throw thrown;
    }
    if (ownWalSenderPid !== undefined) await endWalSender(source, ownWalSenderPid);
    await sleep(DROP_RETRY_MS, undefined, { signal });
  }
}

/**
 * The slot of a snapshot beside the migration's own slot. It ends with its session, and until then keeps WAL as any slot does.
 * @param kind t: of the load, r: of a reload
 */
export const snapshotSlot = (slot: string, kind: "t" | "r", epoch: number): string => `${slot.slice(0, 50)}_${kind}${epoch}`;

/** The slot by which a backlog is read beside the migration's own slot: its epoch is the worker's that made it. */
export const catchUpSlot = (slot: string, epoch: number): string => `${slot.slice(0, 50)}_c${epoch}`;

/** What the name of a slot beside a migration's own says; undefined: it is no such name. */
export function readSlotBeside(name: string): { readonly slot: string; readonly kind: string; readonly epoch: number } | undefined {
  const [, slot, kind, epoch] = /^(.+)_([trc])(\d+)$/.exec(name) ?? [];
  return slot === undefined || kind === undefined ? undefined : { slot, kind, epoch: Number(epoch) };
}

/** How the session is called that makes a slot and exports its snapshot. */
export const exporterPurpose = (slot: string): string => `slot ${slot}`;

/**
 * Ends the sessions that still hold snapshots of a migration, and with them their slots. A connection that broke on the way may
 * leave its session on the source for hours, and nothing else would let go the WAL that its slot keeps.
 * @param slot the migration's own slot, which is left alone
 * @param epochMax the worker's own: a later worker's snapshot is not ours to end
 */
export async function dropSnapshotSlots(source: pg.ClientBase, slot: string, epochMax = Infinity): Promise<void> {
  for (const { name, isTemporary } of await slotsBeside(source, slot, ["t", "r"], epochMax)) {
    await endSessions(source, exporterPurpose(name));
    if (!isTemporary) await dropSlot(source, name);
  }
}

/** How the sessions are called that read a backlog by a slot of their own. */
export const catchUpPurpose = (taskId: string): string => `${taskId.slice(0, 8)} catch-up`;

/** Ends what reads a backlog of the migration, and drops its slot. Parameters as of dropSnapshotSlots. */
export async function dropCatchUpSlots(source: pg.ClientBase, slot: string, taskId: string, epochMax = Infinity): Promise<void> {
  for (const { name } of await slotsBeside(source, slot, ["c"], epochMax)) {
    await endSessions(source, catchUpPurpose(taskId));
    await dropSlot(source, name);
  }
}

async function slotsBeside(
  source: pg.ClientBase,
  slot: string,
  kinds: readonly string[],
  epochMax: number,
): Promise<{ readonly name: string; readonly isTemporary: boolean }[]> {
  const beside = slot.slice(0, 50);
  const { rows } = await source.query<{ name: string; is_temporary: boolean }>(
    `SELECT slot_name::text AS name, to_json(s) ->> 'temporary' = 'true' AS is_temporary
       FROM pg_replication_slots s WHERE left(slot_name::text, length($1)) = $1`,
    [beside],
  );
  return rows.flatMap(({ name, is_temporary }) => {
    const found = readSlotBeside(name);
    const isWanted = found?.slot === beside && kinds.includes(found.kind) && found.epoch <= epochMax;
    return isWanted ? [{ name, isTemporary: is_temporary }] : [];
  });
}

/** Ends the sessions of ours that were opened on this database for a purpose. A name is cut to what a server keeps of it. */
export async function endSessions(client: pg.ClientBase, purpose: string): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = left('pgdms: ' || $1, 63) AND usename = session_user AND datname = current_database()`,
    [purpose],
  );
}

/** Ends a walsender of ours; looks first, because process ids are used again. */
async function endWalSender(source: pg.ClientBase, pid: number): Promise<void> {
  await source.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = session_user AND application_name LIKE 'pgdms: %'",
    [pid],
  );
}
