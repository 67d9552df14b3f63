import { makeStyles, tokens } from "@fluentui/react-components";
import type { ReactNode } from "react";

const useStyles = makeStyles({
  list: {
    display: "grid",
    gridTemplateColumns: "repeat(2, minmax(0, 1fr))",
    "@media (max-width: 900px)": { gridTemplateColumns: "minmax(0, 1fr)" },
    columnGap: tokens.spacingHorizontalXXL,
    rowGap: tokens.spacingVerticalSNudge,
    margin: 0,
  },
  row: { display: "flex", gap: tokens.spacingHorizontalS, minWidth: 0 },
  label: { flex: "0 0 150px", color: tokens.colorNeutralForeground2 },
  value: { margin: 0, minWidth: 0, fontWeight: tokens.fontWeightRegular },
});

/** Labels and values side by side, as the head of a resource shows them. */
export function Essentials({ items }: { readonly items: readonly (readonly [label: string, value: ReactNode])[] }) {
  const styles = useStyles();
  return (
    <dl className={styles.list}>
      {items.map(([label, value]) => (
        <div className={styles.row} key={label}>
          <dt className={styles.label}>{label}</dt>
          <dd className={styles.value}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
