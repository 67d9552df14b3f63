import pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { clientConfig, connectError, versionNum, withConnection } from "../postgres/connect.ts";
import { failureCode } from "../postgres/failures.ts";
import { processIdOf } from "../postgres/process-id.ts";
import { quoteName } from "../postgres/quote.ts";
import { type Server } from "../postgres/server.ts";
import { aborted } from "../signals.ts";
import { readOpenTransactions, sayTransaction } from "../validation/open-transactions.ts";
import { dropSlot, dropSnapshotSlots, exporterPurpose, readSlotBeside } from "./slot.ts";

/** A snapshot of the source that other sessions can take up, and the position that belongs to it. */
export interface ExportedSnapshot {
  readonly name: string;
  /** Commits before it are in the snapshot, later ones come in the stream. */
  readonly lsn: Lsn;
  /** False once the exporting session is gone: nobody can take the snapshot up any more. */
  isAlive(): boolean;
  /** Ends the exporting session (and the slot, if it was temporary). May be called twice; never fails. */
  release(): Promise<void>;
}

export interface CreateSlotOptions {
  /** Lower-case letters, digits and underscores. Must not exist: a snapshot comes with a new slot only. */
  readonly slot: string;
  readonly plugin: "pgoutput" | "test_decoding";
  /** How long to wait for the open transactions of the source. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Creates the migration's slot and exports the snapshot at which it begins.
 * @throws MigrationError SlotTimeout, naming the transactions that it waited for; no slot is left behind then.
 * @throws the server's 42710 (duplicate_object) when the slot exists.
 */
export const createSlot = (source: Server, options: CreateSlotOptions): Promise<ExportedSnapshot> =>
  exportSnapshot(source, options, "permanent");

/**
 * A snapshot for tables that are loaded again, or loaded after an interruption. Its slot only serves to know the position: it
 * ends with the session (before PostgreSQL 10, which has no temporary slots, it is dropped at the release). Slots of earlier
 * snapshots that were left behind are dropped first.
 * @throws MigrationError SlotTimeout.
 */
export const temporarySnapshot = (source: Server, options: CreateSlotOptions): Promise<ExportedSnapshot> =>
  exportSnapshot(source, options, "temporary");

type SlotKind = "permanent" | "temporary";

async function exportSnapshot(source: Server, options: CreateSlotOptions, kind: SlotKind): Promise<ExportedSnapshot> {
  const { slot, plugin, timeoutMs, signal } = options;
  signal.throwIfAborted();
  const version = await withConnection(source, { purpose: "slot" }, versionNum);
  if (kind === "temporary") await dropLeft(source, slot);
  const exporter = await Exporter.open(source, version, options);
  try {
    const { consistent_point, snapshot_name } = await exporter.createSlot(createSlotCommand(slot, plugin, kind, version));
    await passing("slot-created");
    return {
      name: snapshot_name,
      lsn: parseLsn(consistent_point),
      isAlive: () => exporter.isAlive,
      release: async () => {
        await exporter.end();
        if (kind === "temporary") await dropLeft(source, slot).catch(() => undefined); // whoever goes on tries again
      },
    };
  } catch (thrown) {
    const isSlotOfAnother = failureCode(thrown) === DUPLICATE_OBJECT;
    await exporter.close();
    // The server drops a half-made slot by itself. It may also have been finished just when we stopped waiting.
    if (kind === "permanent" && !isSlotOfAnother)
      await withConnection(source, { purpose: "slot" }, (client) =>
        dropSlot(client, slot, exporter.pid === undefined ? {} : { ownWalSenderPid: exporter.pid }),
      ).catch(() => undefined);
    throw exporter.hasTimedOut || failureCode(thrown) === LOCK_NOT_AVAILABLE ? await timeoutError(source, timeoutMs, thrown) : thrown;
  }
}

const DUPLICATE_OBJECT = "42710";
const LOCK_NOT_AVAILABLE = "55P03";

/** The replication command, in the grammar of the source's version (manual, 54.4 "Streaming Replication Protocol"). */
export function createSlotCommand(slot: string, plugin: string, kind: SlotKind, version: number): string {
  if (version < 100_000) return `CREATE_REPLICATION_SLOT ${quoteName(slot)} LOGICAL ${quoteName(plugin)}`; // always exports
  const temporary = kind === "temporary" ? " TEMPORARY" : "";
  const snapshot = version >= 150_000 ? "(SNAPSHOT 'export')" : "EXPORT_SNAPSHOT";
  return `CREATE_REPLICATION_SLOT ${quoteName(slot)}${temporary} LOGICAL ${quoteName(plugin)} ${snapshot}`;
}

/**
 * Settings of the exporting session; in the start-up packet, because before PostgreSQL 10 a replication connection takes no SET.
 *
 * CREATE_REPLICATION_SLOT waits for every open write transaction of the source, and statement_timeout does not reach
 * replication commands. lock_timeout does (for each transaction that is waited for, one after the other). Without it one
 * forgotten transaction would hold the migration for ever, while the half-made slot already keeps WAL from being recycled.
 *
 * While it exports the session is idle in a transaction, so the source's own limits must not end it.
 */
export function exporterSettings(version: number, timeoutMs: number): string {
  const settings = [`lock_timeout=${timeoutMs}`, "statement_timeout=0"];
  if (version >= 90_600) settings.push("idle_in_transaction_session_timeout=0");
  if (version >= 140_000) settings.push("idle_session_timeout=0");
  if (version >= 170_000) settings.push("transaction_timeout=0");
  return settings.map((setting) => `-c ${setting}`).join(" ");
}

/** The server's own limit comes first; this much later the session is ended from here. */
const LIMIT_MARGIN_MS = 2_000;

interface CreatedSlot {
  readonly consistent_point: string;
  readonly snapshot_name: string;
}

/** The replication connection that makes the slot and must stay open while the snapshot is taken up. */
class Exporter {
  isAlive = true;
  hasTimedOut = false;
  readonly pid: number | undefined;
  private readonly client: pg.Client;
  private readonly timeoutMs: number;
  private readonly signal: AbortSignal;

