import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { bytesBetween, formatLsn, laterLsn, type Lsn, parseLsn } from "../../contracts/lsn.ts";
import { connect } from "../postgres/connect.ts";
import { quoteLiteral, quoteName } from "../postgres/quote.ts";
import { type Server } from "../postgres/server.ts";
import { catchUpPurpose, catchUpSlot } from "../source/slot.ts";
import { type ChangeSource, type Frame, SourceEnd } from "./change-source.ts";
import { haveSmallTransactions } from "./small-transactions.ts";
import { decodingMemory } from "./source-settings.ts";
import { type Chunk, CHUNK_COLUMNS, type ChunkSize, COMMIT, SqlReader } from "./sql-reader.ts";

const MEGABYTE = 1024 * 1024;

/** pg_copy_logical_replication_slot came with it (release notes). */
const SQL_BACKLOG_SINCE = 120_000;

/**
 * What is asked for at a time. The source keeps two chunks at once, past work_mem in files (replication/logical/logicalfuncs.c),
 * and decodes each one from the slot's restart_lsn on, so that many small chunks cost more than few large ones.
 */
const CHUNK = {
  messagesFirst: 20_000,
  messagesMin: 5_000,
  messagesMax: 600_000,
  bytes: 96 * MEGABYTE,
  walBytes: 256 * MEGABYTE,
  decodingMs: 4_000,
};

/** The next chunk is at most so many times the last one: while that one is applied, this one is decoded. */
const CHUNK_GROWTH = 3;

/** What is looked at of a backlog before it is known what it is made of, and for how long. */
const PROBE = { messages: 4_000, walBytes: 8 * MEGABYTE, timeoutMs: 3_000 };

/** Decoding a chunk that does not come within this meets a transaction that is larger than it should be kept on the source. */
const DECODING_MS_MAX = 10_000;

/** A chunk's session holds a snapshot, and so the rows that vacuum may remove, while it is read: a target that stalls must not prolong that. */
const READING_MS_MAX = 60_000;

/** WAL from before the slot's position that each chunk decodes again. More means a transaction that has been open for long. */
const AGAIN_BYTES_MAX = 512 * MEGABYTE;

/** The migration's own slot lets WAL go in steps of this: each one reads what it passes. */
const LET_GO_BYTES = 256 * MEGABYTE;

const IDLE_POLL_MS = 20;

/**
 * Settings of the sessions that decode. A chunk goes to a file in the end: what is kept in memory before costs twice. The second one is
 * a superuser's to set, and bounds what a chunk may need of the disk.
 */
const settingsOf = (decodingMemoryMB: number | undefined): Record<string, string> => ({
  work_mem: "1MB",
  temp_file_limit: "1GB",
  ...(decodingMemoryMB === undefined ? {} : { logical_decoding_work_mem: `${decodingMemoryMB}MB` }),
});

export interface SqlBacklogOptions {
  /** The migration's own slot, which nobody reads meanwhile. */
  readonly slot: string;
  readonly taskId: string;
  readonly epoch: number;
  readonly startLsn: Lsn;
  /** Up to here the migration's own slot may forget; earlier than `startLsn` while something may still have to be read again. */
  readonly confirmedLsn: Lsn;
  /** A smaller backlog is left to the stream. */
  readonly bytesMin: number;
  /** Its transactions are known to be small; without it they are looked at first. */
  readonly isKnownSmall: boolean;
  readonly publications: readonly string[];
  readonly sourceVersionNum: number;
  readonly clientEncoding: string;
  /** logical_decoding_work_mem of the sessions; 0 or left out: what suits the source. */
  readonly decodingMemoryMB?: number;
}

/** What is needed once it is read. */
export interface SqlBacklogReading {
  readonly signal: AbortSignal;
  readonly onMessage: (frame: Frame) => void;
  readonly onKeepAlive: (sentLsn: Lsn, sentAtMs: number) => void;
  /** Everything that was handed on is durable. */
  readonly isIdle: () => boolean;
}

