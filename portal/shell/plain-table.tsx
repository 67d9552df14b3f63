import { makeStyles, mergeClasses, tokens } from "@fluentui/react-components";
import type { Column } from "./virtual-table.tsx";

const useStyles = makeStyles({
  frame: { overflowX: "auto", ":focus-visible": { outline: `2px solid ${tokens.colorStrokeFocus2}` } },
  table: { width: "100%", borderCollapse: "collapse", textAlign: "left", fontVariantNumeric: "tabular-nums" },
  head: {
    padding: "8px 12px",
    whiteSpace: "nowrap",
    fontWeight: tokens.fontWeightSemibold,
    color: tokens.colorNeutralForeground2,
    borderBottom: `1px solid ${tokens.colorNeutralStroke1}`,
  },
  cell: { padding: "9px 12px", borderBottom: `1px solid ${tokens.colorNeutralStroke3}`, verticalAlign: "middle" },
  row: { ":hover": { backgroundColor: tokens.colorNeutralBackground2 } },
  chosen: { boxShadow: `inset 3px 0 ${tokens.colorCompoundBrandStroke}` },
  end: { textAlign: "right" },
});

interface Props<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Omit<Column<Row>, "sortBy">[];
  readonly keyOf: (row: Row) => string;
  readonly minWidthPx?: number;
  readonly isChosen?: (row: Row) => boolean;
}

/** A table of a few dozen rows at most; it scrolls sideways where the screen is narrow. */
export function PlainTable<Row>({ label, rows, columns, keyOf, minWidthPx, isChosen }: Props<Row>) {
  const styles = useStyles();
  return (
    <div className={styles.frame} tabIndex={0} role="region" aria-label={label}>
      <table className={styles.table} style={minWidthPx ? { minWidth: minWidthPx } : undefined} aria-label={label}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.key}
                scope="col"
                className={mergeClasses(styles.head, column.align === "end" && styles.end)}
                style={{ width: column.width }}
              >
                <span className={column.titleHidden ? "visually-hidden" : undefined}>{column.title}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className={mergeClasses(styles.row, isChosen?.(row) && styles.chosen)}>
              {columns.map((column) => (
                <td key={column.key} className={mergeClasses(styles.cell, column.align === "end" && styles.end)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
