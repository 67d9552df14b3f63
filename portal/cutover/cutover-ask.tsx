import {
  Button,
  Checkbox,
  Field,
  makeStyles,
  MessageBar,
  MessageBarBody,
  Radio,
  RadioGroup,
  Text,
  tokens,
} from "@fluentui/react-components";
import { useState } from "react";
import { settingDefinitions, type Fence } from "../../contracts/settings.ts";
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
  const { output } = database;
  const [fence, setFence] = useState(database.fence);
  const words = texts.cutover;
  const choose = (choice: Fence) => {
    setFence(choice);
    setConfirmed(false); // what was confirmed was the other choice
  };
  const apply = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await cutOver(api, taskRef, output.databaseName, fence);
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
        <li>{fence === "none" ? words.stepStop : words.stepStopFenced}</li>
        <li>{words.stepWait}</li>
        <li>{words.stepConfirm}</li>
      </ol>
      <Counters
        items={[
          [words.pending, formatCount(output.incomingChanges)],
          [words.lag, `${formatDuration(output.latencySeconds)}, ${formatBytes(output.lagBytes)}`],
        ]}
      />
      <Field label={words.fence} hint={words.fenceHint(database.fence)}>
        <RadioGroup value={fence} onChange={(_, { value }) => choose(value as Fence)}>
          {settingDefinitions.fence.type.values.map((choice) => (
            <Radio key={choice} value={choice} label={words.fenceChoices[choice]} disabled={busy} />
          ))}
        </RadioGroup>
      </Field>
      {output.incomingChanges > 0 ? (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>{words.pendingWarning}</MessageBarBody>
        </MessageBar>
      ) : null}
      <Checkbox
        label={fence === "none" ? words.confirm : words.confirmFenced}
        checked={confirmed}
        onChange={(_, { checked }) => setConfirmed(checked === true)}
      />
      {problem === undefined ? null : <ProblemBar problem={problem} />}
      <Button className={styles.apply} appearance="primary" disabled={!confirmed || busy} onClick={() => void apply()}>
        {busy ? words.applying : words.apply}
      </Button>
    </>
  );
}
