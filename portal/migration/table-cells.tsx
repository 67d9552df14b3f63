import type { CSSProperties } from "react";
import type { TableState } from "../../contracts/lifecycle.ts";
import type { TableLevelOutput } from "../../contracts/wire.ts";
import { dotWord, type DotTone } from "../shell/dot-word.tsx";
import { texts } from "../texts.ts";
import "./table-cells.css";

const tones: Record<TableState, DotTone> = {
  BEFORE_LOAD: "none",
  FULL_LOAD: "active",
  COMPLETED: "good",
  CANCELED: "none",
  ERROR: "bad",
  FAILED: "bad",
};

/** The state of a table; `isSyncing`: one that is loaded and follows the source is not just complete. */
export const stateCell = ({ state, error }: TableLevelOutput, isSyncing: boolean) =>
  dotWord(tones[state], isSyncing && state === "COMPLETED" ? texts.migration.syncing : texts.migration.tableStates[state], error?.message);

/** How much of a table is loaded, 0 to 1. */
export function tableShare({
  state,
  fullLoadEndedOn,
  fullLoadTotalVolumeBytes,
  bytesEstimate,
  fullLoadTotalRows,
  rowsEstimate,
}: TableLevelOutput): number {
  if (state === "COMPLETED" || fullLoadEndedOn !== null) return 1;
  if (bytesEstimate > 0) return Math.min(0.99, fullLoadTotalVolumeBytes / bytesEstimate);
  return rowsEstimate > 0 ? Math.min(0.99, fullLoadTotalRows / rowsEstimate) : 0;
}

/** The share as a bar; the figures beside it say it to screen readers. */
export function shareCell(table: TableLevelOutput) {
  const share = tableShare(table);
  const style = { "--share": `${share * 100}%` } as CSSProperties;
  return <div className="load-track" data-done={share === 1} style={style} aria-hidden="true" />;
}
