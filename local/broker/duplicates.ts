import { type JournalRecord } from "./journal-records.ts";
import { type EntityHost } from "./message-store.ts";

/** Duplicate detection of one entity: the message ids sent within its window. A window of 0 ms detects nothing. */
export class DuplicateDetection {
  readonly #path: string;
  readonly #windowMs: number;
  readonly #host: EntityHost;
  /** In order of time, so that what has left the window is always at the front. */
  readonly #seenAtMs = new Map<string, number>();

  constructor(path: string, windowMs: number, host: EntityHost) {
    this.#path = path;
    this.#windowMs = windowMs;
    this.#host = host;
  }

  /** True if the id was sent within the window; if not, it is remembered. A duplicate does not prolong the window. */
  isDuplicate(messageId: string): boolean {
    if (this.#windowMs === 0) return false;
    this.#forgetOld();
    if (this.#seenAtMs.has(messageId)) return true;
    const timeMs = this.#host.now();
    this.#seenAtMs.set(messageId, timeMs);
    this.#host.record({ op: "seen", path: this.#path, messageId, timeMs });
    return false;
  }

  restore({ messageId, timeMs }: Extract<JournalRecord, { op: "seen" }>): void {
    this.#seenAtMs.set(messageId, timeMs);
  }

  snapshot(): JournalRecord[] {
    this.#forgetOld();
    return [...this.#seenAtMs].map(([messageId, timeMs]) => ({ op: "seen", path: this.#path, messageId, timeMs }));
  }

  #forgetOld(): void {
    for (const [messageId, seenAtMs] of this.#seenAtMs) {
      if (seenAtMs + this.#windowMs > this.#host.now()) return;
      this.#seenAtMs.delete(messageId);
    }
  }
}
