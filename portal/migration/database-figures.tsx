import { makeStyles, ProgressBar, tokens } from "@fluentui/react-components";
import {
  formatBytes,
  formatBytesPerSecond,
  formatCount,
  formatDuration,
  formatPercent,
  formatPerSecond,
  formatShort,
  NOTHING,
} from "../figures/format.ts";
import { ratePerSecond, timeLeft } from "../figures/rates.ts";
import { texts } from "../texts.ts";
import { loadedShare } from "./database-words.ts";
import type { DatabaseView } from "./migration-view.ts";
import { Tile } from "./tile.tsx";
import { walNotes, walTone } from "./wal-words.ts";

const useStyles = makeStyles({
  tiles: {
    display: "grid",
    gridTemplateColumns: "minmax(250px, 2fr) repeat(4, minmax(0, 1fr))",
    gap: tokens.spacingHorizontalM,
    marginBottom: tokens.spacingVerticalL,
    "@media (max-width: 1000px)": { gridTemplateColumns: "repeat(2, minmax(0, 1fr))" },
    "@media (max-width: 560px)": { "& > :first-child": { gridColumn: "1 / -1" } },
  },
  bar: { margin: `${tokens.spacingVerticalXS} 0` },
});

/** The figures that decide what one does next, computed from what was read so far. */
export function DatabaseFigures({ database }: { readonly database: DatabaseView }) {
  const styles = useStyles();
  const words = texts.migration;
  const { output, history } = database;
  const share = loadedShare(output);
  const appliedRate = ratePerSecond(history, "appliedChanges");
  const isOver = output.endedOn !== null;
  return (
    <div className={styles.tiles}>
      <Tile
        title={words.progressTitle}
        value={output.initializationCompleted ? words.progressDone : formatPercent(share)}
        notes={loadNotes(database)}
      >
        <ProgressBar
          className={styles.bar}
          thickness="large"
          value={share}
          color={output.initializationCompleted ? "success" : "brand"}
          aria-label={words.progressTitle}
        />
      </Tile>
      <Tile title={words.pendingTitle} help={words.pendingHelp} value={formatCount(output.incomingChanges)} notes={[words.pendingHelp]} />
      <Tile
        title={words.appliedTitle}
        value={formatCount(output.appliedChanges)}
        notes={isOver || appliedRate === undefined ? [] : [formatPerSecond(Math.max(0, appliedRate))]}
      />
      <Tile title={words.lagTitle} value={formatDuration(output.latencySeconds)} notes={[formatBytes(output.lagBytes), words.lagHelp]} />
      <Tile
        title={words.walTitle}
        value={walValue(output)}
        notes={isOver ? [] : walNotes(database)}
        tone={isOver ? "calm" : walTone(output.walHeldBytes, output.walLimitBytes)}
      />
    </div>
  );
}

/** Only an end in order says that the source is clean: after a failure nobody has looked. */
function walValue({ migrationState, endedOn, walHeldBytes }: DatabaseView["output"]): string {
  if (migrationState === "COMPLETE" || migrationState === "CANCELLED") return texts.migration.walReleased;
  return endedOn === null ? formatBytes(walHeldBytes) : NOTHING;
}

function loadNotes({ output, history }: DatabaseView): string[] {
  const words = texts.migration;
  const rows = words.rowsLoaded(output.fullLoadRows < 1_000_000 ? formatCount(output.fullLoadRows) : formatShort(output.fullLoadRows));
  if (output.initializationCompleted) return [`${rows}, ${formatBytes(output.fullLoadBytes)}`];
  const bytes = words.ofTotal(formatBytes(output.fullLoadBytes), formatBytes(output.fullLoadTotalBytesEstimate));
  const rowRate = ratePerSecond(history, "loadedRows");
  const byteRate = ratePerSecond(history, "loadedBytes");
  const isLoading = output.fullLoadLoadingTables > 0 && output.endedOn === null;
  if (!isLoading || rowRate === undefined || byteRate === undefined) return [`${rows}, ${bytes}`];
  return [
    `${rows}, ${bytes}`,
    `${formatPerSecond(Math.max(0, rowRate))}, ${formatBytesPerSecond(Math.max(0, byteRate))}`,
    leftNote({ output, history }),
  ];
}

function leftNote({ output, history }: Pick<DatabaseView, "output" | "history">): string {
  const left = timeLeft(history, output.fullLoadTotalBytesEstimate);
  if (!left) return texts.migration.timeLeftUnknown;
  const about = texts.migration.timeLeft(formatDuration(Math.max(1, left.seconds)));
  const [from, until] = [formatDuration(Math.max(1, left.fromSeconds)), formatDuration(Math.max(1, left.untilSeconds))];
  return from === until ? about : `${about} (${texts.migration.timeLeftRange(from, until)})`;
}
