import { setTimeout as sleep } from "node:timers/promises";
import { laterLsn, type Lsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { asciiSql } from "../postgres/ascii-sql.ts";
import { SQL_ASCII } from "../postgres/encoding.ts";
import { takeOver } from "../postgres/raw-session.ts";
import { backoffMs } from "../postgres/retry.ts";
import { type Server } from "../postgres/server.ts";
import { type Ownership } from "../target/ownership.ts";
import { Applier } from "./apply.ts";
import { decodingMemory, openApplySession, readServerEncoding } from "./apply-session.ts";
import { type ChangeCounts } from "./counts.ts";
import { PgoutputDecoder, type StreamEvent } from "./decoder.ts";
import { type Group, GroupBuilder, type GroupLimits } from "./group.ts";
import { type Frame, FRAME_HEADER_BYTES, frameLsn, frameSentAtMs, ReplicationStream } from "./replication-stream.ts";
import { sourceNameReader } from "./source-names.ts";
import { SourceTypes } from "./source-types.ts";
import { isInVain, LongWait, mayStream, STREAMED_PIECE_MB, StreamedInVain } from "./streamed.ts";
import { type SyncTarget } from "./sync-table.ts";
import { CommitLearned, type LearnedCommits, TestDecodingDecoder } from "./text-decoder.ts";

/** A sync that ran for so long before it broke was well: the next wait starts short again. */
const HEALTHY_MS = 60_000;

/** A transaction that arrives so long after its commit shows that the sync is behind. */
const BEHIND_MS = 500;

/**
 * Staging tables are small and joined to large ones by their key: any plan but the index would read the large table
 * whole. The planner cannot know it, since staging tables have no statistics.
 */
const APPLY_SESSION = { enable_seqscan: "off", enable_hashjoin: "off", enable_mergejoin: "off", client_min_messages: "error" };

export interface SyncOptions {
  readonly source: Server;
  readonly target: Server;
  readonly ownership: Ownership;
  readonly slot: string;
  /** Asked at each connection. */
  readonly publications: () => readonly string[];
  readonly plugin: "pgoutput" | "test_decoding";
  readonly sourceVersionNum: number;
  readonly clientEncoding: string;
  /** Whether the target's role may set session_replication_role. */
  readonly canBeReplica: boolean;
  readonly limits: GroupLimits;
  /** logical_decoding_work_mem of the stream; 0 or left out: what suits the source. */
  readonly decodingMemoryMB?: number;
  /** Whether large transactions may be taken before they end, where the source can send them so; left out: they may. */
  readonly streamsLarge?: boolean;
  /** The tables of the migration by tableKey. Read anew at each connection, since a table may have been mended. */
  readonly tables: () => Promise<ReadonlyMap<string, SyncTarget>>;
  /** The position in the target's bookkeeping; read anew at each connection. */
  readonly position: () => Promise<Lsn>;
  readonly signal: AbortSignal;
  /** Told after each group that is durable. */
  readonly onApplied: (counts: ChangeCounts, group: Group) => void;
  /** The connection to either side broke, and is tried again. */
  readonly onInterrupted: (thrown: unknown, attempt: number) => void;
  readonly onConnected: () => void;
  /** A large transaction is read once more, without streaming. */
  readonly onStreamedInVain?: (thrown: StreamedInVain) => void;
  readonly isRetryable: (thrown: unknown) => boolean;
  /** Tries to mend what broke the sync. @returns what is left of the failure; undefined: it is mended, go on at once. */
  readonly mend?: (thrown: unknown) => Promise<unknown>;
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
  readonly #between: BetweenConnections[] = [];
  #interrupt: () => void = () => undefined;
  /** While it is set, nothing later is confirmed to the source. */
  #heldAt: Lsn | undefined;
  #mayGoBack = false;
  /** What was streamed in vain up to here is read without streaming. */
  #plainUpTo = LSN_ZERO;
  #position = 0n as Lsn;
  #recordedPosition = 0n as Lsn;
  #pendingChanges = 0;
  #lastCommitMs = 0;
  #latencySeconds = 0;

  constructor(options: SyncOptions) {
    this.#options = options;
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
        await this.#workBetween();
        await this.#runOnce();
      } catch (failure) {
        signal.throwIfAborted();
        // Nothing broke: work between two connections was asked for, or the stream is read again with what was learned.
        if (failure instanceof Interrupted || failure instanceof CommitLearned) continue;
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
    const { source, target, ownership, canBeReplica, slot, publications, plugin, sourceVersionNum, clientEncoding, limits, signal } =
      this.#options;
    const controller = new AbortController();
    const either = AbortSignal.any([signal, controller.signal]);
    const purpose = `${ownership.taskId.slice(0, 8)} apply`;
    const session = { ...APPLY_SESSION, ...(canBeReplica ? { session_replication_role: "replica" } : {}) };
    const sourceEncoding = plugin === "test_decoding" ? await readServerEncoding(source) : clientEncoding;
    // Bytes of no known encoding must pass unconverted, whichever side has them.
    const streamEncoding = clientEncoding === SQL_ASCII ? SQL_ASCII : sourceEncoding;
    const raw = takeOver(await openApplySession(target, { purpose, session, clientEncoding: streamEncoding }), "target", either);
    if (streamEncoding !== clientEncoding) raw.sqlText = asciiSql;
    try {
      const startLsn = await this.#options.position();
      if (this.#mayGoBack) this.#position = startLsn;
      this.#mayGoBack = false;
      this.#recordedPosition = startLsn;
      this.#advance(startLsn);
      const targets = await this.#options.tables();
      const streams =
        this.#options.streamsLarge !== false && startLsn > this.#plainUpTo && mayStream({ plugin, sourceVersionNum, startLsn, targets });
      const wantedMB = this.#options.decodingMemoryMB ?? 0;
      const connection = new SyncConnection({
        applier: new Applier(raw, ownership, startLsn),
        builder: new GroupBuilder(limits),
        decoder: await this.#decoder(targets, sourceEncoding),
        onDurable: (group, counts) => this.#onDurable(group, counts),
        onIdle: (lsn) => this.#advance(lsn),
        onPending: (count) => (this.#pendingChanges = count),
        confirmable: (lsn) => this.#confirmable(lsn),
      });
      const stream = await ReplicationStream.open(source, {
        slot,
        startLsn,
        confirmedLsn: this.#confirmable(startLsn),
        plugin,
        publications: publications(),
        streams,
        sourceVersionNum,
        purpose: `${ownership.taskId.slice(0, 8)} stream`,
        clientEncoding,
        decodingMemoryMB: await decodingMemory(source, sourceVersionNum, streams && wantedMB === 0 ? STREAMED_PIECE_MB : wantedMB),
        signal: either,
        onMessage: (frame) => connection.onMessage(frame),
        onKeepAlive: (lsn, sentAtMs) => connection.onKeepAlive(lsn, sentAtMs),
      });
      connection.attach(stream);
      this.#options.onConnected();
      const interrupted = new Promise<never>((_resolve, reject) => (this.#interrupt = () => reject(new Interrupted())));
      interrupted.catch(() => undefined);
      if (this.#between.length > 0) this.#interrupt();
      try {
        return await Promise.race([stream.failed(either), connection.failed, interrupted]);
      } catch (thrown) {
        if (thrown instanceof Interrupted || !isInVain(thrown, { streams, isStreamed: connection.isStreamed })) throw thrown;
        this.#plainUpTo = laterLsn(startLsn, connection.seenLsn);
        throw thrown instanceof StreamedInVain ? thrown : new StreamedInVain("it could not be applied", thrown);
      } finally {
        this.#interrupt = () => undefined;
        await stream.close();
      }
    } finally {
      controller.abort(new Error("the connection of the sync is over"));
      await raw.end();
    }
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

interface Decoder {
  readonly decode: (frame: Frame) => StreamEvent;
  /** The source has sent everything before this position. */
  readonly reached: (lsn: Lsn) => void;
  /** Asked before a piece of a transaction is applied: whether its end must be seen first, and nothing is applied any more. */
  readonly learnsFirst: () => boolean;
}

interface ConnectionParts {
  readonly applier: Applier;
  readonly builder: GroupBuilder;
  readonly decoder: Decoder;
  readonly onDurable: (group: Group, counts: ChangeCounts) => void;
  /** Everything up to here was sent and nothing of it is pending. */
  readonly onIdle: (lsn: Lsn) => void;
  readonly onPending: (count: number) => void;
  /** How much of what is durable the source may forget. */
  readonly confirmable: (lsn: Lsn) => Lsn;
}

/** Groups on their way to the target: while one is applied the next one is folded and follows without a pause. */
const IN_FLIGHT_MAX = 2;

/** One stream and one target session, until either breaks. While groups are applied the next one gathers. */
class SyncConnection {
  readonly #parts: ConnectionParts;
  readonly failed: Promise<never>;
  #fail: (thrown: unknown) => void = () => undefined;
  #stream: ReplicationStream | undefined;
  #inFlight = 0;
  #applyingChanges = 0;
  #isBroken = false;
  /** The stream is only read to learn from: it will be read again. */
  #isLearning = false;
  #lastFrame: Frame | undefined;
  readonly #waiting = new LongWait();
  /** What arrived after the whole transactions that are still to be applied. */
  #fault: { readonly thrown: unknown } | undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // The race in #runOnce may be over when it rejects.
    this.failed.catch(() => undefined);
  }

  /** What was taken last may be undone, for its transaction has not ended on the source. */
  get isStreamed(): boolean {
    return this.#parts.builder.isStreamed;
  }

  /** The position of what arrived last. */
  get seenLsn(): Lsn {
    return this.#lastFrame ? frameLsn(this.#lastFrame) : LSN_ZERO;
  }

  attach(stream: ReplicationStream): void {
    this.#stream = stream;
    this.#pump();
  }

  onMessage(frame: Frame): void {
    this.#guarded(() => this.#take(frame));
  }

  #guarded(work: () => void): void {
    if (this.#isBroken || this.#fault) return;
    try {
      work();
    } catch (thrown) {
      // What is only read to learn from is never applied: there is nothing to wait for.
      if (this.#isLearning) return this.#break(thrown);
      this.#fault = { thrown };
      this.#stream?.pause();
      this.#pump();
    }
  }

  #take(frame: Frame): void {
    const { builder, decoder, onPending } = this.#parts;
    const event = decoder.decode(frame);
    if (event.kind !== "nothing") this.#lastFrame = frame; // a relation is sent without a position
    if (event.kind === "learning") this.#isLearning = true;
    if (event.kind === "begin") builder.begin();
    else if (event.kind === "change") builder.add(event.change, frame.end - frame.start);
    else if (event.kind === "commit") builder.commit(event.endLsn, event.committedAtMs, event.streamedXid);
    else this.#takeStreamed(event);
    if (event.kind === "begin" || event.kind === "commit") this.#noteDelay(event.committedAtMs, frame);
    onPending(builder.pendingChanges + this.#applyingChanges);
    this.#pump();
  }

  #takeStreamed(event: StreamEvent): void {
    const { builder } = this.#parts;
    if (event.kind === "pause") return builder.stream(undefined);
    if (event.kind === "undone" && builder.hasTaken(event.xid)) throw new StreamedInVain("it was rolled back, or a part of it");
    if (event.kind !== "streamed") return;
    builder.stream(event.xid);
    // Nobody sees anything of it before its commit: resting costs no latency.
    this.#stream?.setBehind(true);
  }

  /** Both times are the source's own, so clocks that differ do not matter. */
  #noteDelay(committedAtMs: number, frame: Frame): void {
    if (committedAtMs === 0) return;
    const sentAtMs = frameSentAtMs(frame);
    const isBehind = sentAtMs - committedAtMs > BEHIND_MS;
    this.#stream?.setBehind(isBehind);
    if (isBehind || !this.#parts.builder.isUnderWay) this.#waiting.over();
    else this.#requireShortWait(sentAtMs);
  }

  /** What is up to date must not wait long for a transaction that was taken before its end, and may go on for hours. */
  #requireShortWait(nowMs: number): void {
    if (this.#waiting.isTooLong(nowMs)) throw new StreamedInVain("what followed it has waited for its end for too long");
  }

  /**
   * @param sentLsn everything before it was sent; nothing is confirmed by it while something is pending (pitfalls, rule 2).
   * @param sentAtMs by the source's clock.
   */
  onKeepAlive(sentLsn: Lsn, sentAtMs: number): void {
    if (this.#isLearning && !this.#isBroken) return this.#learn(sentLsn);
    if (this.#parts.builder.isUnderWay) return this.#guarded(() => this.#requireShortWait(sentAtMs));
    if (this.#inFlight > 0 || this.#isBroken || this.#fault || !this.#parts.builder.isEmpty) return;
    this.#stream?.confirm(this.#parts.confirmable(sentLsn));
    this.#parts.onIdle(sentLsn);
  }

  #learn(sentLsn: Lsn): void {
    try {
      this.#parts.decoder.reached(sentLsn);
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  /** An idle target gets what there is at once; a busy one only full groups, which cost it the least. */
  #pump(): void {
    if (this.#isLearning) return;
    const { builder, applier, decoder } = this.#parts;
    if (this.#fault) return this.#applyRest(this.#fault.thrown);
    if (this.#inFlight > 0 && !builder.isFull) return;
    if (this.#inFlight === IN_FLIGHT_MAX || (applier.isWorn && this.#inFlight > 0)) return this.#stream?.pause();
    if (builder.isPieceNext && decoder.learnsFirst()) return void (this.#isLearning = true);
    const group = builder.take();
    if (group) void this.#apply(group);
  }

  /** What came whole before a fault is applied first: what mends the fault may not fit the rows before it. */
  #applyRest(thrown: unknown): void {
    if (this.#inFlight > 0) return;
    const group = this.#parts.builder.takeWhole();
    if (group) void this.#apply(group);
    else this.#break(thrown);
  }

  async #apply(group: Group): Promise<void> {
    const { applier, builder, onDurable, onPending } = this.#parts;
    this.#inFlight++;
    this.#applyingChanges += group.changes.length;
    try {
      const counts = await applier.apply(group);
      await passing("committed-not-confirmed");
      this.#inFlight--;
      this.#applyingChanges -= group.changes.length;
      if (this.#isBroken) return;
      if (group.endLsn !== undefined) this.#stream?.confirm(this.#parts.confirmable(group.endLsn));
      onPending(builder.pendingChanges + this.#applyingChanges);
      onDurable(group, counts);
      if (applier.isWorn && this.#inFlight === 0) await applier.forgetStatements();
      if (!this.#fault) this.#stream?.resume();
      this.#pump();
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  #break(thrown: unknown): void {
    this.#isBroken = true;
    this.#stream?.pause();
    this.#fail(thrown);
  }
}
