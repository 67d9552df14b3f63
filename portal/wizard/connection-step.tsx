import { Button, makeStyles, MessageBar, MessageBarBody, MessageBarTitle, Spinner, tokens } from "@fluentui/react-components";
import { PlugConnectedRegular } from "@fluentui/react-icons";
import { Findings } from "../shell/findings.tsx";
import { detailLines, ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";
import { ConnectionForm } from "./connection-form.tsx";
import { currentCheck, isConnected, needsPassword } from "./decisions.ts";
import type { CheckResult, Side } from "./draft.ts";
import { StepHead } from "./step-head.tsx";
import { useConnectionCheck } from "./use-connection-check.ts";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  columns: {
    display: "grid",
    gridTemplateColumns: "minmax(0, 480px) minmax(0, 1fr)",
    gap: tokens.spacingHorizontalXXXL,
    "@media (max-width: 900px)": { gridTemplateColumns: "minmax(0, 1fr)" },
  },
  side: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM, minWidth: 0 },
  test: { alignSelf: "flex-start" },
});

/** Tutorial: source details, target details. The connection is tried from where the worker runs. */
export function ConnectionStep(props: StepProps & { readonly side: Side }) {
  const styles = useStyles();
  const { side, draft, unkept } = props;
  const check = useConnectionCheck(props);
  const connection = draft[side];
  const password = unkept.passwords[side];
  const result = side === "source" ? draft.sourceCheck : draft.targetCheck;
  const current = currentCheck(draft, side);
  const ready = connection.serverName !== "" && connection.userName !== "" && !needsPassword(connection, password);
  // The check of the target compares it with the source, so it needs both.
  const sourceReady = side === "source" || !needsPassword(draft.source, unkept.passwords.source);
  return (
    <>
      <StepHead
        title={side === "source" ? texts.wizard.sourceTitle : texts.wizard.targetTitle}
        help={side === "source" ? texts.wizard.sourceHelp : texts.wizard.targetHelp}
      />
      <div className={styles.columns}>
        <ConnectionForm {...props} wasTested={result !== undefined} />
        <div className={styles.side} aria-live="polite">
          <Button
            className={styles.test}
            appearance={isConnected(current) ? "secondary" : "primary"}
            icon={<PlugConnectedRegular />}
            disabled={!ready || !sourceReady || check.isRunning}
            onClick={check.run}
          >
            {texts.wizard.test}
          </Button>
          {sourceReady ? null : <span>{texts.wizard.sourcePasswordMissing}</span>}
          {check.isRunning ? (
            <Spinner labelPosition="after" label={check.waitingFor ? texts.wizard.waiting(check.waitingFor) : texts.wizard.testing} />
          ) : null}
          {check.problem === undefined ? null : <ProblemBar problem={check.problem} />}
          {check.isRunning || !result ? null : <Outcome result={result} isStale={current === undefined} />}
        </div>
      </div>
    </>
  );
}

function Outcome({ result, isStale }: { readonly result: CheckResult; readonly isStale: boolean }) {
  const errors = result.findings.filter(({ severity }) => severity === "error");
  const warnings = result.findings.filter(({ severity }) => severity === "warning");
  return (
    <>
      {isStale ? (
        <MessageBar intent="info" layout="multiline">
          <MessageBarBody>{texts.wizard.stale}</MessageBarBody>
        </MessageBar>
      ) : null}
      {result.failures.length > 0 ? (
        <MessageBar intent="error" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{texts.wizard.connectFailed}</MessageBarTitle>
            {result.failures.flatMap(detailLines).join(" ")}
          </MessageBarBody>
        </MessageBar>
      ) : (
        <MessageBar intent={errors.length > 0 ? "error" : warnings.length > 0 ? "warning" : "success"} layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{texts.wizard.connected(result.serverBrandVersion ?? texts.wizard.postgres)}</MessageBarTitle>
            {errors.length > 0
              ? texts.wizard.findingsErrors(errors.length)
              : warnings.length > 0
                ? texts.wizard.findingsWarnings(warnings.length)
                : texts.wizard.allChecksPassed}
          </MessageBarBody>
        </MessageBar>
      )}
      <Findings findings={result.findings} />
    </>
  );
}
