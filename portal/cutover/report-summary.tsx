import { makeStyles, MessageBar, MessageBarBody, MessageBarTitle, Text, tokens } from "@fluentui/react-components";
import type { CutoverReport } from "../../contracts/reports.ts";
import { formatCount, formatDateTime, formatDuration, NOTHING, secondsBetween } from "../figures/format.ts";
import { Essentials } from "../shell/essentials.tsx";
import { texts } from "../texts.ts";

const useStyles = makeStyles({ bar: { marginBottom: tokens.spacingVerticalL } });

/** When it was, how long it took, and what was put back. */
export function ReportSummary({ report }: { readonly report: CutoverReport }) {
  const words = texts.report;
  const downtime = secondsBetween(report.askedOn, report.endedOn, Date.now());
  return (
    <Essentials
      items={[
        [words.asked, formatDateTime(report.askedOn)],
        [words.tablesCompared, formatCount(report.tablesCompared)],
        [words.drained, formatDateTime(report.drainedOn)],
        [words.tablesDifferent, formatCount(report.tablesDifferent)],
        [words.ended, formatDateTime(report.endedOn)],
        [words.sequencesSet, formatCount(report.sequencesSet)],
        [words.downtime, downtime === undefined ? NOTHING : formatDuration(downtime)],
        [words.definitionsRestored, formatCount(report.definitionsRestored)],
        [words.marker, report.markerLsn ?? NOTHING],
      ]}
    />
  );
}

/** Whether both sides are the same, in one sentence. */
export function Verdict({ report }: { readonly report: CutoverReport }) {
  const styles = useStyles();
  const words = texts.report;
  const isEqual = report.tablesDifferent === 0;
  const title =
    report.tablesCompared === 0 ? words.verdictUncompared : isEqual ? words.verdictEqual : words.verdictDifferent(report.tablesDifferent);
  return (
    <MessageBar className={styles.bar} layout="multiline" intent={report.tablesCompared === 0 ? "info" : isEqual ? "success" : "error"}>
      <MessageBarBody>
        <MessageBarTitle>{title}</MessageBarTitle>
        {report.tablesCompared > 0 ? <Text>{texts.report.comparedTables(report.tablesCompared)}</Text> : null}
      </MessageBarBody>
    </MessageBar>
  );
}