/** The backlog was read, or is not one of small transactions any more: the stream goes on. Nothing is pending. */
export class BacklogRead extends Error {
  constructor() {
    super("the backlog was read");
    this.name = "BacklogRead";
  }
}

/** The backlog cannot be read by SQL, or not just now: the stream goes on from where the target is. */
export class BacklogFailed extends Error {
  constructor(cause: unknown) {
    super(`the backlog could not be read by SQL: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = "BacklogFailed";
  }
}

/** How the source stands, and its slot. */
interface Look {
  /** All commits before it are in the chunks that were asked for. */
  readonly readTo: Lsn;
  readonly restartLsn: Lsn;
  readonly endLsn: Lsn;
  readonly clockMs: number;
}

/**
 * Reads a backlog of small transactions by the SQL functions that decode a slot (`pg_logical_slot_get_binary_changes`), which send
 * no message for each change: why, and what it costs, is in docs/decisions/catch-up-by-sql.md. It has a slot of its own, a copy of
 * the migration's, which moves on with what is read; the migration's own slot moves on with what is durable on the target. Two
 * sessions take turns: while the rows of one chunk are read, the other session decodes the next one. Whoever opens it drops the slot
 * once it is over, by a session of another purpose (dropCatchUpSlots).
 */
export class SqlBacklog implements ChangeSource {
  readonly #source: Server;
  readonly #options: SqlBacklogOptions;
  readonly #control: pg.Client;
  readonly #readers: SqlReader[] = [];
  readonly #end = new SourceEnd();
  #messages = CHUNK.messagesFirst;
  /** All before it is read by SQL. */
  #goal: Lsn;
  #durableLsn: Lsn;
  #letGoLsn: Lsn;

  private constructor(source: Server, options: SqlBacklogOptions, control: pg.Client) {
    this.#source = source;
    this.#options = options;
    this.#control = control;
    this.#durableLsn = options.confirmedLsn;
    this.#letGoLsn = options.confirmedLsn;
    this.#goal = options.startLsn;
  }

  /**
   * Looks for a backlog. What is found must be closed, whether or not it is read.
   * @returns undefined when there is none that is large enough, or none of small transactions.
   * @throws BacklogFailed when the source does not take part; what connecting throws.
   */
  static async find(source: Server, options: SqlBacklogOptions): Promise<SqlBacklog | undefined> {
    const { taskId, sourceVersionNum, isKnownSmall } = options;
    if (sourceVersionNum < SQL_BACKLOG_SINCE) return undefined;
    const control = await connect(source, { purpose: catchUpPurpose(taskId) });
    const backlog = new SqlBacklog(source, options, control);
    try {
      if ((await backlog.#isLarge()) && (isKnownSmall || (await backlog.#isSmall()))) return backlog;
    } catch (thrown) {
      await backlog.close();
      throw new BacklogFailed(thrown);
    }
    await control.end();
    return undefined;
  }

  /**
   * Begins to read it.
   * @throws BacklogFailed when the source does not take part.
   */
  async read(reading: SqlBacklogReading): Promise<void> {
    try {
      await this.#start(reading);
    } catch (thrown) {
      await this.close();
      throw new BacklogFailed(thrown);
    }
    this.#read(reading).catch((thrown: unknown) => this.#end.come(new BacklogFailed(thrown)));
  }

  failed(signal: AbortSignal): Promise<never> {
    return this.#end.rejected(signal);
  }

  confirm(durableLsn: Lsn): void {
    this.#durableLsn = laterLsn(this.#durableLsn, durableLsn);
  }

  pause(): void {
    for (const reader of this.#readers) reader.pause();
  }

  resume(): void {
    for (const reader of this.#readers) reader.resume();
  }

  setBehind(): void {
    // What is read by SQL is behind.
  }

  /** Its slot stays: dropCatchUpSlots ends what its sessions may still be doing, too. */
  close(): Promise<void> {
    this.#end.forget();
    this.#end.come(new BacklogRead());
    for (const reader of this.#readers) reader.destroy();
    this.#control.connection.stream.destroy();
    return Promise.resolve();
  }

  async #isLarge(): Promise<boolean> {
    const { slot, startLsn, bytesMin } = this.#options;
    const { restartLsn, endLsn } = await this.#look(slot);
    this.#goal = endLsn;
    return bytesBetween(startLsn, endLsn) >= bytesMin && bytesBetween(restartLsn, startLsn) <= AGAIN_BYTES_MAX;
  }

  /** Looks at the beginning of the backlog. Takes nothing from the slot. */
  async #isSmall(): Promise<boolean> {
    const { slot, startLsn } = this.#options;
    const source = `pg_catalog.pg_logical_slot_peek_binary_changes(${this.#functionArguments(slot, startLsn, PROBE.walBytes, PROBE.messages)})`;
    await this.#control.query(`SET statement_timeout = ${PROBE.timeoutMs}`);
    const { rows } = await this.#control.query<{ messages: string; commits: string }>(
      `SELECT count(*)::text AS messages, count(*) FILTER (WHERE get_byte(data, 0) = ${COMMIT})::text AS commits FROM ${source}`,
    );
    await this.#control.query("SET statement_timeout = 0");
    return haveSmallTransactions(Number(rows[0]?.messages), Number(rows[0]?.commits));
  }

  async #start({ signal, onMessage }: SqlBacklogReading): Promise<void> {
    const { slot, taskId, epoch, startLsn, sourceVersionNum, clientEncoding, decodingMemoryMB } = this.#options;
    const settings = settingsOf(await decodingMemory(this.#source, sourceVersionNum, decodingMemoryMB));
    const session = { purpose: catchUpPurpose(taskId), clientEncoding, settings };
    const onFrame = (frame: Frame): void => {
      if (!this.#end.hasCome) onMessage(frame);
    };
    const open = async (): Promise<void> => void this.#readers.push(await SqlReader.open(this.#source, session, { signal, onFrame }));
    const copy = catchUpSlot(slot, epoch);
    const makeSlot = async (): Promise<void> => {
      await this.#control.query("SELECT pg_copy_logical_replication_slot($1, $2, false)", [slot, copy]);
      await this.#moveOn(copy, startLsn);
    };
    await allSettled([makeSlot(), open(), open()]);
  }

  async #read({ signal, onKeepAlive, isIdle }: SqlBacklogReading): Promise<void> {
    const { slot, epoch, startLsn } = this.#options;
    let chunk = this.#ask(0, startLsn);
    for (let turn = 1; ; turn++) {
      await within(DECODING_MS_MAX, chunk.decoded, "decoding a part of it took too long");
      const look = await this.#look(catchUpSlot(slot, epoch));
      const next = this.#goesOn(look) ? this.#ask(turn, look.readTo) : undefined;
      const size = await within(READING_MS_MAX, chunk.take(look.clockMs), "the target did not take a part of it");
      if (this.#end.hasCome) return;
      onKeepAlive(look.readTo, look.clockMs);
      await this.#letGo(LET_GO_BYTES);
      if (!next) {
        // The stream begins where the slot is: it must not decode all of that again.
        while (!isIdle()) await sleep(IDLE_POLL_MS, undefined, { signal });
        onKeepAlive(look.readTo, look.clockMs);
        await this.#letGo(0);
        return void this.#end.come(new BacklogRead());
      }
      this.#adapt(size);
      chunk = next;
    }
  }

  #ask(turn: number, from: Lsn): Chunk {
    const { slot, epoch } = this.#options;
    const args = this.#functionArguments(catchUpSlot(slot, epoch), from, CHUNK.walBytes, this.#messages);
    const reader = this.#readers[turn % 2] as SqlReader;
    const chunk = reader.ask(
      `COPY (SELECT ${CHUNK_COLUMNS} FROM pg_catalog.pg_logical_slot_get_binary_changes(${args})) TO STDOUT (FORMAT binary)`,
    );
    chunk.decoded.catch(() => undefined);
    return chunk;
  }

  /** Slot, bounds in WAL and in messages, and the plugin's options (manual, 9.28.6 "Replication Management Functions"). */
  #functionArguments(slot: string, from: Lsn, walBytes: number, messages: number): string {
    const { publications, sourceVersionNum } = this.#options;
    const options = ["proto_version", "1", "publication_names", publications.map(quoteName).join(",")];
    if (sourceVersionNum >= 140_000) options.push("messages", "true");
    const upTo = formatLsn((from + BigInt(walBytes)) as Lsn);
    return [quoteLiteral(slot), quoteLiteral(upTo), messages, ...options.map(quoteLiteral)].join(", ");
  }

  async #look(slot: string): Promise<Look> {
    const { rows } = await this.#control.query<{ read_to: string; restart: string; wal_end: string; clock: string }>(
      `SELECT confirmed_flush_lsn::text AS read_to, restart_lsn::text AS restart, pg_current_wal_lsn()::text AS wal_end,
              floor(extract(epoch FROM clock_timestamp()) * 1000)::text AS clock
         FROM pg_replication_slots WHERE slot_name = $1`,
      [slot],
    );
    const [row] = rows;
    if (!row) throw new Error(`the slot ${slot} is gone`);
    return { readTo: parseLsn(row.read_to), restartLsn: parseLsn(row.restart), endLsn: parseLsn(row.wal_end), clockMs: Number(row.clock) };
  }

