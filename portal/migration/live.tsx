import { makeStyles, Text, tokens } from "@fluentui/react-components";
import { isTaskOver } from "../../contracts/lifecycle.ts";
import { formatTime } from "../figures/format.ts";
import { texts } from "../texts.ts";
import type { MigrationView } from "./migration-view.ts";

const useStyles = makeStyles({
  live: { display: "inline-flex", alignItems: "center", gap: tokens.spacingHorizontalXS, color: tokens.colorNeutralForeground2 },
  dot: { width: "8px", height: "8px", borderRadius: "50%", backgroundColor: tokens.colorStatusSuccessForeground1 },
  dotOff: { backgroundColor: tokens.colorStatusWarningForeground1 },
});

/** Says that the figures move by themselves, and how old they are when they do not. */
export function Live({
  readAtMs,
  isFailing,
  view,
}: {
  readonly readAtMs: number | undefined;
  readonly isFailing: boolean;
  readonly view: MigrationView | undefined;
}) {
  const styles = useStyles();
  if (readAtMs === undefined || !view) return null;
  const updated = texts.migration.updated(formatTime(new Date(readAtMs).toISOString()));
  const isLive = !isFailing && !isTaskOver(view.task.properties.state);
  return (
    <span className={styles.live} title={isLive ? texts.migration.liveHelp : undefined}>
      {isLive ? (
        <span className={styles.dot} aria-hidden="true" />
      ) : isFailing ? (
        <span className={`${styles.dot} ${styles.dotOff}`} aria-hidden="true" />
      ) : null}
      <Text size={200}>{isLive ? `${texts.migration.live} · ${updated}` : updated}</Text>
    </span>
  );
}
