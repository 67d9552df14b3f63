import { setTimeout as sleep } from "node:timers/promises";
import { bytesBetween, laterLsn, type Lsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { asciiSql } from "../postgres/ascii-sql.ts";
import { SQL_ASCII } from "../postgres/encoding.ts";
import { takeOver } from "../postgres/raw-session.ts";
import { backoffMs } from "../postgres/retry.ts";
import { type Server } from "../postgres/server.ts";
import { type Applied, Applier, isHalfApplied } from "./apply.ts";
import { ApplySession, openApplySession } from "./apply-session.ts";
import { FRAME_HEADER_BYTES, frameLsn } from "./change-source.ts";
import { CatchUp, type CatchUpOptions } from "./catch-up.ts";
import { type ChangeCounts } from "./counts.ts";
import { PgoutputDecoder } from "./decoder.ts";
import { type Group, GroupBuilder, type GroupLimits } from "./group.ts";
import { type LaneOptions, Lanes } from "./lanes.ts";
import { ReplicationStream } from "./replication-stream.ts";
import { ManySmallTransactions } from "./small-transactions.ts";
import { decodingMemory, readServerEncoding } from "./source-settings.ts";
import { BacklogFailed, BacklogRead, type SqlBacklog } from "./sql-backlog.ts";
import { sourceNameReader } from "./source-names.ts";
import { SourceTypes } from "./source-types.ts";
import { isInVain, mayStream, STREAMED_PIECE_MB, StreamedInVain } from "./streamed.ts";
import { type Decoder, SyncConnection } from "./sync-connection.ts";
import { type SyncTarget } from "./sync-table.ts";
import { CommitLearned, type LearnedCommits, TestDecodingDecoder } from "./text-decoder.ts";

/** A sync that ran for so long before it broke was well: the next wait starts short again. */
const HEALTHY_MS = 60_000;

/**
 * Staging tables are small and joined to large ones by their key: any plan but the index would read the large table
 * whole. The planner cannot know it, since staging tables have no statistics. A group of wide rows is sorted by its key in memory, too.
 */
const APPLY_SESSION = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  work_mem: "32MB",
  client_min_messages: "error",
};

/**
 * Half as many again: small transactions change the same rows more often the more of them come together, and what is left goes through
 * the key's index in one sweep. Nobody waits while such a group gathers; of the stream, the source would.
 */
const ofSqlBacklog = ({ maxChanges, maxBytes }: GroupLimits): GroupLimits => ({ maxChanges: Math.ceil(maxChanges * 1.5), maxBytes });

export interface SyncOptions extends CatchUpOptions {
  readonly target: Server;
  /** Whether the target's role may set session_replication_role. */
  readonly canBeReplica: boolean;
  readonly limits: GroupLimits;
  /** Whether large transactions may be taken before they end, where the source can send them so; left out: they may. */
  readonly streamsLarge?: boolean;
  /** The tables of the migration by tableKey. Read anew at each connection, since a table may have been mended. */
  readonly tables: () => Promise<ReadonlyMap<string, SyncTarget>>;
  /** The position in the target's bookkeeping; read anew at each connection. */
  readonly position: () => Promise<Applied>;
  /** Left out: one session of the target. */
  readonly lanes?: LaneOptions;
  readonly signal: AbortSignal;
  /** Told after each group that is durable. */
  readonly onApplied: (counts: ChangeCounts, group: Group) => void;
  /** The connection to either side broke, and is tried again. */
  readonly onInterrupted: (thrown: unknown, attempt: number) => void;
  readonly onConnected: () => void;
  /** A large transaction is read once more, without streaming. */
  readonly onStreamedInVain?: (thrown: StreamedInVain) => void;
  /** A backlog is read by SQL; that is over, or failed. */
  readonly onSqlBacklog?: (event: "began" | BacklogRead | BacklogFailed) => void;
  readonly isRetryable: (thrown: unknown) => boolean;
  /** Tries to mend what broke the sync. @returns what is left of the failure; undefined: it is mended, go on at once. */
  readonly mend?: (thrown: unknown) => Promise<unknown>;
}

/** The tables of one connection, and what reads the stream for them. */
interface Tables {
  readonly targets: ReadonlyMap<string, SyncTarget>;
  readonly decoder: Decoder;
}

/** Work that must be done while no change is on its way to the target. */
interface BetweenConnections {
  readonly work: () => Promise<void>;
  readonly resolve: () => void;
  readonly reject: (thrown: unknown) => void;
}

/** The connection was ended for work between two connections. */
class Interrupted extends Error {
  constructor() {
    super("the connection of the sync is ended for a moment");
    this.name = "Interrupted";
  }
}