  /** To the end that the WAL had, which moves on while much is left: what an application writes meanwhile is the stream's. */
  #goesOn({ readTo, restartLsn, endLsn }: Look): boolean {
    if (bytesBetween(readTo, endLsn) >= this.#options.bytesMin / 4) this.#goal = endLsn;
    return readTo < this.#goal && bytesBetween(restartLsn, readTo) <= AGAIN_BYTES_MAX;
  }

  /** @throws Error when what comes is better left to the stream. */
  #adapt({ messages, transactions, bytes, decodingMs }: ChunkSize): void {
    if (messages === 0) return;
    if (messages > CHUNK.messagesMin && !haveSmallTransactions(messages, transactions)) throw new Error("its transactions are large");
    const fitting = Math.floor(CHUNK.bytes / (bytes / messages));
    const quickEnough = Math.floor((messages * CHUNK.decodingMs) / Math.max(1, decodingMs));
    this.#messages = Math.max(CHUNK.messagesMin, Math.min(CHUNK.messagesMax, fitting, quickEnough, this.#messages * CHUNK_GROWTH));
  }

  /** Lets the source's WAL go, in steps. */
  async #letGo(stepBytes: number): Promise<void> {
    if (bytesBetween(this.#letGoLsn, this.#durableLsn) < stepBytes) return;
    const to = this.#durableLsn;
    await this.#moveOn(this.#options.slot, to);
    this.#letGoLsn = to;
  }

  /** Moves a slot that nobody reads; never back. */
  async #moveOn(slot: string, to: Lsn): Promise<void> {
    await this.#control.query(
      "SELECT pg_replication_slot_advance(slot_name, $2::pg_lsn) FROM pg_replication_slots WHERE slot_name = $1 AND confirmed_flush_lsn < $2::pg_lsn",
      [slot, formatLsn(to)],
    );
  }
}

/** Waits for all of them, so that nothing comes after a failure. @throws what the first that failed threw */
async function allSettled(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises);
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

/** @throws Error with the reason when the promise does not settle in time */
async function within<T>(ms: number, promise: Promise<T>, reason: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(reason)), ms);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
