import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { formatLsn, parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { type Ownership } from "./ownership.ts";

/** How far a migration has come; a worker that takes over continues at its phase. */
type Phase = "preparing" | "loading" | "syncing" | "completing" | "ended";

/** The row that the whole migration of one database hangs on. */
export interface MigrationRow {
  readonly taskId: string;
  readonly sourceDatabase: string;
  readonly epoch: number;
  readonly phase: Phase;
  readonly slot: string;
  readonly publication: string;
  readonly plugin: "pgoutput" | "test_decoding";
  /** Where the slot began: changes that committed before it are in the first snapshot. Null until the slot exists. */
  readonly slotLsn: Lsn | null;
  /** Every source commit up to here is durable on this target. */
  readonly position: Lsn | null;
  /** When it is later than the position: some rows of the changes up to here may be on this target too. */
  readonly lanesTo: Lsn | null;
  /** READY_TO_COMPLETE was reached once: a worker that takes over starts from there. */
  readonly isReady: boolean;
  /** Whether the schema was made by us (or found and taken as it is), so that it is not made twice. */
  readonly isSchemaDone: boolean;
  /** A cutover has made (or was about to make) the source read-only. */
  readonly isFenced: boolean;
  /** When the task was first begun, ISO 8601. */
  readonly startedOn: string;
}

/** Carries the epoch that the target knows, when it is later than that of the worker that asks. */
export class EpochTooLow extends Error {
  readonly knownEpoch: number;

  constructor(knownEpoch: number) {
    super(`the target knows epoch ${knownEpoch}`);
    this.name = "EpochTooLow";
    this.knownEpoch = knownEpoch;
  }
}

const SCHEMA = `
  CREATE SCHEMA IF NOT EXISTS pgdms;
  CREATE TABLE IF NOT EXISTS pgdms.migration (
    only_one bool PRIMARY KEY DEFAULT true CHECK (only_one),
    task_id uuid NOT NULL,
    source_database text NOT NULL,
    epoch bigint NOT NULL UNIQUE,
    phase text NOT NULL DEFAULT 'preparing',
    slot text NOT NULL,
    publication text NOT NULL,
    plugin text NOT NULL,
    slot_lsn pg_lsn,
    position pg_lsn,
    is_ready bool NOT NULL DEFAULT false,
    is_schema_done bool NOT NULL DEFAULT false,
    is_fenced bool NOT NULL DEFAULT false,
    started_on timestamptz NOT NULL DEFAULT now(),
    error text);
  ALTER TABLE pgdms.migration ADD COLUMN IF NOT EXISTS lanes_to pg_lsn;
  CREATE TABLE IF NOT EXISTS pgdms.table_load (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    part int NOT NULL,
    parts int NOT NULL,
    range_kind text NOT NULL,
    range_column text,
    range_from text,
    range_to text,
    state text NOT NULL DEFAULT 'queued',
    snapshot_lsn pg_lsn,
    source_file oid,
    rows bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    started_on timestamptz,
    ended_on timestamptz,
    PRIMARY KEY (schema_name, table_name, part));
  CREATE TABLE IF NOT EXISTS pgdms.table_sync (
    schema_name text NOT NULL,
    table_name text NOT NULL,
    target_schema text,
    target_name text,
    source_oid oid,
    is_target_partitioned bool NOT NULL DEFAULT false,
    source_columns text[] NOT NULL DEFAULT '{}',
    source_history jsonb,
    key_columns text[] NOT NULL DEFAULT '{}',
    is_insert_only bool NOT NULL DEFAULT false,
    had_no_identity bool NOT NULL DEFAULT false,
    is_suspended bool NOT NULL DEFAULT false,
    is_reload_asked bool NOT NULL DEFAULT false,
    error jsonb,
    applied_to pg_lsn,
    inserts bigint NOT NULL DEFAULT 0,
    updates bigint NOT NULL DEFAULT 0,
    deletes bigint NOT NULL DEFAULT 0,
    last_change_on timestamptz,
    PRIMARY KEY (schema_name, table_name));
  CREATE TABLE IF NOT EXISTS pgdms.deferred_ddl (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage text NOT NULL,
    kind text NOT NULL,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    object_name text NOT NULL,
    restore_sql text NOT NULL,
    is_restored bool NOT NULL DEFAULT false,
    error text);`;

interface Row {
  readonly task_id: string;
  readonly source_database: string;
  readonly epoch: string;
  readonly phase: string;
  readonly slot: string;
  readonly publication: string;
  readonly plugin: string;
  readonly slot_lsn: string | null;
  readonly position: string | null;
  /** Not in the bookkeeping of a worker of before lanes. */
  readonly lanes_to?: string | null;
  readonly is_ready: boolean;
  readonly is_schema_done: boolean;
  readonly is_fenced: boolean;
  readonly started_on: string;
}

const PHASES: readonly Phase[] = ["preparing", "loading", "syncing", "completing", "ended"];

function toMigration(row: Row): MigrationRow {
  const phase = PHASES.find((known) => known === row.phase);
  if (!phase) throw new Error(`pgdms.migration holds the phase "${row.phase}", which this version does not know`);
  return {
    taskId: row.task_id,
    sourceDatabase: row.source_database,
    epoch: Number(row.epoch),
    phase,
    slot: row.slot,
    publication: row.publication,
    plugin: row.plugin === "test_decoding" ? "test_decoding" : "pgoutput",
    slotLsn: row.slot_lsn === null ? null : parseLsn(row.slot_lsn),
    position: row.position === null ? null : parseLsn(row.position),
    lanesTo: row.lanes_to ? parseLsn(row.lanes_to) : null,
    isReady: row.is_ready,
    isSchemaDone: row.is_schema_done,
    isFenced: row.is_fenced,
    startedOn: new Date(row.started_on.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00")).toISOString(),
  };
}

/** The migration that this target database belongs to; undefined when there is none. Changes nothing. */
export async function readMigration(client: pg.ClientBase): Promise<MigrationRow | undefined> {
  const { rows: found } = await client.query<{ exists: boolean }>("SELECT to_regclass('pgdms.migration') IS NOT NULL AS exists");
  if (found[0]?.exists !== true) return undefined;
  const { rows } = await client.query<Row>("SELECT * FROM pgdms.migration");
  return rows[0] && toMigration(rows[0]);
}

export interface NewMigration {
  readonly taskId: string;
  readonly sourceDatabase: string;
  readonly slot: string;
  readonly publication: string;
  readonly plugin: "pgoutput" | "test_decoding";
  /** ISO 8601; without it, now. */
  readonly startedOn?: string;
  /** Ids under which the same task ran before: what the target holds of them becomes this one's. */
  readonly earlierTaskIds?: readonly string[];
}

/**
 * Makes the target database ours at the given epoch: creates the bookkeeping if there is none, or takes a migration of
 * the same task over from an earlier worker. From its commit on no earlier worker can write (see requireOwnership).
 * @throws MigrationError LeftoverOfEarlierRun when the database belongs to another task.
 * @throws MigrationError LostOwnership when a later worker has it.
 */
export async function takeOver(client: pg.ClientBase, epoch: number, fresh: NewMigration): Promise<MigrationRow> {
  await client.query("BEGIN");
  try {
    // Two workers may get here at once: one after the other, please. The number is ours alone ("pgdms" in ASCII).
    await client.query("SELECT pg_advisory_xact_lock(482736532851)");
    await client.query(SCHEMA);
    const { rows } = await client.query<Row>("SELECT * FROM pgdms.migration FOR UPDATE");
    const found = rows[0] && toMigration(rows[0]);
    const known = found && fresh.earlierTaskIds?.includes(found.taskId) === true ? await forgetEarlierRun(client) : found;
    if (known) requireSameTask(known, epoch, fresh);
    const row = known ? await raiseEpoch(client, epoch) : await insertMigration(client, epoch, fresh);
    await client.query("COMMIT");
    return row;
  } catch (thrown) {
    await client.query("ROLLBACK").catch(() => undefined);
    throw thrown;
  }
}

/**
 * The task begins anew, in place of a run that has ended. What that one still owes of the target's definitions stays
 * recorded; all else was true of a slot that is gone.
 */
async function forgetEarlierRun(client: pg.ClientBase): Promise<undefined> {
  await client.query(`
    DELETE FROM pgdms.migration; DELETE FROM pgdms.table_load; DELETE FROM pgdms.table_sync;
    DELETE FROM pgdms.deferred_ddl WHERE is_restored`);
}

function requireSameTask(known: MigrationRow, epoch: number, { taskId }: NewMigration): void {
  if (known.taskId !== taskId) {
    throw new MigrationError("LeftoverOfEarlierRun", {
      detail: `The target database belongs to the task ${known.taskId} (phase ${known.phase}).`,
      remedy:
        "End that task; if it is gone, DROP SCHEMA pgdms CASCADE on the target, after reading pgdms.deferred_ddl for definitions that are still owed.",
    });
  }
  if (known.epoch > epoch) {
    const detail = `This worker has epoch ${epoch}, the target knows ${known.epoch}.`;
    throw new MigrationError("LostOwnership", { detail, cause: new EpochTooLow(known.epoch) });
  }
}

async function raiseEpoch(client: pg.ClientBase, epoch: number): Promise<MigrationRow> {
  const { rows } = await client.query<Row>("UPDATE pgdms.migration SET epoch = $1 RETURNING *", [epoch]);
  return toMigration(rows[0] as Row);
}

async function insertMigration(client: pg.ClientBase, epoch: number, fresh: NewMigration): Promise<MigrationRow> {
  const { rows } = await client.query<Row>(
    `INSERT INTO pgdms.migration (task_id, source_database, epoch, slot, publication, plugin, started_on) VALUES ($1, $2, $3, $4, $5, $6, coalesce($7, now())) RETURNING *`,
    [fresh.taskId, fresh.sourceDatabase, epoch, fresh.slot, fresh.publication, fresh.plugin, fresh.startedOn ?? null],
  );
  return toMigration(rows[0] as Row);
}

/** What of the migration's row changes as it moves on. */
export type MigrationChange = Partial<
  Pick<MigrationRow, "phase" | "slotLsn" | "position" | "isReady" | "isSchemaDone" | "isFenced" | "plugin">
> & {
  readonly error?: string;
};

/**
 * Changes the migration's row, as its owner. Alone or inside a transaction of the caller's.
 * @throws MigrationError LostOwnership when another worker has taken over.
 */
export async function changeMigration(client: pg.ClientBase, { taskId, epoch }: Ownership, change: MigrationChange): Promise<void> {
  const { rowCount } = await client.query(
    `UPDATE pgdms.migration SET phase = coalesce($3, phase), slot_lsn = coalesce($4::pg_lsn, slot_lsn), position = coalesce($5::pg_lsn, position),
            is_ready = coalesce($6, is_ready), is_schema_done = coalesce($7, is_schema_done), error = coalesce($8, error), plugin = coalesce($9, plugin),
            is_fenced = coalesce($10, is_fenced)
      WHERE task_id = $1 AND epoch = $2`,
    [
      taskId,
      epoch,
      change.phase ?? null,
      lsnText(change.slotLsn),
      lsnText(change.position),
      change.isReady ?? null,
      change.isSchemaDone ?? null,
      change.error ?? null,
      change.plugin ?? null,
      change.isFenced ?? null,
    ],
  );
  if (rowCount !== 1) throw new MigrationError("LostOwnership", { detail: `This worker held epoch ${epoch}.` });
}

/** Removes the bookkeeping; nothing happens when it is gone already. */
export async function dropBookkeeping(client: pg.ClientBase): Promise<void> {
  await client.query("DROP SCHEMA IF EXISTS pgdms CASCADE");
}

const lsnText = (lsn: Lsn | null | undefined): string | null => (lsn === null || lsn === undefined ? null : formatLsn(lsn));
