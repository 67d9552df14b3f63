import type { DatabaseLevelOutput, TableLevelOutput } from "../../contracts/wire.ts";

/** What one poll says of one database: totals and gauges, with the moment it was read. */
export interface Sample {
  readonly timeMs: number;
  readonly loadedRows: number;
  readonly loadedBytes: number;
  readonly appliedChanges: number;
  readonly pendingChanges: number;
  readonly lagBytes: number;
  readonly latencySeconds: number;
  readonly walHeldBytes: number;
}

/** The most samples kept of one database; older ones are thinned out, so that a day fits as well as a minute. */
export const HISTORY_SAMPLES_MAX = 1200;

export const sampleOf = (database: DatabaseLevelOutput, timeMs: number): Sample => ({
  timeMs,
  loadedRows: database.fullLoadRows,
  loadedBytes: database.fullLoadBytes,
  appliedChanges: database.appliedChanges,
  pendingChanges: database.incomingChanges,
  lagBytes: database.lagBytes,
  latencySeconds: database.latencySeconds,
  walHeldBytes: database.walHeldBytes,
});

/** The history with one more sample; when it is full, every second sample of its older half goes. */
export function withSample(history: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = history.at(-1);
  if (last && sample.timeMs <= last.timeMs) return history;
  if (history.length < HISTORY_SAMPLES_MAX) return [...history, sample];
  const half = HISTORY_SAMPLES_MAX / 2;
  return [...history.slice(0, half).filter((_, index) => index % 2 === 0), ...history.slice(half), sample];
}

/** Keeps the objects of the last poll where nothing changed: thousands of unchanged rows are then not drawn again. */
export function keepUnchanged(before: readonly TableLevelOutput[], now: readonly TableLevelOutput[]): readonly TableLevelOutput[] {
  const known = new Map(before.map((table) => [table.id, table]));
  return now.map((table) => {
    const earlier = known.get(table.id);
    return earlier && sameTable(earlier, table) ? earlier : table;
  });
}

function sameTable(a: TableLevelOutput, b: TableLevelOutput): boolean {
  return (
    a.state === b.state &&
    a.fullLoadTotalRows === b.fullLoadTotalRows &&
    a.fullLoadTotalVolumeBytes === b.fullLoadTotalVolumeBytes &&
    a.totalChangesApplied === b.totalChangesApplied &&
    a.dataErrorsCounter === b.dataErrorsCounter &&
    a.fullLoadStartedOn === b.fullLoadStartedOn &&
    a.fullLoadEndedOn === b.fullLoadEndedOn &&
    a.fullLoadEstFinishTime === b.fullLoadEstFinishTime &&
    a.rowsEstimate === b.rowsEstimate &&
    a.bytesEstimate === b.bytesEstimate &&
    (a.comparison === null) === (b.comparison === null) &&
    a.comparison?.equal === b.comparison?.equal &&
    a.error?.message === b.error?.message
  );
}