  private constructor(client: pg.Client, timeoutMs: number, signal: AbortSignal) {
    this.client = client;
    this.timeoutMs = timeoutMs;
    this.signal = signal;
    this.pid = processIdOf(client);
    client.once("end", () => (this.isAlive = false));
  }

  static async open(source: Server, version: number, { slot, timeoutMs, signal }: CreateSlotOptions): Promise<Exporter> {
    // The types leave `replication` out; `pg` sends it in the start-up packet.
    const config: pg.ClientConfig & { replication: "database" } = {
      // Until the stream begins, this name is what tells others that the slot is not abandoned.
      ...(await clientConfig(source, exporterPurpose(slot))),
      replication: "database",
      options: exporterSettings(version, timeoutMs),
    };
    const client = new pg.Client(config);
    client.on("error", () => undefined);
    try {
      await client.connect();
    } catch (thrown) {
      throw connectError(source, thrown);
    }
    return new Exporter(client, timeoutMs, signal);
  }

  async createSlot(command: string): Promise<CreatedSlot> {
    const limit = AbortSignal.timeout(this.timeoutMs + LIMIT_MARGIN_MS);
    const created = this.client.query<CreatedSlot>(command);
    created.catch(() => undefined);
    try {
      const { rows } = await Promise.race([created, aborted(AbortSignal.any([this.signal, limit]))]);
      if (!rows[0]) throw new Error("the source made the slot and did not say where it begins");
      return rows[0];
    } finally {
      this.hasTimedOut = limit.aborted && !this.signal.aborted;
    }
  }

  /** Says goodbye and waits for the server to hang up: its process, and with it a temporary slot, is gone by then. */
  async end(): Promise<void> {
    if (!this.isAlive) return;
    const timer = setTimeout(() => void this.close(), LIMIT_MARGIN_MS);
    await this.client.end().catch(() => undefined);
    clearTimeout(timer);
  }

  /** While a command hangs the server does not read a goodbye, so the socket is closed. */
  async close(): Promise<void> {
    if (!this.isAlive) return;
    const ended = new Promise<void>((resolve) => this.client.once("end", () => resolve()));
    this.client.connection.stream.destroy();
    await ended;
  }
}

/**
 * One of the same name, and those of snapshots before it, may not be gone: the server process of a connection that broke
 * ends in its own time.
 */
async function dropLeft(source: Server, slot: string): Promise<void> {
  await withConnection(source, { purpose: "slot" }, async (client) => {
    const own = readSlotBeside(slot);
    if (own) await dropSnapshotSlots(client, own.slot, own.epoch);
    await dropSlot(client, slot);
  });
}

async function timeoutError(source: Server, timeoutMs: number, cause: unknown): Promise<MigrationError> {
  const open = await withConnection(source, { purpose: "slot" }, readOpenTransactions).catch(() => []);
  const list = open.map(sayTransaction).join("; ");
  return new MigrationError("SlotTimeout", {
    detail: `Within ${timeoutMs / 1000} s these transactions did not end: ${list || "none is open any more"}.`,
    cause,
  });
}