/** The incremental sync of one database: stream in, groups out, and one position that only the target decides. */
export class IncrementalSync {
  readonly #options: SyncOptions;
  readonly #waiting: { readonly lsn: Lsn; readonly resolve: () => void }[] = [];
  readonly #learned: LearnedCommits = new Map();
  readonly #missedTypes = new Set<number>();
  readonly #catchUp: CatchUp;
  readonly #between: BetweenConnections[] = [];
  #interrupt: () => void = () => undefined;
  #onRepaired: () => void = () => undefined;
  /** While it is set, nothing later is confirmed to the source. */
  #heldAt: Lsn | undefined;
  #mayGoBack = false;
  /** What was streamed in vain up to here is read without streaming. */
  #plainUpTo = LSN_ZERO;
  #sourceLsn = LSN_ZERO;
  #position = 0n as Lsn;
  #recordedPosition = 0n as Lsn;
  #pendingChanges = 0;
  #lastCommitMs = 0;
  #latencySeconds = 0;

  constructor(options: SyncOptions) {
    this.#options = options;
    this.#catchUp = new CatchUp(options);
  }

  /** Every source commit before it is durable on the target. */
  get position(): Lsn {
    return this.#position;
  }

  /** The position as the target's bookkeeping has it: what a worker that takes over begins with. An idle source moves only the other one on. */
  get recordedPosition(): Lsn {
    return this.#recordedPosition;
  }

  /** Changes received and not yet durable. */
  get pendingChanges(): number {
    return this.#pendingChanges;
  }

  /** From the last group's commit on the source to its commit on the target, in seconds. */
  get latencySeconds(): number {
    return this.#latencySeconds;
  }

  /** Source time of the last transaction applied, in milliseconds; 0 before the first. */
  get lastCommitMs(): number {
    return this.#lastCommitMs;
  }

  /** Tells where the source writes its WAL now. */
  sourceIsAt(lsn: Lsn): void {
    this.#sourceLsn = lsn;
  }

  /** From now on the source keeps what it still has: the position may be moved back to a later point than this one. */
  hold(): void {
    this.#heldAt = this.#position;
  }

  /** The source may forget again what is durable on the target. */
  unhold(): void {
    this.#heldAt = undefined;
  }

  /**
   * Does work while nothing is applied: ends the connection, and opens it again, from the target's position on, which the
   * work may have moved back.
   * @throws what the work throws, or what ended the sync.
   */
  async betweenConnections(work: () => Promise<void>): Promise<void> {
    const done = new Promise<void>((resolve, reject) => this.#between.push({ work, resolve, reject }));
    this.#interrupt();
    await done;
  }

  /** Resolves when the position has passed `lsn`. */
  reached(lsn: Lsn): Promise<void> {
    if (this.#position >= lsn) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ lsn, resolve }));
  }

  /**
   * Runs until the signal ends it. Broken connections are opened again, from the target's position on.
   * @throws the signal's reason, or whatever trying again cannot mend.
   */
  async run(): Promise<never> {
    const { signal, onInterrupted, isRetryable } = this.#options;
    for (let failures = 0; ;) {
      const positionBefore = this.#position;
      const startedMs = Date.now();
      try {
        // What lanes have left half done is finished first, on top of the rows that they left.
        if (this.#between.length > 0 && !isHalfApplied(await this.#options.position())) await this.#workBetween();
        await this.#runOnce();
      } catch (failure) {
        signal.throwIfAborted();
        // Nothing broke: work between two connections was asked for, or the stream is read again with what was learned.
        if (failure instanceof Interrupted || failure instanceof CommitLearned) continue;
        if (failure instanceof ManySmallTransactions) {
          this.#catchUp.metSmall();
          continue;
        }
        if (failure instanceof BacklogRead || failure instanceof BacklogFailed) {
          if (failure instanceof BacklogFailed) this.#catchUp.failed();
          this.#options.onSqlBacklog?.(failure);
          continue;
        }
        if (failure instanceof StreamedInVain) {
          this.#options.onStreamedInVain?.(failure);
          continue;
        }
        const left = await this.#mend(failure);
        if (left === undefined) continue;
        const thrown = left instanceof Error ? left : new Error("the sync failed", { cause: left });
        if (!isRetryable(thrown)) throw thrown;
        // A connection that moved something was well: the next wait starts short again.
        if (this.#position > positionBefore || Date.now() - startedMs > HEALTHY_MS) failures = 0;
        onInterrupted(thrown, ++failures);
        await sleep(backoffMs(failures), undefined, { signal });
      }
    }
  }

  async #mend(thrown: unknown): Promise<unknown> {
    const { mend } = this.#options;
    try {
      return mend ? await mend(thrown) : thrown;
    } catch (failure) {
      return failure; // what cannot be looked into now is tried again with the rest
    }
  }

  async #workBetween(): Promise<void> {
    for (let next = this.#between.shift(); next; next = this.#between.shift()) {
      this.#mayGoBack = true;
      await next.work().then(next.resolve, next.reject);
    }
  }

  async #runOnce(): Promise<never> {
    const { source, plugin, clientEncoding, signal } = this.#options;
    const controller = new AbortController();
    const either = AbortSignal.any([signal, controller.signal]);
    const sourceEncoding = plugin === "test_decoding" ? await readServerEncoding(source) : clientEncoding;
    const sessions: ApplySession[] = [];
    try {
      await this.#openSessions(sessions, sourceEncoding, either);
      return await this.#follow(sessions, sourceEncoding, either);
    } finally {
      controller.abort(new Error("the connection of the sync is over"));
      await Promise.all(sessions.map(({ raw }) => raw.end()));
    }
  }

  /** @param opened takes the sessions as they come, so that those before one that fails can be ended. */
  async #openSessions(opened: ApplySession[], sourceEncoding: string, signal: AbortSignal): Promise<void> {
    const { target, ownership, canBeReplica, clientEncoding, lanes } = this.#options;
    const purpose = `${ownership.taskId.slice(0, 8)} apply`;
    const session = { ...APPLY_SESSION, ...(canBeReplica ? { session_replication_role: "replica" } : {}) };
    // Bytes of no known encoding must pass unconverted, whichever side has them.
    const streamEncoding = clientEncoding === SQL_ASCII ? SQL_ASCII : sourceEncoding;
    // Where foreign keys are checked, sessions would wait for each other's rows.
    const count = canBeReplica ? (lanes?.count ?? 1) : 1;
    while (opened.length < count) {
      const raw = takeOver(await openApplySession(target, { purpose, session, clientEncoding: streamEncoding }), "target", signal);
      if (streamEncoding !== clientEncoding) raw.sqlText = asciiSql;
      opened.push(new ApplySession(raw));
    }
  }

