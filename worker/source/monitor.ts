import type pg from "pg";
import { parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { connect, versionNum } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { exporterPurpose, readSlot } from "./slot.ts";

/** How the source stands at one moment. */
export interface SourceSample {
  /** Where the source writes its WAL now. */
  readonly currentLsn: Lsn;
  /** How long it took to say so, which costs it nothing: the way there and back, and how busy it is. */
  readonly latencyMs: number;
  /** WAL that the slot keeps from being recycled. */
  readonly walHeldBytes: number;
  /** False before it is made, and once somebody dropped it. */
  readonly hasSlot: boolean;
  /** reserved, extended, unreserved or lost; null before PostgreSQL 13. */
  readonly walStatus: string | null;
  /** Bytes that may be written before the slot is in danger; null when unlimited, lost or not known. */
  readonly safeWalSizeBytes: number | null;
  /** max_slot_wal_keep_size; null when unlimited, and before PostgreSQL 13. */
  readonly slotWalKeepBytes: number | null;
  /** Age of the oldest transaction that reads the load's snapshot, in seconds. */
  readonly snapshotAgeSeconds: number | null;
  /** Transactions since the oldest row that vacuum must keep for the load's snapshot or for the slot. */
  readonly xminAge: number | null;
  readonly catalogXminAge: number | null;
}

/** The source's current position, by the function's name of its version (renamed in 10). */
export async function readCurrentLsn(client: pg.ClientBase, version: number): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>(
    `SELECT ${version >= 100_000 ? "pg_current_wal_lsn()" : "pg_current_xlog_location()"}::text AS lsn`,
  );
  return parseLsn(rows[0]?.lsn ?? "");
}

interface HeldRow {
  readonly keep_mb: string | null;
  readonly snapshot_age: string | null;
  readonly xmin_age: string | null;
  readonly catalog_xmin_age: string | null;
}

/**
 * What the migration holds back besides WAL. Its snapshot is held by the session that exports it and by the load's
 * streams, which read it.
 */
const HELD_SQL = `
  SELECT (SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep_mb,
         extract(epoch FROM clock_timestamp() - a.xact_start)::text AS snapshot_age,
         greatest(a.age, age(s.xmin))::text AS xmin_age, age(s.catalog_xmin)::text AS catalog_xmin_age
    FROM (SELECT min(xact_start) AS xact_start, max(age(backend_xmin)) AS age
            FROM pg_stat_activity
           WHERE datname = current_database() AND usename = session_user AND backend_xmin IS NOT NULL
             AND (left(application_name, length($2)) = $2 OR left(application_name, length($3)) = $3)) a
    LEFT JOIN pg_replication_slots s ON s.slot_name = $1`;

const MEGABYTE = 1024 * 1024;

const numberOrNull = (text: string | null | undefined): number | null => (text === null || text === undefined ? null : Number(text));

/** Never below zero: a transaction may begin between two looks. */
function ageOrNull(text: string | null | undefined): number | null {
  const age = numberOrNull(text);
  return age === null ? null : Math.max(0, age);
}

/** What tells a migration's slot and sessions on its source. */
export interface SourceNames {
  readonly slot: string;
  /** How the purposes of its sessions begin: the task's first digits. */
  readonly task: string;
}

interface Session {
  readonly client: pg.Client;
  readonly version: number;
}

/** Looks at the source now and then, on one session that is opened again when it breaks. Never fails: no answer is no sample. */
export class SourceMonitor {
  readonly #source: Server;
  readonly #names: SourceNames;
  /** Also while it is being opened: who closes the monitor then must not miss it. */
  #session: Promise<Session> | undefined;
  #isReading = false;

  constructor(source: Server, names: SourceNames) {
    this.#source = source;
    this.#names = names;
  }

  async read(): Promise<SourceSample | undefined> {
    if (this.#isReading) return undefined;
    this.#isReading = true;
    try {
      const { client, version } = await (this.#session ??= this.#open());
      const slot = await readSlot(client, version, this.#names.slot);
      const { rows } = await client.query<HeldRow>(HELD_SQL, [
        this.#names.slot,
        `pgdms: ${exporterPurpose(this.#names.slot.slice(0, 50))}`,
        `pgdms: ${this.#names.task} load`,
      ]);
      const keepMB = numberOrNull(rows[0]?.keep_mb);
      const askedMs = performance.now();
      const currentLsn = await readCurrentLsn(client, version);
      return {
        currentLsn,
        latencyMs: performance.now() - askedMs,
        walHeldBytes: slot?.walHeldBytes ?? 0,
        hasSlot: slot !== undefined,
        walStatus: slot?.walStatus ?? null,
        safeWalSizeBytes: slot?.safeWalSizeBytes ?? null,
        slotWalKeepBytes: keepMB === null || keepMB < 0 ? null : keepMB * MEGABYTE,
        snapshotAgeSeconds: ageOrNull(rows[0]?.snapshot_age),
        xminAge: ageOrNull(rows[0]?.xmin_age),
        catalogXminAge: ageOrNull(rows[0]?.catalog_xmin_age),
      };
    } catch {
      await this.close();
      return undefined;
    } finally {
      this.#isReading = false;
    }
  }

  /** Ends the session; one that is just being opened is ended as soon as it is there. */
  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.then(({ client }) => client.end()).catch(() => undefined);
  }

  async #open(): Promise<Session> {
    const client = await connect(this.#source, { purpose: "monitor" });
    return { client, version: await versionNum(client) };
  }
}
