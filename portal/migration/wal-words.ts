import { formatBytes, formatBytesPerSecond, formatDuration, formatPercent } from "../figures/format.ts";
import { walForecast } from "../figures/rates.ts";
import { texts } from "../texts.ts";
import type { DatabaseView } from "./migration-view.ts";
import type { Tone } from "./tile.tsx";

/** Shares of the limit at which the worker warns as well. */
const warningShare = 0.5;
const dangerShare = 0.8;

/** Less change than this is noise of the moment of reading. */
const steadyBytesPerSecond = 1024;

export function walTone(heldBytes: number, limitBytes: number | null): Tone {
  if (limitBytes === null) return "calm";
  if (heldBytes >= limitBytes * dangerShare) return "danger";
  return heldBytes >= limitBytes * warningShare ? "warning" : "calm";
}

/** The limit with its share, what the WAL does, and when it is full. */
export function walNotes(database: Pick<DatabaseView, "output" | "history">): string[] {
  const { walHeldBytes, walLimitBytes, walLimitedBy, walFullInSeconds } = database.output;
  const words = texts.migration;
  const limit =
    walLimitBytes === null || walLimitedBy === null
      ? []
      : [
          words.walOfLimit(
            formatPercent(walHeldBytes / Math.max(1, walLimitBytes)),
            formatBytes(walLimitBytes),
            words.walLimitedBy[walLimitedBy],
          ),
        ];
  if (walFullInSeconds === 0) return [...limit, words.walFull];
  if (walFullInSeconds !== null) return [...limit, words.walFullIn(formatDuration(walFullInSeconds))];
  return [...limit, changeNote(database)];
}

/** The worker's rate is of minutes; until it has one, what this page has seen so far. */
function changeNote({ output, history }: Pick<DatabaseView, "output" | "history">): string {
  const words = texts.migration;
  const seen = walForecast(history);
  const growth = output.walGrowthBytesPerSecond ?? seen?.growthBytesPerSecond;
  if (growth === undefined) return words.walWatching;
  if (Math.abs(growth) < steadyBytesPerSecond) return words.walSteady;
  if (growth < 0) return words.walShrinking(formatBytesPerSecond(-growth));
  return words.walGrowing(formatBytesPerSecond(growth), formatBytes(output.walHeldBytes + growth * 3600));
}