  /** Follows the stream, from the target's position on, until something ends it. */
  async #follow(sessions: readonly ApplySession[], sourceEncoding: string, signal: AbortSignal): Promise<never> {
    const { ownership, limits, lanes } = this.#options;
    const applied = await this.#options.position();
    this.#beginAt(applied.position);
    const { targets, decoder, backlog } = await this.#lookAround(applied, sourceEncoding);
    const [first, ...others] = sessions as [ApplySession, ...ApplySession[]];
    const connection = new SyncConnection({
      applier: new Applier(first, new Lanes(others, lanes?.changesMin ?? 0), ownership, applied),
      builder: new GroupBuilder(backlog ? ofSqlBacklog(limits) : limits, isHalfApplied(applied) ? applied.lanesTo : undefined),
      decoder,
      onDurable: (group, counts) => this.#onDurable(group, counts),
      onIdle: (lsn) => this.#advance(lsn),
      onPending: (count) => (this.#pendingChanges = count),
      isAwaited: () => this.#waiting.length > 0,
      confirmable: (lsn) => this.#confirmable(lsn),
      leavesSmall: () => this.#catchUp.isWorthIt(applied, bytesBetween(this.#position, this.#sourceLsn)),
    });
    const streams = !backlog && this.#streamsFrom(applied, targets);
    if (backlog) await this.#readBacklog(backlog, connection, signal);
    const stream = backlog ?? (await this.#openStream(connection, applied.position, streams, signal));
    connection.attach(stream);
    this.#options.onConnected();
    const repaired = isHalfApplied(applied) ? new Promise<void>((resolve) => (this.#onRepaired = resolve)) : Promise.resolve();
    const interrupted = new Promise<never>(
      (_resolve, reject) => (this.#interrupt = () => void repaired.then(() => reject(new Interrupted()))),
    );
    interrupted.catch(() => undefined);
    if (this.#between.length > 0) this.#interrupt();
    try {
      return await Promise.race([stream.failed(signal), connection.failed, interrupted]);
    } catch (thrown) {
      if (thrown instanceof Interrupted) throw thrown;
      const isVain = isInVain(thrown, { streams, isStreamed: connection.isStreamed });
      // Also when a line broke: lines that live shorter than the transaction would never get beyond it.
      if (isVain || connection.isStreamed) this.#plainUpTo = laterLsn(applied.position, connection.seenLsn);
      if (!isVain) throw thrown;
      throw thrown instanceof StreamedInVain ? thrown : new StreamedInVain("it could not be applied", thrown);
    } finally {
      this.#interrupt = () => undefined;
      await stream.close();
    }
  }

  #beginAt(startLsn: Lsn): void {
    if (this.#mayGoBack) this.#position = startLsn;
    this.#mayGoBack = false;
    this.#recordedPosition = startLsn;
    this.#advance(startLsn);
  }

  /** What lanes have left half done is gathered as it was, with nothing among it that ends later. */
  #streamsFrom(applied: Applied, targets: ReadonlyMap<string, SyncTarget>): boolean {
    const { plugin, sourceVersionNum, streamsLarge } = this.#options;
    if (streamsLarge === false || isHalfApplied(applied) || applied.position <= this.#plainUpTo) return false;
    return mayStream({ plugin, sourceVersionNum, startLsn: applied.position, targets });
  }

  /** What a connection begins with: the tables, and a backlog where there is one to read by SQL. Nothing stays open when either fails. */
  async #lookAround(applied: Applied, sourceEncoding: string): Promise<Tables & { readonly backlog: SqlBacklog | undefined }> {
    const [tables, found] = await Promise.allSettled([
      this.#readTables(sourceEncoding),
      this.#catchUp.find(applied, this.#confirmable(applied.position)),
    ]);
    if (tables.status === "fulfilled" && found.status === "fulfilled") return { ...tables.value, backlog: found.value };
    if (found.status === "fulfilled") await found.value?.close();
    throw tables.status === "rejected" ? tables.reason : (found as PromiseRejectedResult).reason;
  }

  async #readTables(sourceEncoding: string): Promise<Tables> {
    const targets = await this.#options.tables();
    return { targets, decoder: await this.#decoder(targets, sourceEncoding) };
  }

  async #readBacklog(backlog: SqlBacklog, connection: SyncConnection, signal: AbortSignal): Promise<void> {
    await this.#catchUp.read(backlog, {
      signal,
      onMessage: (frame) => connection.onMessage(frame),
      onKeepAlive: (lsn, sentAtMs) => connection.onKeepAlive(lsn, sentAtMs),
      isIdle: () => connection.isIdle,
    });
    this.#options.onSqlBacklog?.("began");
  }

  async #openStream(connection: SyncConnection, startLsn: Lsn, streams: boolean, signal: AbortSignal): Promise<ReplicationStream> {
    const { source, ownership, slot, plugin, sourceVersionNum, clientEncoding, decodingMemoryMB = 0 } = this.#options;
    const wantedMB = streams && decodingMemoryMB === 0 ? STREAMED_PIECE_MB : decodingMemoryMB;
    return await ReplicationStream.open(source, {
      slot,
      startLsn,
      confirmedLsn: this.#confirmable(startLsn),
      plugin,
      publications: this.#options.publications(),
      streams,
      sourceVersionNum,
      purpose: `${ownership.taskId.slice(0, 8)} stream`,
      clientEncoding,
      decodingMemoryMB: await decodingMemory(source, sourceVersionNum, wantedMB),
      signal,
      onMessage: (frame) => connection.onMessage(frame),
      onKeepAlive: (lsn, sentAtMs) => connection.onKeepAlive(lsn, sentAtMs),
    });
  }

