import { makeStyles } from "@fluentui/react-components";
import type { TableLevelOutput } from "../../contracts/wire.ts";
import { NOTHING } from "../figures/format.ts";
import { dotWord } from "../shell/dot-word.tsx";
import { PlainTable } from "../shell/plain-table.tsx";
import { VirtualTable, type Column } from "../shell/virtual-table.tsx";
import { texts } from "../texts.ts";
import { usePrinting } from "./use-printing.ts";

const useStyles = makeStyles({
  onPaper: { display: "none", "@media print": { display: "block", fontSize: "9pt" } },
});

const words = texts.report;

const columns: readonly Column<TableLevelOutput>[] = [
  {
    key: "table",
    title: words.columns.table,
    width: "minmax(180px, 2fr)",
    cell: ({ tableName }) => tableName,
    sortBy: ({ tableName }) => tableName,
  },
  {
    key: "verdict",
    title: words.columns.verdict,
    width: "minmax(110px, 1fr)",
    cell: ({ comparison }) =>
      comparison === null
        ? dotWord("none", words.notCompared)
        : comparison.equal
          ? dotWord("good", words.equal)
          : dotWord("bad", words.different),
    sortBy: ({ comparison }) => (comparison === null ? 1 : comparison.equal ? 2 : 0),
  },
  {
    key: "sourceRows",
    title: words.columns.sourceRows,
    width: "minmax(90px, 1fr)",
    align: "end",
    cell: ({ comparison }) => grouped(comparison?.sourceRows),
    sortBy: ({ comparison }) => Number(comparison?.sourceRows ?? -1),
  },
  {
    key: "targetRows",
    title: words.columns.targetRows,
    width: "minmax(90px, 1fr)",
    align: "end",
    cell: ({ comparison }) => grouped(comparison?.targetRows),
    sortBy: ({ comparison }) => Number(comparison?.targetRows ?? -1),
  },
  {
    key: "sourceChecksum",
    title: words.columns.sourceChecksum,
    width: "minmax(120px, 1.4fr)",
    cell: ({ comparison }) => comparison?.sourceChecksum ?? NOTHING,
  },
  {
    key: "targetChecksum",
    title: words.columns.targetChecksum,
    width: "minmax(120px, 1.4fr)",
    cell: ({ comparison }) => comparison?.targetChecksum ?? NOTHING,
  },
];

/** Counts are text on the wire and stay text; only the digits are grouped. */
const grouped = (count: string | undefined): string => count?.replace(/\B(?=(\d{3})+(?!\d))/g, ",") ?? NOTHING;

/** Both sides of every table: scrolled on the screen, whole on paper. */
export function ComparedTables({ tables }: { readonly tables: readonly TableLevelOutput[] }) {
  const styles = useStyles();
  return (
    <>
      <div className="not-on-paper">
        <VirtualTable
          label={words.tables}
          rows={tables}
          columns={columns}
          keyOf={({ id }) => id}
          minWidthPx={940}
          heightPx={560}
          empty={texts.migration.noTables}
          sortedBy={{ key: "verdict", descending: false }}
        />
      </div>
      <PaperOnly className={styles.onPaper} tables={tables} />
    </>
  );
}

/** Drawn only while printing: thousands of rows that nobody sees would cost every refresh. */
function PaperOnly({ tables, className }: { readonly tables: readonly TableLevelOutput[]; readonly className: string }) {
  const isPrinting = usePrinting();
  return isPrinting ? (
    <div className={className}>
      <PlainTable label={words.tables} rows={tables} columns={columns} keyOf={({ id }) => id} />
    </div>
  ) : null;
}
