import { setTimeout as sleep } from "node:timers/promises";
import { laterLsn, type Lsn } from "../../contracts/lsn.ts";
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
import { frameLsn, frameSentAtMs, ReplicationStream } from "./replication-stream.ts";
import { sourceNameReader } from "./source-names.ts";
import { SourceTypes } from "./source-types.ts";
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
  readonly publications: readonly string[];
  readonly plugin: "pgoutput" | "test_decoding";
  readonly sourceVersionNum: number;
  readonly clientEncoding: string;
  /** Whether the target's role may set session_replication_role. */
  readonly canBeReplica: boolean;
  readonly limits: GroupLimits;
  /** logical_decoding_work_mem of the stream; 0 or left out: what suits the source. */
  readonly decodingMemoryMB?: number;
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
  readonly isRetryable: (thrown: unknown) => boolean;
}

/** The incremental sync of one database: stream in, groups out, and one position that only the target decides. */
export class IncrementalSync {
  readonly #options: SyncOptions;
  readonly #waiting: { readonly lsn: Lsn; readonly resolve: () => void }[] = [];
  readonly #learned: LearnedCommits = new Map();
  readonly #missedTypes = new Set<number>();
  #position = 0n as Lsn;
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
        await this.#runOnce();
      } catch (thrown) {
        signal.throwIfAborted();
        if (thrown instanceof CommitLearned) continue; // nothing broke: the stream is read again with what was learned
        if (!isRetryable(thrown)) throw thrown;
        // A connection that moved something was well: the next wait starts short again.
        if (this.#position > positionBefore || Date.now() - startedMs > HEALTHY_MS) failures = 0;
        onInterrupted(thrown, ++failures);
        await sleep(backoffMs(failures), undefined, { signal });
      }
    }
  }

  async #runOnce(): Promise<never> {
    const { source, target, ownership, canBeReplica, slot, publications, plugin, sourceVersionNum, clientEncoding, limits, signal } =
      this.#options;
    const controller = new AbortController();
    const either = AbortSignal.any([signal, controller.signal]);
    const purpose = `${ownership.taskId.slice(0, 8)} apply`;
    const session = { ...APPLY_SESSION, ...(canBeReplica ? { session_replication_role: "replica" } : {}) };
    const decodingMemoryMB = await decodingMemory(source, sourceVersionNum, this.#options.decodingMemoryMB);
    const sourceEncoding = plugin === "test_decoding" ? await readServerEncoding(source) : clientEncoding;
    // Bytes of no known encoding must pass unconverted, whichever side has them.
    const streamEncoding = clientEncoding === SQL_ASCII ? SQL_ASCII : sourceEncoding;
    const raw = takeOver(await openApplySession(target, { purpose, session, clientEncoding: streamEncoding }), "target", either);
    if (streamEncoding !== clientEncoding) raw.sqlText = asciiSql;
    try {
      const startLsn = await this.#options.position();
      this.#advance(startLsn);
      const connection = new SyncConnection({
        applier: new Applier(raw, ownership, startLsn),
        builder: new GroupBuilder(limits),
        decoder: await this.#decoder(await this.#options.tables(), sourceEncoding),
        onDurable: (group, counts) => this.#onDurable(group, counts),
        onIdle: (lsn) => this.#advance(lsn),
        onPending: (count) => (this.#pendingChanges = count),
      });
      const stream = await ReplicationStream.open(source, {
        slot,
        startLsn,
        plugin,
        publications,
        sourceVersionNum,
        purpose: `${ownership.taskId.slice(0, 8)} stream`,
        clientEncoding,
        decodingMemoryMB,
        onMessage: (message, frame) => connection.onMessage(message, frame),
        onKeepAlive: (lsn) => connection.onKeepAlive(lsn),
      });
      connection.attach(stream);
      this.#options.onConnected();
      try {
        return await Promise.race([stream.failed(either), connection.failed]);
      } finally {
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
      return { decode: (message) => decoder.decode(message), reached: () => undefined };
    }
    const readName = await sourceNameReader(this.#options.source, encoding, targets.values());
    const decoder = new TestDecodingDecoder(targets, { learned: this.#learned, readName, encoding });
    return { decode: (message, frame) => decoder.decode(message, frameLsn(frame)), reached: (lsn) => decoder.reached(lsn) };
  }

  #onDurable(group: Group, counts: ChangeCounts): void {
    if (group.endLsn !== undefined) {
      this.#lastCommitMs = group.committedAtMs;
      this.#latencySeconds = Math.max(0, (Date.now() - group.committedAtMs) / 1000);
    }
    this.#options.onApplied(counts, group);
    if (group.endLsn !== undefined) this.#advance(group.endLsn);
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
  readonly decode: (message: Buffer, frame: Buffer) => StreamEvent;
  /** The source has sent everything before this position. */
  readonly reached: (lsn: Lsn) => void;
}

interface ConnectionParts {
  readonly applier: Applier;
  readonly builder: GroupBuilder;
  readonly decoder: Decoder;
  readonly onDurable: (group: Group, counts: ChangeCounts) => void;
  /** Everything up to here was sent and nothing of it is pending. */
  readonly onIdle: (lsn: Lsn) => void;
  readonly onPending: (count: number) => void;
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

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // The race in #runOnce may be over when it rejects.
    this.failed.catch(() => undefined);
  }

  attach(stream: ReplicationStream): void {
    this.#stream = stream;
    this.#pump();
  }

  onMessage(message: Buffer, frame: Buffer): void {
    if (this.#isBroken) return;
    try {
      this.#take(message, frame);
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  #take(message: Buffer, frame: Buffer): void {
    const { builder, decoder, onPending } = this.#parts;
    const event = decoder.decode(message, frame);
    if (event.kind === "learning") this.#isLearning = true;
    if (event.kind === "begin") builder.begin();
    else if (event.kind === "change") builder.add(event.change, message.length);
    else if (event.kind === "commit") builder.commit(event.endLsn, event.committedAtMs);
    if (event.kind === "begin" || event.kind === "commit") this.#noteDelay(event.committedAtMs, frame);
    onPending(builder.pendingChanges + this.#applyingChanges);
    this.#pump();
  }

  /** Both times are the source's own, so clocks that differ do not matter. */
  #noteDelay(committedAtMs: number, frame: Buffer): void {
    if (committedAtMs > 0) this.#stream?.setBehind(frameSentAtMs(frame) - committedAtMs > BEHIND_MS);
  }

  /** @param sentLsn everything before it was sent; nothing is confirmed by it while something is pending (pitfalls, rule 2). */
  onKeepAlive(sentLsn: Lsn): void {
    if (this.#isLearning && !this.#isBroken) return this.#learn(sentLsn);
    if (this.#inFlight > 0 || this.#isBroken || !this.#parts.builder.isEmpty) return;
    this.#stream?.confirm(sentLsn);
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
    const { builder, applier } = this.#parts;
    if (this.#inFlight > 0 && !builder.isFull) return;
    if (this.#inFlight === IN_FLIGHT_MAX || (applier.isWorn && this.#inFlight > 0)) return this.#stream?.pause();
    const group = builder.take();
    if (group) void this.#apply(group);
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
      if (group.endLsn !== undefined) this.#stream?.confirm(group.endLsn);
      onPending(builder.pendingChanges + this.#applyingChanges);
      onDurable(group, counts);
      if (applier.isWorn && this.#inFlight === 0)
        throw Object.assign(new Error("the target session has gathered enough statements"), { code: "57P05" });
      this.#stream?.resume();
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
