import type pg from "pg";
import { failureCode } from "../postgres/failures.ts";

const INSUFFICIENT_PRIVILEGE = "42501";

/**
 * Whether the session's role may set session_replication_role to replica, which keeps ordinary triggers and foreign keys
 * quiet. Tried, because the right comes in many ways: superuser, GRANT SET ON PARAMETER (15 and later), and what managed
 * platforms add. Nothing stays set. Not for use inside a transaction.
 */
export async function canSetReplicaRole(client: pg.ClientBase): Promise<boolean> {
  await client.query("BEGIN");
  try {
    const { rows } = await client.query<{ role: string }>("SELECT set_config('session_replication_role', 'replica', true) AS role");
    return rows[0]?.role === "replica";
  } catch (thrown) {
    if (failureCode(thrown) === INSUFFICIENT_PRIVILEGE) return false;
    throw thrown;
  } finally {
    await client.query("ROLLBACK");
  }
}

/**
 * Keeps the target's event triggers from acting on what is only put aside and brought back: under the replica role those
 * that fire ordinarily do not (manual, ALTER EVENT TRIGGER). Where the role may not, a check has named them.
 * @returns whether the role may.
 */
export async function quietEventTriggers(client: pg.ClientBase): Promise<boolean> {
  const may = await canSetReplicaRole(client);
  if (may) await client.query("SET session_replication_role = replica");
  return may;
}
