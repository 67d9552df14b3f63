import type pg from "pg";
import { quoteTable } from "../postgres/quote.ts";
import { listSequences, type ListedSequence } from "./list-sequences.ts";

/** A sequence and where it stands. Numbers stay text: they may pass 2^53. */
export interface SequenceState extends ListedSequence {
  readonly lastValue: string;
  /** False before the first draw: the next value is lastValue itself. */
  readonly isCalled: boolean;
}

/** Sequences are read so many to a statement. */
const STATEMENT_SEQUENCES_MAX = 200;

/**
 * Reads every sequence of the session's database. From each sequence itself, since pg_sequences came with PostgreSQL 10.
 * @throws the server's 42501 when one may not be read.
 */
export async function readSequences(source: pg.ClientBase): Promise<SequenceState[]> {
  const sequences = await listSequences(source);
  const states: SequenceState[] = [];
  for (let at = 0; at < sequences.length; at += STATEMENT_SEQUENCES_MAX) {
    const some = sequences.slice(at, at + STATEMENT_SEQUENCES_MAX);
    const selects = some.map((name, n) => `SELECT ${n} AS n, last_value::text AS last_value, is_called FROM ${quoteTable(name)}`);
    const { rows } = await source.query<{ n: number; last_value: string; is_called: boolean }>(selects.join(" UNION ALL "));
    for (const { n, last_value, is_called } of rows) {
      const sequence = some[n];
      if (sequence) states.push({ ...sequence, lastValue: last_value, isCalled: is_called });
    }
  }
  return states;
}
