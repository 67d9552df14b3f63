import { makeStyles, mergeClasses, Text, tokens } from "@fluentui/react-components";
import type { ReactNode } from "react";

const useStyles = makeStyles({
  tile: {
    display: "flex",
    flexDirection: "column",
    gap: tokens.spacingVerticalXXS,
    minWidth: 0,
    padding: tokens.spacingHorizontalL,
    backgroundColor: tokens.colorNeutralBackground1,
    border: `1px solid ${tokens.colorNeutralStroke2}`,
    borderRadius: tokens.borderRadiusLarge,
  },
  title: {
    margin: 0,
    color: tokens.colorNeutralForeground2,
    fontSize: tokens.fontSizeBase200,
    lineHeight: tokens.lineHeightBase200,
    fontWeight: tokens.fontWeightSemibold,
  },
  value: { fontVariantNumeric: "tabular-nums" },
  warning: { border: `1px solid ${tokens.colorStatusWarningBorder2}`, backgroundColor: tokens.colorStatusWarningBackground1 },
  danger: { border: `1px solid ${tokens.colorStatusDangerBorder2}`, backgroundColor: tokens.colorStatusDangerBackground1 },
  notes: { color: tokens.colorNeutralForeground2, fontVariantNumeric: "tabular-nums" },
});

interface Props {
  readonly title: string;
  readonly value: string;
  readonly help?: string;
  readonly notes: readonly string[];
  readonly children?: ReactNode;
  /** Anything but calm is also said in the notes: colour alone tells nobody who cannot see it. */
  readonly tone?: Tone;
}

export type Tone = "calm" | "warning" | "danger";

/** One figure, large, with what belongs to it. */
export function Tile({ title, value, help, notes, children, tone = "calm" }: Props) {
  const styles = useStyles();
  return (
    <section className={mergeClasses(styles.tile, tone !== "calm" && styles[tone])} aria-label={title} title={help}>
      <h3 className={styles.title}>{title}</h3>
      <Text className={styles.value} size={600} weight="semibold">
        {value}
      </Text>
      {children}
      {notes.map((note) => (
        <Text className={styles.notes} size={200} key={note}>
          {note}
        </Text>
      ))}
    </section>
  );
}
