import { Link, makeStyles, ProgressBar, Text, tokens } from "@fluentui/react-components";
import { formatCount, formatDuration, formatPercent, NOTHING, secondsBetween } from "../figures/format.ts";
import { hrefOf, type Route } from "../routes.ts";
import { PlainTable } from "../shell/plain-table.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { databaseTones } from "../shell/tones.ts";
import { texts } from "../texts.ts";
import { detailsOf, loadedShare } from "./database-words.ts";
import type { DatabaseView } from "./migration-view.ts";
import { ProblemCount } from "./problem-count.tsx";

const useStyles = makeStyles({
  target: { color: tokens.colorNeutralForeground2 },
  progress: { display: "flex", alignItems: "center", gap: tokens.spacingHorizontalS, minWidth: "120px", whiteSpace: "nowrap" },
});

interface Props {
  readonly databases: readonly DatabaseView[];
  readonly chosen: DatabaseView | undefined;
  readonly route: Extract<Route, { page: "migration" }>;
}

/** The activity screen of the classic portal: one line per database; the chosen one is shown below. */
export function DatabaseList({ databases, chosen, route }: Props) {
  const styles = useStyles();
  const { databaseColumns, databaseStates } = texts.migration;
  return (
    <Section title={texts.migration.databases}>
      <PlainTable
        label={texts.migration.databases}
        rows={databases}
        keyOf={({ output }) => output.databaseName}
        isChosen={(database) => databases.length > 1 && database === chosen}
        minWidthPx={820}
        columns={[
          {
            key: "database",
            title: databaseColumns.database,
            width: "20%",
            cell: ({ output: { databaseName, targetDatabaseName } }) => (
              <>
                <Link
                  href={hrefOf({ ...route, database: databaseName })}
                  aria-current={databaseName === chosen?.output.databaseName ? "true" : undefined}
                >
                  {databaseName}
                </Link>
                {targetDatabaseName === databaseName ? null : (
                  <Text className={styles.target} size={200} block>
                    {texts.migration.toTarget(targetDatabaseName)}
                  </Text>
                )}
              </>
            ),
          },
          {
            key: "state",
            title: databaseColumns.state,
            width: "16%",
            cell: ({ output, findings }) => (
              <>
                <StateBadge tone={databaseTones[output.migrationState]}>{databaseStates[output.migrationState]}</StateBadge>
                <ProblemCount findings={findings} isAlone />
              </>
            ),
          },
          { key: "details", title: databaseColumns.details, width: "24%", cell: ({ output }) => detailsOf(output) },
          {
            key: "loaded",
            title: databaseColumns.loaded,
            width: "18%",
            cell: ({ output }) => (
              <span className={styles.progress}>
                <ProgressBar
                  thickness="large"
                  value={loadedShare(output)}
                  color={output.initializationCompleted ? "success" : "brand"}
                  aria-label={`${databaseColumns.loaded}: ${output.databaseName}`}
                />
                {formatPercent(loadedShare(output))}
              </span>
            ),
          },
          {
            key: "pending",
            title: databaseColumns.pending,
            width: "12%",
            align: "end",
            cell: ({ output }) => formatCount(output.incomingChanges),
          },
          {
            key: "duration",
            title: databaseColumns.duration,
            width: "10%",
            align: "end",
            cell: ({ output: { startedOn, endedOn } }) => {
              const seconds = secondsBetween(startedOn, endedOn, Date.now());
              return seconds === undefined ? NOTHING : formatDuration(seconds);
            },
          },
        ]}
      />
    </Section>
  );
}
