import type { TableLevelOutput } from "../../contracts/wire.ts";
import { formatBytes, formatCount, formatDuration, formatTime, NOTHING, secondsBetween } from "../figures/format.ts";
import { VirtualTable, type Column } from "../shell/virtual-table.tsx";
import { texts } from "../texts.ts";
import { Counters } from "./counters.tsx";
import type { DatabaseView } from "./migration-view.ts";
import { shareCell, stateCell, tableShare } from "./table-cells.tsx";
import { useTableFilter } from "./table-filter.tsx";

const seconds = ({ fullLoadStartedOn, fullLoadEndedOn }: TableLevelOutput) =>
  secondsBetween(fullLoadStartedOn, fullLoadEndedOn, Date.now());

const { loadColumns } = texts.migration;

const columns: readonly Column<TableLevelOutput>[] = [
  {
    key: "table",
    title: loadColumns.table,
    width: "minmax(180px, 2fr)",
    cell: ({ tableName }) => tableName,
    sortBy: ({ tableName }) => tableName,
  },
  {
    key: "state",
    title: loadColumns.state,
    width: "minmax(110px, 1fr)",
    cell: (table) => stateCell(table, false),
    sortBy: ({ state }) => state,
  },
  {
    key: "progress",
    title: loadColumns.progress,
    width: "minmax(90px, 1fr)",
    cell: shareCell,
    sortBy: tableShare,
  },
  {
    key: "rows",
    title: loadColumns.rows,
    width: "minmax(90px, 0.8fr)",
    align: "end",
    cell: ({ fullLoadTotalRows }) => formatCount(fullLoadTotalRows),
    sortBy: ({ fullLoadTotalRows }) => fullLoadTotalRows,
  },
  {
    key: "volume",
    title: loadColumns.volume,
    width: "minmax(80px, 0.7fr)",
    align: "end",
    cell: ({ fullLoadTotalVolumeBytes }) => formatBytes(fullLoadTotalVolumeBytes),
    sortBy: ({ fullLoadTotalVolumeBytes }) => fullLoadTotalVolumeBytes,
  },
  {
    key: "started",
    title: loadColumns.started,
    width: "minmax(76px, 0.7fr)",
    align: "end",
    cell: ({ fullLoadStartedOn }) => formatTime(fullLoadStartedOn),
    sortBy: ({ fullLoadStartedOn }) => fullLoadStartedOn ?? "",
  },
  {
    key: "ended",
    title: loadColumns.ended,
    width: "minmax(120px, 0.9fr)",
    align: "end",
    cell: ({ fullLoadEndedOn, fullLoadEstFinishTime }) =>
      fullLoadEndedOn === null && fullLoadEstFinishTime !== null
        ? texts.migration.expectedAt(formatTime(fullLoadEstFinishTime))
        : formatTime(fullLoadEndedOn),
    sortBy: ({ fullLoadEndedOn }) => fullLoadEndedOn ?? "",
  },
  {
    key: "duration",
    title: loadColumns.duration,
    width: "minmax(80px, 0.7fr)",
    align: "end",
    cell: (table) => {
      const took = seconds(table);
      return took === undefined ? NOTHING : formatDuration(took);
    },
    sortBy: (table) => seconds(table) ?? -1,
  },
];

/** Full data load: the classic counters, and one line per table. */
export function LoadTab({ database: { output, tables } }: { readonly database: DatabaseView }) {
  const { shown, tools } = useTableFilter(tables);
  const { loadCounters } = texts.migration;
  return (
    <>
      <Counters
        items={[
          [loadCounters.completed, formatCount(output.fullLoadCompletedTables)],
          [loadCounters.loading, formatCount(output.fullLoadLoadingTables)],
          [loadCounters.queued, formatCount(output.fullLoadQueuedTables)],
          [loadCounters.errored, formatCount(output.fullLoadErroredTables)],
        ]}
      />
      {tools}
      <VirtualTable
        label={texts.migration.tabs.load}
        rows={shown}
        columns={columns}
        keyOf={({ id }) => id}
        minWidthPx={960}
        empty={tables.length === 0 ? texts.migration.noTables : texts.migration.noTablesMatch}
      />
    </>
  );
}
