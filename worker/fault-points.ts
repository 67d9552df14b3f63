/**
 * The gaps between two durable writes, where a worker may die or never hear that its write happened, each with the side that
 * was written to last. A test stops a migration at every one of them and sees that it goes on as if nothing had been
 * (test/faults/fault-walk.test.ts).
 */
export const FAULT_POINTS = {
  "target-owned": "target",
  "tables-listed": "target",
  "definitions-half-deferred": "target",
  "source-prepared": "source",
  "slot-created": "source",
  "snapshot-exported": "source",
  "slot-recorded": "target",
  "table-kept": "target",
  "parts-entered": "target",
  "table-half-copied": "target",
  "copied-not-recorded": "target",
  "part-recorded": "target",
  "load-recorded": "target",
  "lanes-half-committed": "target",
  "committed-not-confirmed": "target",
  "ready-recorded": "target",
  "marker-written": "source",
  "sequences-half-set": "target",
  "constraints-half-restored": "target",
  "proof-recorded": "target",
  "clean-up-half-done": "source",
  "source-cleaned": "source",
  "report-sent-not-recorded": "service bus",
  "bookkeeping-dropped": "target",
} as const satisfies Record<string, "source" | "target" | "service bus">;

export type FaultPoint = keyof typeof FAULT_POINTS;

type Hook = (point: FaultPoint) => Promise<void> | undefined;

let hook: Hook | undefined;

/** For tests alone: no setting, message or environment reaches it. */
export function onFaultPoint(next: Hook | undefined): void {
  hook = next;
}

/** Stands behind the write that the point is named for. Does nothing unless a test has set a hook. */
export const passing = (point: FaultPoint): Promise<void> | undefined => hook?.(point);
