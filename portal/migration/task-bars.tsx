import { makeStyles, MessageBar, MessageBarBody, MessageBarTitle, Text, tokens } from "@fluentui/react-components";
import { Findings } from "../shell/findings.tsx";
import { detailLines } from "../shell/problem-bar.tsx";
import { Section } from "../shell/section.tsx";
import { texts } from "../texts.ts";
import type { MigrationView } from "./migration-view.ts";

const useStyles = makeStyles({ bar: { marginBottom: tokens.spacingVerticalL } });

/** Why a task waits, and why it failed. */
export function TaskBars({ view: { task, findings } }: { readonly view: MigrationView }) {
  const styles = useStyles();
  const { state, waitingFor, errors } = task.properties;
  return (
    <>
      {state === "Queued" ? (
        <MessageBar className={styles.bar} intent="info" layout="multiline">
          <MessageBarBody>{waitingFor ? texts.migration.waitingFor(waitingFor) : texts.migration.waitingForWorker}</MessageBarBody>
        </MessageBar>
      ) : null}
      {errors.map((error, index) => (
        <MessageBar className={styles.bar} key={index} intent="error" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{error.code}</MessageBarTitle>
            {detailLines(error).map((line, place) => (
              <Text block key={place}>
                {line}
              </Text>
            ))}
          </MessageBarBody>
        </MessageBar>
      ))}
      {findings.length > 0 ? (
        <Section title={texts.findings.title}>
          <Findings findings={findings} />
        </Section>
      ) : null}
    </>
  );
}
