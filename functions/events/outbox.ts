import { type ControlPlane } from "../control-plane.ts";
import { sent } from "../dispatch.ts";
import { type Log } from "../log.ts";
import { outboxKey } from "../store/outbox.ts";
import { LostRace } from "../store/races.ts";
import { type PgdmsEvent } from "./event.ts";

/**
 * Events of what leaves no row behind that could say later what was not told: they are written down before it happens and
 * struck out once they are published. The watchdog publishes what stayed. An event may so come twice, with the same id.
 */
export interface RecordedEvents {
  readonly owner: string;
  readonly events: readonly PgdmsEvent[];
}

/** Writes events down, to be published. Writing them again changes nothing. */
export async function recordEvents({ store }: ControlPlane, owner: string, events: readonly PgdmsEvent[]): Promise<RecordedEvents> {
  if (events.length > 0) await store.outbox.upsertAll(events.map((event) => ({ key: outboxKey(owner, event), value: { event } })));
  return { owner, events };
}

/** Publishes what was written down. What cannot be published stays for the watchdog. */
export async function publishRecorded(plane: ControlPlane, { owner, events }: RecordedEvents, log: Log): Promise<void> {
  if (events.length === 0) return;
  if (!(await sent(() => plane.bus.publish(events), { what: `${events.length} events of ${owner}` }, log))) return;
  await strikeOut(plane, { owner, events });
}

async function strikeOut({ store }: ControlPlane, { owner, events }: RecordedEvents): Promise<void> {
  await store.outbox.removeAll(events.map((event) => outboxKey(owner, event)));
}

/**
 * Writes events down, does what they tell, and publishes them.
 * @param act may throw LostRace: then it did not happen, and is not told
 */
export async function tellingOf<T>(
  plane: ControlPlane,
  owner: string,
  events: readonly PgdmsEvent[],
  act: () => Promise<T>,
  log: Log,
): Promise<T> {
  const recorded = await recordEvents(plane, owner, events);
  let result: T;
  try {
    result = await act();
  } catch (error) {
    if (error instanceof LostRace) await strikeOut(plane, recorded);
    throw error;
  }
  await publishRecorded(plane, recorded, log);
  return result;
}

/** Publishes what was left: the watchdog's part. @param filter which rows */
export async function publishLeft(plane: ControlPlane, filter: string, log: Log): Promise<void> {
  const rows = await plane.store.outbox.list(filter);
  if (rows.length === 0) return;
  const events = rows.map(({ value }) => value.event).sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
  if (!(await sent(() => plane.bus.publish(events), { what: `${events.length} events that were left` }, log))) return;
  await plane.store.outbox.removeAll(rows.map(({ key }) => key));
}
