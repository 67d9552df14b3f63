import { randomBytes } from "node:crypto";
import { type StoredMessage } from "./messages.ts";

/** The right of one receiver to settle one delivery. */
export interface Lock {
  /** The delivery tag, in hex. */
  readonly token: string;
  readonly message: StoredMessage;
  /** Set in entities with sessions: the message is locked as long as its session is. */
  readonly sessionId: string | undefined;
  /** Infinity in entities with sessions. */
  expiryMs: number;
}

const tokenBytes = 16;

/** The locks on the messages of one entity. */
export class LockTable {
  /** In order of expiry: all locks of an entity last equally long, and a renewed one moves to the end. */
  readonly #locks = new Map<string, Lock>();
  readonly #lockedNumbers = new Set<number>();

  lock(message: StoredMessage, expiryMs: number, sessionId?: string): Lock {
    const lock = { token: randomBytes(tokenBytes).toString("hex"), message, expiryMs, sessionId };
    this.#locks.set(lock.token, lock);
    this.#lockedNumbers.add(message.sequenceNumber);
    return lock;
  }

  find(token: string): Lock | undefined {
    return this.#locks.get(token);
  }

  isLocked(sequenceNumber: number): boolean {
    return this.#lockedNumbers.has(sequenceNumber);
  }

  renew(lock: Lock, expiryMs: number): void {
    lock.expiryMs = expiryMs;
    this.#locks.delete(lock.token);
    this.#locks.set(lock.token, lock);
  }

  remove(lock: Lock): void {
    this.#locks.delete(lock.token);
    this.#lockedNumbers.delete(lock.message.sequenceNumber);
  }

  nextExpiryMs(): number {
    for (const lock of this.#locks.values()) return lock.expiryMs;
    return Infinity;
  }

  expired(nowMs: number): Lock[] {
    const expired: Lock[] = [];
    for (const lock of this.#locks.values()) {
      if (lock.expiryMs > nowMs) break;
      expired.push(lock);
    }
    return expired;
  }

  ofSession(sessionId: string): Lock[] {
    return [...this.#locks.values()].filter((lock) => lock.sessionId === sessionId);
  }
}

/**
 * A delivery tag is a .NET Guid, whose first three groups are little-endian; the client swaps them to show the lock
 * token, and sends tokens in management requests in that swapped order. Swapping twice gives the tag again.
 */
export function swapGuid(bytes: Buffer): Buffer {
  const swapped = Buffer.from(bytes);
  swapped.subarray(0, 4).reverse();
  swapped.subarray(4, 6).reverse();
  swapped.subarray(6, 8).reverse();
  return swapped;
}
