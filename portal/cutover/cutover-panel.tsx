import { Button, DrawerBody, DrawerHeader, DrawerHeaderTitle, makeStyles, OverlayDrawer, tokens } from "@fluentui/react-components";
import { DismissRegular } from "@fluentui/react-icons";
import { useState } from "react";
import { usePolled } from "../api/polling.ts";
import { getTask, type TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import type { DatabaseView } from "../migration/migration-view.ts";
import { texts } from "../texts.ts";
import { CutoverAsk } from "./cutover-ask.tsx";
import { CutoverOutcome } from "./cutover-outcome.tsx";
import { CutoverProgress } from "./cutover-progress.tsx";
import { cutoverStage, lastCommand } from "./cutover-stage.ts";

const useStyles = makeStyles({
  drawer: { width: "min(560px, 100vw)" },
  body: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalL, paddingBottom: tokens.spacingVerticalXXL },
});

export interface CutoverProps {
  readonly database: DatabaseView;
  readonly taskRef: TaskRef;
  /** Reads the migration again at once. */
  readonly refresh: () => void;
}

interface Props extends CutoverProps {
  readonly open: boolean;
  readonly close: () => void;
}

/** Tutorial: Start cutover, pending changes, Confirm, Apply; then what happens, and how it ended. */
export function CutoverPanel(props: Props) {
  const styles = useStyles();
  const { open, close, database } = props;
  return (
    <OverlayDrawer className={styles.drawer} position="end" open={open} onOpenChange={(_, data) => (data.open ? undefined : close())}>
      <DrawerHeader>
        <DrawerHeaderTitle
          action={<Button appearance="subtle" aria-label={texts.common.close} icon={<DismissRegular />} onClick={close} />}
        >
          {texts.cutover.title(database.output.databaseName)}
        </DrawerHeaderTitle>
      </DrawerHeader>
      <DrawerBody>{open ? <Body {...props} /> : null}</DrawerBody>
    </OverlayDrawer>
  );
}

const commandsRefreshMs = 1_500;

function Body({ database, taskRef, refresh }: CutoverProps) {
  const styles = useStyles();
  const { api } = useApp();
  const [dismissed, setDismissed] = useState<string>();
  const commands = usePolled(`commands ${JSON.stringify(taskRef)}`, commandsRefreshMs, async (signal) => {
    const task = await getTask(api, taskRef, "command", signal);
    return task.properties.commands ?? [];
  });
  const command = lastCommand(commands.data ?? [], database.output.databaseName);
  const stage = cutoverStage(database.output, command, dismissed);
  const asked = () => {
    commands.refresh();
    refresh();
  };
  return (
    <div className={styles.body} aria-live="polite">
      {stage === "ask" || stage === "notReady" ? (
        <CutoverAsk database={database} taskRef={taskRef} refresh={asked} />
      ) : stage === "running" ? (
        <CutoverProgress database={database} />
      ) : (
        <CutoverOutcome
          stage={stage}
          database={database}
          taskRef={taskRef}
          command={command}
          tryAgain={() => setDismissed(command?.commandId)}
        />
      )}
    </div>
  );
}
