import { Button, makeStyles, MessageBar, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { DocumentCheckmarkRegular } from "@fluentui/react-icons";
import type { CommandView, FindingView } from "../../contracts/wire.ts";
import type { TaskRef } from "../api/resources.ts";
import type { DatabaseView } from "../migration/migration-view.ts";
import { hrefOf } from "../routes.ts";
import { Findings } from "../shell/findings.tsx";
import { texts } from "../texts.ts";
import type { CutoverStage } from "./cutover-stage.ts";

const useStyles = makeStyles({ action: { alignSelf: "flex-start" } });

interface Props {
  readonly stage: Extract<CutoverStage, "done" | "refused" | "failed">;
  readonly database: DatabaseView;
  readonly taskRef: TaskRef;
  readonly command: CommandView | undefined;
  readonly tryAgain: () => void;
}

const bars = {
  done: { intent: "success", title: texts.cutover.doneTitle, help: texts.cutover.doneHelp },
  refused: { intent: "warning", title: texts.cutover.refusedTitle, help: texts.cutover.refusedHelp },
  failed: { intent: "error", title: texts.cutover.failedTitle, help: "" },
} as const;

/** How the cutover ended, why, and where to go from here. */
export function CutoverOutcome({ stage, database, taskRef, command, tryAgain }: Props) {
  const styles = useStyles();
  const { intent, title, help } = bars[stage];
  const { resourceGroup, service, project, task } = taskRef;
  const report = hrefOf({
    page: "migration",
    resourceGroup,
    service,
    project,
    task,
    database: database.output.databaseName,
    view: "report",
  });
  return (
    <>
      <MessageBar intent={intent} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{title}</MessageBarTitle>
          {help}
        </MessageBarBody>
      </MessageBar>
      {stage === "refused" ? <Findings findings={reasonsOf(command)} /> : null}
      {stage === "failed" ? <Findings findings={database.findings} /> : null}
      {stage === "refused" ? (
        <Button className={styles.action} appearance="primary" onClick={tryAgain}>
          {texts.cutover.tryAgain}
        </Button>
      ) : null}
      {database.output.cutover ? (
        <Button
          className={styles.action}
          as="a"
          href={report}
          appearance={stage === "done" ? "primary" : "secondary"}
          icon={<DocumentCheckmarkRegular />}
        >
          {texts.cutover.openReport}
        </Button>
      ) : null}
    </>
  );
}

/** The errors of a command, each with its remedy where the answer has one. */
function reasonsOf(command: CommandView | undefined): FindingView[] {
  const exceptions = command?.output?.errors ?? [];
  if (exceptions.length > 0) {
    return exceptions.map(({ message, actionableMessage, code, severity, sqlState }) => ({
      code: code ?? "",
      severity: severity ?? "error",
      message,
      ...(actionableMessage ? { remedy: actionableMessage } : {}),
      ...(sqlState ? { sqlState } : {}),
    }));
  }
  return (command?.errors ?? []).map(({ code, message }) => ({ code, severity: "error", message }));
}
