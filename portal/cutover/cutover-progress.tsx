import { makeStyles, Spinner, Text, tokens } from "@fluentui/react-components";
import { CheckmarkCircleFilled } from "@fluentui/react-icons";
import { formatCount, formatDuration } from "../figures/format.ts";
import { Counters } from "../migration/counters.tsx";
import { detailsOf } from "../migration/database-words.ts";
import type { DatabaseView } from "../migration/migration-view.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({
  title: { margin: 0, fontSize: tokens.fontSizeBase400, fontWeight: tokens.fontWeightSemibold },
  steps: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM, margin: 0, padding: 0, listStyleType: "none" },
  step: { display: "grid", gridTemplateColumns: "24px minmax(0, 1fr) auto", alignItems: "center", gap: tokens.spacingHorizontalS },
  done: { fontSize: "20px", lineHeight: 1, color: tokens.colorStatusSuccessForeground1 },
  time: { color: tokens.colorNeutralForeground2, fontVariantNumeric: "tabular-nums" },
});

/** The steps that are done, with their times, and the one that runs. */
export function CutoverProgress({ database: { output } }: { readonly database: DatabaseView }) {
  const styles = useStyles();
  return (
    <>
      <h3 className={styles.title}>{texts.cutover.progressTitle}</h3>
      <Text>{texts.cutover.progressHelp}</Text>
      <ol className={styles.steps}>
        {(output.cutover?.steps ?? []).map(({ name, durationMs }) => (
          <li className={styles.step} key={name}>
            <CheckmarkCircleFilled className={styles.done} aria-hidden="true" />
            <span>{name}</span>
            <span className={styles.time}>{formatDuration(durationMs / 1000)}</span>
          </li>
        ))}
        <li className={styles.step} aria-current="step">
          <Spinner size="extra-tiny" aria-hidden="true" />
          <Text weight="semibold">{detailsOf(output)}</Text>
          <span className={styles.time}>{texts.cutover.current}</span>
        </li>
      </ol>
      <Counters items={[[texts.cutover.pending, formatCount(output.incomingChanges)]]} />
    </>
  );
}