  /** Reads messages of the plugin; made for one connection. */
  async #decoder(targets: ReadonlyMap<string, SyncTarget>, encoding: string): Promise<Decoder> {
    if (this.#options.plugin === "pgoutput") {
      const types = await SourceTypes.read(this.#options.source, this.#missedTypes);
      const decoder = new PgoutputDecoder(targets, (oid) => types.name(oid));
      return {
        decode: ({ bytes, start, end }) => decoder.decode(bytes, start + FRAME_HEADER_BYTES, end),
        reached: () => undefined,
        learnsFirst: () => false,
      };
    }
    const readName = await sourceNameReader(this.#options.source, encoding, targets.values());
    const decoder = new TestDecodingDecoder(targets, { learned: this.#learned, readName, encoding });
    return {
      decode: (frame) => decoder.decode(frame.bytes.subarray(frame.start + FRAME_HEADER_BYTES, frame.end), frameLsn(frame)),
      reached: (lsn) => decoder.reached(lsn),
      learnsFirst: () => decoder.learnsFirst(),
    };
  }

  #confirmable(lsn: Lsn): Lsn {
    return this.#heldAt !== undefined && this.#heldAt < lsn ? this.#heldAt : lsn;
  }

  #onDurable(group: Group, counts: ChangeCounts): void {
    if (group.endLsn !== undefined) {
      this.#lastCommitMs = group.committedAtMs;
      this.#latencySeconds = Math.max(0, (Date.now() - group.committedAtMs) / 1000);
    }
    this.#options.onApplied(counts, group);
    if (group.endLsn === undefined) return;
    this.#onRepaired();
    this.#recordedPosition = group.endLsn;
    this.#advance(group.endLsn);
  }

  #advance(lsn: Lsn): void {
    this.#position = laterLsn(this.#position, lsn);
    for (let n = this.#waiting.length - 1; n >= 0; n--) {
      const waiting = this.#waiting[n];
      if (waiting && waiting.lsn <= this.#position) {
        this.#waiting.splice(n, 1);
        waiting.resolve();
      }
    }
  }
}
