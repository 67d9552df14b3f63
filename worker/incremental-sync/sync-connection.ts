import { type Lsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { type Applier } from "./apply.ts";
import { type Change } from "./change.ts";
import { type ChangeSource, type Frame, frameLsn, frameSentAtMs } from "./change-source.ts";
import { type ChangeCounts } from "./counts.ts";
import { type StreamEvent } from "./decoder.ts";
import { type Group, type GroupBuilder } from "./group.ts";
import { ManySmallTransactions, SmallTransactions } from "./small-transactions.ts";
import { LongWait, StreamedInVain } from "./streamed.ts";

/** A transaction that arrives so long after its commit shows that the sync is behind. */
const BEHIND_MS = 500;

/** Reads the messages of one plugin; made for one connection. */
export interface Decoder {
  readonly decode: (frame: Frame) => StreamEvent;
  /** The source has sent everything before this position. */
  readonly reached: (lsn: Lsn) => void;
  /** Asked before a piece of a transaction is applied: whether its end must be seen first, and nothing is applied any more. */
  readonly learnsFirst: () => boolean;
}

export interface ConnectionParts {
  readonly applier: Applier;
  readonly builder: GroupBuilder;
  readonly decoder: Decoder;
  readonly onDurable: (group: Group, counts: ChangeCounts) => void;
  /** Everything up to here was sent and nothing of it is pending. */
  readonly onIdle: (lsn: Lsn) => void;
  readonly onPending: (count: number) => void;
  /** Somebody waits for a position. */
  readonly isAwaited: () => boolean;
  /** How much of what is durable the source may forget. */
  readonly confirmable: (lsn: Lsn) => Lsn;
  /** Whether the connection is to end where many small transactions are behind, because they are read faster in another way. */
  readonly leavesSmall: () => boolean;
}

/** What a socket reads at a time at most (libuv's suggested size); a longer message has its bytes to itself. */
const READ_BYTES = 64 * 1024;

/** Groups on their way to the target: while one is applied the next one is folded and follows without a pause. */
const IN_FLIGHT_MAX = 2;

const waitedTooLong = (): StreamedInVain => new StreamedInVain("what followed it has waited for its end for too long");

/** One stream and one target session, until either breaks. While groups are applied the next one gathers. */
export class SyncConnection {
  readonly #parts: ConnectionParts;
  readonly failed: Promise<never>;
  #fail: (thrown: unknown) => void = () => undefined;
  #stream: ChangeSource | undefined;
  #inFlight = 0;
  #applyingChanges = 0;
  #isBroken = false;
  /** The stream is only read to learn from: it will be read again. */
  #isLearning = false;
  #lastFrame: Frame | undefined;
  /** Of the stream, since the last change that was taken. */
  #passedBytes = 0;
  readonly #waiting = new LongWait();
  readonly #small = new SmallTransactions();
  /** What arrived after the whole transactions that are still to be applied. */
  #fault: { readonly thrown: unknown } | undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.failed = new Promise<never>((_resolve, reject) => (this.#fail = reject));
    // The race that waits for it may be over when it rejects.
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

  /** Everything that arrived is durable, but for a transaction that has not ended. */
  get isIdle(): boolean {
    return this.#inFlight === 0 && this.#parts.builder.isEmpty;
  }

  attach(stream: ChangeSource): void {
    this.#stream = stream;
    this.#pump();
  }

  onMessage(frame: Frame): void {
    if (this.#isBroken || this.#fault) return;
    try {
      this.#take(frame);
    } catch (thrown) {
      this.#stumble(thrown);
    }
  }

  #stumble(thrown: unknown): void {
    // What is only read to learn from is never applied: there is nothing to wait for.
    if (this.#isLearning) return this.#break(thrown);
    this.#fault = { thrown };
    this.#stream?.pause();
    this.#pump();
  }

  #take(frame: Frame): void {
    const { builder, decoder, onPending } = this.#parts;
    const event = decoder.decode(frame);
    if (event.kind !== "nothing") this.#lastFrame = frame; // a relation is sent without a position
    if (event.kind === "learning") this.#isLearning = true;
    this.#passedBytes += frame.end - frame.start;
    switch (event.kind) {
      case "insert":
      case "update":
      case "delete":
      case "truncate":
        this.#add(event, frame);
        break;
      case "begin":
        builder.begin();
        this.#noteDelay(event, frame);
        break;
      case "commit":
        builder.commit(event.endLsn, event.committedAtMs, event.streamedXid);
        this.#noteDelay(event, frame);
        break;
      default:
        this.#takeStreamed(event);
    }
    onPending(builder.pendingChanges + this.#applyingChanges);
    this.#pump();
  }

  /** A row keeps alive all that was read with it, also what came before it and was left out. */
  #add(change: Change, { start, end }: Frame): void {
    this.#small.change();
    this.#parts.builder.add(change, Math.max(end - start, Math.min(this.#passedBytes, READ_BYTES)));
    this.#passedBytes = 0;
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
  #noteDelay({ kind, committedAtMs }: Extract<StreamEvent, { committedAtMs: number }>, frame: Frame): void {
    if (committedAtMs === 0) return;
    const sentAtMs = frameSentAtMs(frame);
    const isBehind = sentAtMs - committedAtMs > BEHIND_MS;
    this.#stream?.setBehind(isBehind);
    if (this.#waitsTooLong(sentAtMs, isBehind)) throw waitedTooLong();
    if (kind === "commit" && this.#small.committed(isBehind) && this.#parts.leavesSmall()) throw new ManySmallTransactions();
  }

  /** Whether others have waited for long for a transaction that was taken before its end, and may go on for hours. */
  #waitsTooLong(nowMs: number, isBehind: boolean): boolean {
    const { builder, isAwaited } = this.#parts;
    if (builder.isUnderWay && (builder.keepsWaiting || isAwaited())) return this.#waiting.isTooLong(nowMs, isBehind);
    this.#waiting.over();
    return false;
  }

  /**
   * @param sentLsn everything before it was sent; nothing is confirmed by it while something is pending (pitfalls, rule 2).
   * @param sentAtMs by the source's clock.
   */
  onKeepAlive(sentLsn: Lsn, sentAtMs: number): void {
    if (this.#isLearning && !this.#isBroken) return this.#learn(sentLsn);
    if (this.#isBroken || this.#fault) return;
    if (this.#waitsTooLong(sentAtMs, false)) return this.#stumble(waitedTooLong());
    if (this.#inFlight > 0 || !this.#parts.builder.isEmpty) return;
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
