import { makeStyles, mergeClasses, tokens } from "@fluentui/react-components";
import { ArrowSortDownRegular, ArrowSortUpRegular } from "@fluentui/react-icons";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, useMemo, useRef, useState, type ReactNode } from "react";

/** One column: how wide, what stands in it, and what it is sorted by. */
export interface Column<Row> {
  readonly key: string;
  readonly title: string;
  /** A track of a CSS grid. */
  readonly width: string;
  readonly align?: "end";
  readonly cell: (row: Row) => ReactNode;
  /** Left out: the column cannot be sorted by. */
  readonly sortBy?: (row: Row) => string | number;
  /** The title is for screen readers only. */
  readonly titleHidden?: boolean;
}

interface Sorting {
  readonly key: string;
  readonly descending: boolean;
}

interface Props<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** Below this width in pixels the table scrolls sideways. */
  readonly minWidthPx: number;
  readonly heightPx?: number;
  readonly empty: string;
  readonly sortedBy?: Sorting;
}

/** All rows have this height: the list of ten thousand then knows where each one is without drawing it. */
const rowHeightPx = 36;
const rowsAround = 4;

const useStyles = makeStyles({
  frame: {
    overflow: "auto",
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusMedium,
    backgroundColor: tokens.colorNeutralBackground1,
    ":focus-visible": { outline: `2px solid ${tokens.colorStrokeFocus2}` },
  },
  line: {
    display: "grid",
    alignItems: "center",
    boxSizing: "border-box",
    height: `${rowHeightPx}px`,
    columnGap: "20px",
    padding: "0 12px",
  },
  head: {
    position: "sticky",
    top: 0,
    zIndex: 1,
    backgroundColor: tokens.colorNeutralBackground3,
    borderBottom: `1px solid ${tokens.colorNeutralStroke1}`,
    fontWeight: tokens.fontWeightSemibold,
  },
  row: {
    position: "absolute",
    left: 0,
    right: 0,
    top: 0,
    borderBottom: `1px solid ${tokens.colorNeutralStroke3}`,
    contain: "layout style",
    ":hover": { backgroundColor: tokens.colorNeutralBackground2 },
  },
  body: { position: "relative" },
  cell: { minWidth: 0, overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" },
  end: { textAlign: "right" },
  sort: {
    display: "inline-flex",
    alignItems: "center",
    gap: "4px",
    maxWidth: "100%",
    minHeight: "24px",
    padding: 0,
    border: 0,
    font: "inherit",
    color: "inherit",
    backgroundColor: "transparent",
    cursor: "pointer",
    ":focus-visible": { outline: `2px solid ${tokens.colorStrokeFocus2}` },
  },
  empty: { padding: "24px 12px", textAlign: "center", color: tokens.colorNeutralForeground2 },
});

/** A table that draws only the rows in sight: sorted by its heads, read by screen readers as one table of all rows. */
export function VirtualTable<Row>({ label, rows, columns, keyOf, minWidthPx, heightPx = 440, empty, sortedBy }: Props<Row>) {
  const styles = useStyles();
  const [sorting, setSorting] = useState<Sorting | undefined>(sortedBy);
  const sorted = useMemo(() => sortRows(rows, columns, sorting), [rows, columns, sorting]);
  const frame = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => frame.current,
    estimateSize: () => rowHeightPx,
    overscan: rowsAround,
    scrollMargin: rowHeightPx,
  });
  const classes = useMemo<LineClasses>(
    () => ({ row: mergeClasses(styles.line, styles.row), cell: styles.cell, endCell: mergeClasses(styles.cell, styles.end) }),
    [styles],
  );
  const gridTemplateColumns = columns.map(({ width }) => width).join(" ");
  const fitPx = (sorted.length + 1) * rowHeightPx + 2;
  return (
    <div ref={frame} className={styles.frame} style={{ maxHeight: heightPx }} tabIndex={0} role="region" aria-label={label}>
      <div
        role="table"
        aria-label={label}
        aria-rowcount={sorted.length + 1}
        aria-colcount={columns.length}
        style={{ minWidth: minWidthPx }}
      >
        <div role="row" aria-rowindex={1} className={mergeClasses(styles.line, styles.head)} style={{ gridTemplateColumns }}>
          {columns.map((column) => (
            <Head key={column.key} column={column} sorting={sorting} sort={setSorting} />
          ))}
        </div>
        <div role="rowgroup" className={styles.body} style={{ height: Math.max(0, fitPx - rowHeightPx - 2) }}>
          {virtualizer.getVirtualItems().map(({ index, start }) => {
            const row = sorted[index];
            if (row === undefined) return null;
            return (
              <Line
                key={keyOf(row)}
                row={row}
                index={index}
                topPx={start - rowHeightPx}
                columns={columns}
                template={gridTemplateColumns}
                classes={classes}
              />
            );
          })}
        </div>
      </div>
      {sorted.length === 0 ? <div className={styles.empty}>{empty}</div> : null}
    </div>
  );
}

function sortRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sorting: Sorting | undefined): readonly Row[] {
  const sortBy = columns.find(({ key }) => key === sorting?.key)?.sortBy;
  if (!sorting || !sortBy) return rows;
  const direction = sorting.descending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, by: sortBy(row) }));
  keyed.sort((a, b) => (a.by < b.by ? -direction : a.by > b.by ? direction : 0));
  return keyed.map(({ row }) => row);
}

interface HeadProps<Row> {
  readonly column: Column<Row>;
  readonly sorting: Sorting | undefined;
  readonly sort: (sorting: Sorting) => void;
}

function Head<Row>({ column, sorting, sort }: HeadProps<Row>) {
  const styles = useStyles();
  const className = mergeClasses(styles.cell, column.align === "end" && styles.end);
  if (!column.sortBy) {
    return (
      <div role="columnheader" className={className}>
        <span className={column.titleHidden ? "visually-hidden" : undefined}>{column.title}</span>
      </div>
    );
  }
  const mine = sorting?.key === column.key;
  const descending = mine && sorting.descending;
  return (
    <div role="columnheader" className={className} aria-sort={mine ? (descending ? "descending" : "ascending") : "none"}>
      <button type="button" className={styles.sort} onClick={() => sort({ key: column.key, descending: mine && !descending })}>
        <span className={styles.cell}>{column.title}</span>
        {mine ? descending ? <ArrowSortDownRegular aria-hidden="true" /> : <ArrowSortUpRegular aria-hidden="true" /> : null}
      </button>
    </div>
  );
}

interface LineProps<Row> {
  readonly row: Row;
  readonly index: number;
  readonly topPx: number;
  readonly columns: readonly Column<Row>[];
  readonly template: string;
  readonly classes: LineClasses;
}

/** Merged once for the whole table: hundreds of cells are made while one scrolls, in the time of a frame. */
interface LineClasses {
  readonly row: string;
  readonly cell: string;
  readonly endCell: string;
}

// A row whose object has not changed since the last poll is not drawn again.
const Line = memo(function Line<Row>({ row, index, topPx, columns, template, classes }: LineProps<Row>) {
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      className={classes.row}
      style={{ gridTemplateColumns: template, transform: `translateY(${topPx}px)` }}
    >
      {columns.map((column) => (
        <div role="cell" key={column.key} className={column.align === "end" ? classes.endCell : classes.cell}>
          {column.cell(row)}
        </div>
      ))}
    </div>
  );
}) as <Row>(props: LineProps<Row>) => ReactNode;
