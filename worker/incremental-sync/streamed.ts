import { LSN_NEVER, type Lsn } from "../../contracts/lsn.ts";
import { isTransient } from "../postgres/failures.ts";
import { ServerError } from "../postgres/wire/server-error.ts";
import { type SyncTarget } from "./sync-table.ts";

/** Version 2 of pgoutput's protocol came with it (manual, "Logical Streaming Replication Parameters"). */
const STREAMING_SINCE = 140_000;

/** Past it the source sends what it has of a transaction instead of holding more: logical_decoding_work_mem of a stream that streams. */
export const STREAMED_PIECE_MB = 8;

/** So long may what is up to date wait for a transaction that has not ended. */
const WAIT_MS_MAX = 5_000;

/** So long may anything wait for it: until then nothing of all that is durable. */
const WAIT_BEHIND_MS_MAX = 600_000;

interface Streaming {
  readonly plugin: "pgoutput" | "test_decoding";
  readonly sourceVersionNum: number;
  readonly startLsn: Lsn;
  readonly targets: ReadonlyMap<string, SyncTarget>;
}

/**
 * Whether the source may send large transactions before they end. Where they were committed is then not known yet, only that
 * it is behind the position that the stream starts from; so that must tell for all tables whether the change is in the loaded
 * rows. Tables that are left out do not matter.
 */
export function mayStream({ plugin, sourceVersionNum, startLsn, targets }: Streaming): boolean {
  if (plugin !== "pgoutput" || sourceVersionNum < STREAMING_SINCE) return false;
  return [...targets.values()].every(
    ({ snapshotLsn, parts }) => snapshotLsn === LSN_NEVER || (snapshotLsn <= startLsn && (parts?.alikeFrom ?? snapshotLsn) <= startLsn),
  );
}

/**
 * Changes were taken of a transaction that had not ended, and that was of no use: it is read again, whole, once it has ended.
 * Nothing of it is on the target, whose transaction ends with the connection.
 */
export class StreamedInVain extends Error {
  constructor(reason: string, cause?: unknown) {
    super(`a transaction was taken before its end in vain: ${reason}`, { cause });
    this.name = "StreamedInVain";
  }
}

/**
 * Whether what ended a connection says nothing of the changes once they are committed: a transaction that is under way may
 * undo them all, or a definition that it changed. What the source itself cannot send so, it may be able to send whole.
 */
export function isInVain(thrown: unknown, { streams, isStreamed }: { streams: boolean; isStreamed: boolean }): boolean {
  if (thrown instanceof StreamedInVain) return true;
  return streams && (isStreamed || thrown instanceof ServerError) && !isTransient(thrown);
}

/** How long a transaction that has not ended keeps others waiting, by the source's clock. */
export class LongWait {
  #sinceMs: number | undefined;
  #upToDateSinceMs: number | undefined;

  /** Nothing waits. */
  over(): void {
    this.#sinceMs = undefined;
    this.#upToDateSinceMs = undefined;
  }

  /**
   * Something waits at this moment of the stream.
   * @param isBehind what arrives was committed a while ago: waiting costs nobody anything, but nothing is durable either.
   * @returns whether it has waited for too long.
   */
  isTooLong(nowMs: number, isBehind: boolean): boolean {
    this.#sinceMs ??= nowMs;
    this.#upToDateSinceMs = isBehind ? undefined : (this.#upToDateSinceMs ?? nowMs);
    return nowMs - this.#sinceMs > WAIT_BEHIND_MS_MAX || nowMs - (this.#upToDateSinceMs ?? nowMs) > WAIT_MS_MAX;
  }
}
