import { type Lsn, LSN_ZERO } from "../../contracts/lsn.ts";
import { type Change } from "./change.ts";

/**
 * A stretch of the stream that is applied in one go. Either whole source transactions (`endLsn` says up to where the
 * target is then complete), or a piece of one transaction that is too large for one piece: it is applied into an open
 * target transaction that commits with the last piece.
 */
export interface Group {
  readonly changes: readonly Change[];
  readonly bytes: number;
  /** End of the last whole transaction; undefined: a piece, more of its transaction follows. */
  readonly endLsn: Lsn | undefined;
  /** When that transaction was committed on the source. */
  readonly committedAtMs: number;
}

export interface GroupLimits {
  readonly maxChanges: number;
  readonly maxBytes: number;
}

/** Collects changes between the stream and the target. Knows nothing of either. */
export class GroupBuilder {
  readonly #limits: GroupLimits;
  /** The first group ends here, however large it is. */
  #firstEndLsn: Lsn;
  /** Changes of whole transactions that wait to be applied. */
  #whole: Change[] = [];
  #wholeBytes = 0;
  #endLsn: Lsn | undefined;
  #committedAtMs = 0;
  /** Changes of the transaction that is arriving, and of all that came since one is under way. */
  #open: Change[] = [];
  #openBytes = 0;
  #isArriving = false;
  /** Transactions that have sent changes before their end. */
  readonly #underWay = new Set<number>();
  /** A whole transaction has come behind one of them. */
  #keepsWaiting = false;
  /** Whose changes arrive now, of those. */
  #streamed: number | undefined;

  /** @param firstEndLsn where a group that some of is applied has ended: it must be gathered as it was. */
  constructor(limits: GroupLimits, firstEndLsn: Lsn = LSN_ZERO) {
    this.#limits = limits;
    this.#firstEndLsn = firstEndLsn;
  }

  /** A transaction begins to arrive. */
  begin(): void {
    this.#isArriving = true;
  }

  /** What is added until the next call is of a transaction that has not ended on the source; undefined: of one that has. */
  stream(xid: number | undefined): void {
    this.#streamed = xid;
  }

  add(change: Change, bytes: number): void {
    if (this.#streamed !== undefined) this.#underWay.add(this.#streamed);
    this.#open.push(change);
    this.#openBytes += bytes;
  }

  /**
   * The arriving transaction is complete, or the one under way of the xid. While one is under way nothing is whole: a
   * transaction in between waits for it, and is committed on the target with it.
   */
  commit(endLsn: Lsn, committedAtMs: number, streamedXid?: number): void {
    if (streamedXid === undefined) this.#isArriving = false;
    else this.#underWay.delete(streamedXid);
    this.#keepsWaiting = this.#underWay.size > 0;
    if (this.#keepsWaiting) return;
    if (this.#whole.length === 0) this.#whole = this.#open;
    else for (const change of this.#open) this.#whole.push(change);
    this.#wholeBytes += this.#openBytes;
    this.#open = [];
    this.#openBytes = 0;
    this.#endLsn = endLsn;
    this.#committedAtMs = committedAtMs;
  }

  /** Changes that arrived and were not handed out. */
  get pendingChanges(): number {
    return this.#whole.length + this.#open.length;
  }

  /** Nothing arrived that was not handed out, and no transaction is on its way. */
  get isEmpty(): boolean {
    return this.#endLsn === undefined && !this.#isArriving && !this.isUnderWay;
  }

  /** Changes were taken of a transaction that has not ended on the source: what follows them cannot be committed. */
  get isUnderWay(): boolean {
    return this.#underWay.size > 0;
  }

  /** A whole transaction waits for the end of another one. */
  get keepsWaiting(): boolean {
    return this.#keepsWaiting;
  }

  /** One is under way, or what arrives now is of such a transaction, whether or not any change of it was taken. */
  get isStreamed(): boolean {
    return this.isUnderWay || this.#streamed !== undefined;
  }

  /** Changes were taken of this one. */
  hasTaken(xid: number): boolean {
    return this.#underWay.has(xid);
  }

  /** Enough is waiting: the source must wait. */
  get isFull(): boolean {
    if (this.#firstEndLsn > LSN_ZERO) return this.#isFirstWhole;
    const { maxChanges, maxBytes } = this.#limits;
    return this.pendingChanges >= maxChanges || this.#wholeBytes + this.#openBytes >= maxBytes;
  }

  get #isFirstWhole(): boolean {
    return this.#endLsn !== undefined && this.#endLsn >= this.#firstEndLsn;
  }

  /** What may be applied next is a piece of the transaction that is arriving. */
  get isPieceNext(): boolean {
    return this.#endLsn === undefined && this.#open.length > 0 && this.isFull;
  }

  /** The next group to apply, or undefined while there is nothing that may be applied. */
  take(): Group | undefined {
    return this.isPieceNext ? this.#takePiece() : this.takeWhole();
  }

  /** The whole transactions that wait, if there are any. */
  takeWhole(): Group | undefined {
    if (this.#endLsn === undefined || !this.#isFirstWhole) return undefined;
    this.#firstEndLsn = LSN_ZERO;
    const group = { changes: this.#whole, bytes: this.#wholeBytes, endLsn: this.#endLsn, committedAtMs: this.#committedAtMs };
    this.#whole = [];
    this.#wholeBytes = 0;
    this.#endLsn = undefined;
    return group;
  }

  #takePiece(): Group {
    const group = { changes: this.#open, bytes: this.#openBytes, endLsn: undefined, committedAtMs: 0 };
    this.#open = [];
    this.#openBytes = 0;
    return group;
  }
}
