import type pg from "pg";
import { type Lsn, parseLsn } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { readCurrentLsn } from "./monitor.ts";

/**
 * Writes a mark into the source's stream: a transaction of its own that commits now. Every transaction that committed before
 * the call lies before the position that is returned; once the target has passed it, nothing of them is missing.
 *
 * The message is transactional, so that its commit makes the slot advance on a quiet source too (pitfalls, rule 11 and #48).
 * Before 9.6 there are no messages; a transaction that only draws an id writes a commit record as well.
 */
export async function writeMarker(source: pg.ClientBase, versionNum: number, note: string): Promise<Lsn> {
  if (versionNum >= 90_600) {
    const { rows } = await source.query<{ lsn: string }>("SELECT pg_logical_emit_message(true, 'pgdms', $1)::text AS lsn", [note]);
    await passing("marker-written");
    return parseLsn(rows[0]?.lsn ?? "");
  }
  const before = await readCurrentLsn(source, versionNum);
  await source.query("SELECT txid_current()");
  return before;
}
