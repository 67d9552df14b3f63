import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { type ReportedError } from "../../contracts/errors.ts";
import { tableKey } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { quoteLiteral, quoteTable } from "../postgres/quote.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";
import { Turn } from "../turn.ts";
import { readSequences, type SequenceState } from "./sequences.ts";
import { mapSequences, sequenceTables } from "./set-sequences.ts";

/** How many draws the target is ahead of the source, so that the source may go on for a while. */
const MARGIN = 1_000n;

/** Sequences have their limits in pg_sequence since then. */
const LIMITS_SINCE = 100_000;

/**
 * Keeps the target's sequences ahead of the source's while changes are followed: who must go over to the target without a
 * cutover gets no number twice. The cutover sets them exactly.
 */
export class SequenceKeeper {
  readonly #migration: Migration;
  readonly #prepared: Prepared;
  readonly #turn = new Turn();
  #isOver = false;

  constructor(migration: Migration, prepared: Prepared) {
    this.#migration = migration;
    this.#prepared = prepared;
  }

  /** Runs until the signal ends it. What cannot be set now is set at the cutover, which tells. */
  async run(): Promise<never> {
    const { settings, signal, log } = this.#migration;
    const intervalMs = settings.sequenceIntervalSeconds * 1000;
    let tookMs = 0;
    for (;;) {
      await sleep(intervalMs === 0 ? NEVER_MS : restMs(intervalMs, tookMs), undefined, { signal });
      if (intervalMs === 0) continue;
      const beganMs = Date.now();
      try {
        await this.#turn.run(async () => (this.#isOver ? undefined : keepAhead(this.#migration, this.#prepared)));
      } catch (thrown) {
        signal.throwIfAborted();
        log.warn({ event: "sequences.ahead.failed", err: thrown }, "sequences could not be set ahead; tried again later");
      }
      tookMs = Date.now() - beganMs;
    }
  }

  /** Cuts over, during which no sequence is set ahead; after a cutover that is done none ever is. */
  async exactly(cutOver: () => Promise<readonly ReportedError[]>): Promise<readonly ReportedError[]> {
    return this.#turn.run(async () => {
      const errors = await cutOver();
      this.#isOver = errors.length === 0;
      return errors;
    });
  }
}

const NEVER_MS = 0x7fff_ffff;

/** Reading thousands of sequences takes the source seconds: at most a twentieth of the time goes into it. */
const REST_FACTOR = 20;

/** How long to rest after a round, in milliseconds. Pure. */
export const restMs = (intervalMs: number, tookMs: number): number => Math.max(intervalMs, tookMs * REST_FACTOR);

async function keepAhead({ source, target, ownership, log }: Migration, { tables, targetVersionNum }: Prepared): Promise<void> {
  if (targetVersionNum < LIMITS_SINCE) return;
  const states = await withConnection(source, { purpose: "sequences" }, readSequences);
  await withConnection(target, { purpose: "sequences" }, async (client) => {
    const theirs = await readSequences(client);
    const limits = await readLimits(client);
    const now = new Map(theirs.map((state) => [tableKey(state), state]));
    const statements = mapSequences(states, theirs, sequenceTables(tables)).pairs.flatMap(({ source: ours, target: name }) => {
      const [state, limit] = [now.get(tableKey(name)), limits.get(tableKey(name))];
      const value = state && limit && valueAhead(ours, state, limit);
      return value === undefined ? [] : [`SELECT setval(${quoteLiteral(quoteTable(name))}::regclass, ${value})`];
    });
    if (statements.length === 0) return;
    await inOwnedTransaction(client, ownership, () => client.query(statements.join("; ")));
    log.debug({ event: "sequences.ahead", count: statements.length }, "sequences were set ahead");
  });
}

interface SequenceLimits {
  readonly increment: bigint;
  readonly min: bigint;
  readonly max: bigint;
  readonly isCycling: boolean;
}

/**
 * Where the target's sequence is to be set; undefined when it is far enough ahead, or goes round and so has no "ahead". Never
 * against its direction. Pure.
 */
export function valueAhead(
  source: Pick<SequenceState, "lastValue" | "isCalled">,
  target: Pick<SequenceState, "lastValue" | "isCalled">,
  { increment, min, max, isCycling }: SequenceLimits,
): bigint | undefined {
  if (isCycling) return undefined;
  const drawn = ({ lastValue, isCalled }: Pick<SequenceState, "lastValue" | "isCalled">): bigint =>
    isCalled ? BigInt(lastValue) : BigInt(lastValue) - increment;
  const within = (value: bigint): bigint => (value > max ? max : value < min ? min : value);
  const isAtLeast = (value: bigint, other: bigint): boolean => (increment > 0n ? value >= other : value <= other);
  const [ours, theirs] = [drawn(source), drawn(target)];
  if (isAtLeast(theirs, within(ours + (MARGIN / 2n) * increment))) return undefined;
  return within(ours + MARGIN * increment);
}

async function readLimits(client: pg.ClientBase): Promise<Map<string, SequenceLimits>> {
  const { rows } = await client.query<{ schema: string; name: string; increment: string; min: string; max: string; cycle: boolean }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqincrement::text AS increment, s.seqmin::text AS min, s.seqmax::text AS max,
            s.seqcycle AS cycle
       FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace`,
  );
  return new Map(
    rows.map(({ increment, min, max, cycle, ...name }) => [
      tableKey(name),
      { increment: BigInt(increment), min: BigInt(min), max: BigInt(max), isCycling: cycle },
    ]),
  );
}
