import { type Lsn } from "../../contracts/lsn.ts";
import { withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { dropCatchUpSlots } from "../source/slot.ts";
import { type Ownership } from "../target/ownership.ts";
import { type Applied, isHalfApplied } from "./apply.ts";
import { SqlBacklog, type SqlBacklogReading } from "./sql-backlog.ts";

/** A backlog that was looked for is not looked for again so soon; one that could not be read by SQL later still. */
const AGAIN_MS = 60_000;
const AGAIN_MS_FAILED = 600_000;

export interface CatchUpOptions {
  readonly source: Server;
  readonly ownership: Ownership;
  readonly slot: string;
  /** Asked at each connection. */
  readonly publications: () => readonly string[];
  readonly plugin: "pgoutput" | "test_decoding";
  readonly sourceVersionNum: number;
  readonly clientEncoding: string;
  /** logical_decoding_work_mem of whoever decodes; 0 or left out: what suits the source. */
  readonly decodingMemoryMB?: number;
  /** From how many bytes of WAL on a backlog of small transactions is read by SQL, where it can be; left out: never. */
  readonly sqlBacklogBytes?: number;
  /** How long after one that was looked for the next one is, in milliseconds; left out: a minute. */
  readonly sqlBacklogAgainMs?: number;
}

/** When a sync reads by SQL what it is behind (see sql-backlog.ts), and what such a reading leaves on the source. Outlives connections. */
export class CatchUp {
  readonly #options: CatchUpOptions;
  /** The stream has met a backlog of many small transactions. */
  #hasSmall = false;
  /** A slot that a backlog was read by may be there, of this worker or of one before, and keeps WAL. */
  #mayHaveSlot: boolean;
  #isUnderWay = false;
  #notBeforeMs = -Infinity;

  constructor(options: CatchUpOptions) {
    this.#options = options;
    this.#mayHaveSlot = options.ownership.epoch > 1;
  }

  /** Whether a stream that is so many bytes of WAL behind is to end once it brings many small transactions. */
  isWorthIt(applied: Applied, behindBytes: number): boolean {
    return !this.#isUnderWay && behindBytes >= (this.#options.sqlBacklogBytes ?? Infinity) && this.#mayLook(applied);
  }

  /** The stream has ended for it. */
  metSmall(): void {
    this.#hasSmall = true;
  }

  /** The source did not take part. */
  failed(): void {
    this.#notBeforeMs = performance.now() + AGAIN_MS_FAILED;
  }

  /**
   * Drops what an earlier one has left, and looks whether there is a backlog now.
   * @param confirmedLsn up to here the migration's own slot may forget.
   * @returns what must be closed; undefined where the stream is the better way.
   * @throws BacklogFailed when the source does not take part; what connecting throws.
   */
  async find(applied: Applied, confirmedLsn: Lsn): Promise<SqlBacklog | undefined> {
    this.#isUnderWay = false;
    if (this.#mayHaveSlot) await this.#dropSlot();
    if (!this.#mayLook(applied)) return undefined;
    const isKnownSmall = this.#hasSmall;
    this.#hasSmall = false;
    const { source, ownership, slot, publications, sourceVersionNum, clientEncoding, decodingMemoryMB = 0 } = this.#options;
    const { sqlBacklogBytes = 0, sqlBacklogAgainMs = AGAIN_MS } = this.#options;
    this.#notBeforeMs = performance.now() + sqlBacklogAgainMs;
    const backlog = await SqlBacklog.find(source, {
      slot,
      sourceVersionNum,
      clientEncoding,
      decodingMemoryMB,
      ...ownership,
      startLsn: applied.position,
      confirmedLsn,
      bytesMin: sqlBacklogBytes,
      isKnownSmall,
      publications: publications(),
    });
    this.#isUnderWay = backlog !== undefined;
    return backlog;
  }

  /** Begins to read what was found. @throws BacklogFailed when the source does not take part */
  async read(backlog: SqlBacklog, reading: SqlBacklogReading): Promise<void> {
    this.#mayHaveSlot = true;
    await backlog.read(reading);
  }

  #mayLook(applied: Applied): boolean {
    const { plugin, sqlBacklogBytes = 0 } = this.#options;
    const isWanted = plugin === "pgoutput" && sqlBacklogBytes > 0 && !isHalfApplied(applied);
    return isWanted && (this.#hasSmall || performance.now() >= this.#notBeforeMs);
  }

  async #dropSlot(): Promise<void> {
    const { source, slot, ownership } = this.#options;
    const { taskId, epoch } = ownership;
    await withConnection(source, { purpose: "slot" }, (client) => dropCatchUpSlots(client, slot, taskId, epoch));
    this.#mayHaveSlot = false;
  }
}
