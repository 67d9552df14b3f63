import type { TableLevelOutput } from "../../contracts/wire.ts";
import type { TaskRef } from "../api/resources.ts";
import { formatCount, formatDuration, formatTime } from "../figures/format.ts";
import { VirtualTable, type Column } from "../shell/virtual-table.tsx";
import { texts } from "../texts.ts";
import { Counters } from "./counters.tsx";
import type { DatabaseView } from "./migration-view.ts";
import { SuspendedTables } from "./suspended-tables.tsx";
import { stateCell } from "./table-cells.tsx";
import { useTableFilter } from "./table-filter.tsx";

const { syncColumns } = texts.migration;

const counter = (key: string, title: string, value: (table: TableLevelOutput) => number): Column<TableLevelOutput> => ({
  key,
  title,
  width: "minmax(80px, 0.8fr)",
  align: "end",
  cell: (table) => formatCount(value(table)),
  sortBy: value,
});

const columns = (isOver: boolean): readonly Column<TableLevelOutput>[] => [
  {
    key: "table",
    title: syncColumns.table,
    width: "minmax(180px, 2fr)",
    cell: ({ tableName }) => tableName,
    sortBy: ({ tableName }) => tableName,
  },
  {
    key: "state",
    title: syncColumns.state,
    width: "minmax(110px, 1fr)",
    cell: (table) => stateCell(table, !isOver),
    sortBy: ({ state }) => state,
  },
  counter("inserts", syncColumns.inserts, ({ cdcInsertCounter }) => cdcInsertCounter),
  counter("updates", syncColumns.updates, ({ cdcUpdateCounter }) => cdcUpdateCounter),
  counter("deletes", syncColumns.deletes, ({ cdcDeleteCounter }) => cdcDeleteCounter),
  counter("applied", syncColumns.applied, ({ totalChangesApplied }) => totalChangesApplied),
  counter("errors", syncColumns.errors, ({ dataErrorsCounter }) => dataErrorsCounter),
  {
    key: "last",
    title: syncColumns.last,
    width: "minmax(90px, 0.8fr)",
    align: "end",
    cell: ({ lastModifiedTime }) => formatTime(lastModifiedTime),
    sortBy: ({ lastModifiedTime }) => lastModifiedTime ?? "",
  },
];

const columnsRunning = columns(false);
const columnsOver = columns(true);

/** Incremental data sync: the classic counters, and one line per table. */
export function SyncTab({ database: { output, tables }, taskRef }: { readonly database: DatabaseView; readonly taskRef: TaskRef }) {
  const { shown, tools } = useTableFilter(tables);
  const { syncCounters } = texts.migration;
  return (
    <>
      <Counters
        items={[
          [syncCounters.inserts, formatCount(output.cdcInsertCounter)],
          [syncCounters.updates, formatCount(output.cdcUpdateCounter)],
          [syncCounters.deletes, formatCount(output.cdcDeleteCounter)],
          [syncCounters.applied, formatCount(output.appliedChanges)],
          [syncCounters.pending, formatCount(output.incomingChanges)],
          [syncCounters.latency, formatDuration(output.latencySeconds)],
        ]}
      />
      {output.endedOn === null ? <SuspendedTables tables={tables} taskRef={taskRef} /> : null}
      {tools}
      <VirtualTable
        label={texts.migration.tabs.sync}
        rows={shown}
        columns={output.endedOn === null ? columnsRunning : columnsOver}
        keyOf={({ id }) => id}
        minWidthPx={900}
        empty={tables.length === 0 ? texts.migration.noTables : texts.migration.noTablesMatch}
      />
    </>
  );
}
