import { Button, Checkbox, makeStyles, MessageBar, MessageBarBody, MessageBarTitle, Text, tokens } from "@fluentui/react-components";
import { useState } from "react";
import { cutOver } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { formatBytes, formatCount, formatDuration } from "../figures/format.ts";
import { Counters } from "../migration/counters.tsx";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";
import type { CutoverProps } from "./cutover-panel.tsx";

const useStyles = makeStyles({
  steps: { margin: 0, paddingLeft: tokens.spacingHorizontalXL, display: "flex", flexDirection: "column", gap: tokens.spacingVerticalS },
  apply: { alignSelf: "flex-start" },
});

/** What to do before, how things stand, and the box to tick. */
export function CutoverAsk({ database, taskRef, refresh }: CutoverProps) {
  const styles = useStyles();
  const { api } = useApp();
  const [confirmed, setConfirmed] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const { output, isFenced } = database;
  const words = texts.cutover;
  const apply = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await cutOver(api, taskRef, output.databaseName);
      refresh();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <>
      <Text>{words.intro}</Text>
      <ol className={styles.steps}>
        <li>{isFenced ? words.stepStopFenced : words.stepStop}</li>
        <li>{words.stepWait}</li>
        <li>{words.stepConfirm}</li>
      </ol>
      <Counters
        items={[
          [words.pending, formatCount(output.incomingChanges)],
          [words.lag, `${formatDuration(output.latencySeconds)}, ${formatBytes(output.lagBytes)}`],
        ]}
      />
      <MessageBar intent={isFenced ? "success" : "info"} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{isFenced ? words.fenceOnTitle : words.fenceOffTitle}</MessageBarTitle>
          {isFenced ? words.fenceOn : words.fenceOff}
        </MessageBarBody>
      </MessageBar>
      {output.incomingChanges > 0 ? (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>{words.pendingWarning}</MessageBarBody>
        </MessageBar>
      ) : null}
      <Checkbox label={words.confirm} checked={confirmed} onChange={(_, { checked }) => setConfirmed(checked === true)} />
      {problem === undefined ? null : <ProblemBar problem={problem} />}
      <Button className={styles.apply} appearance="primary" disabled={!confirmed || busy} onClick={() => void apply()}>
        {busy ? words.applying : words.apply}
      </Button>
    </>
  );
}
