import { Button } from "@fluentui/react-components";
import { ArrowClockwiseRegular, ArrowResetRegular, ArrowSwapRegular, DeleteRegular, DismissCircleRegular } from "@fluentui/react-icons";
import { useState } from "react";
import { isTaskOver, mayRestart } from "../../contracts/lifecycle.ts";
import { cancelTask, deleteTask, type TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { CutoverPanel } from "../cutover/cutover-panel.tsx";
import { goTo } from "../routes.ts";
import { ConfirmDialog } from "../shell/confirm-dialog.tsx";
import { texts } from "../texts.ts";
import type { DatabaseView, MigrationView } from "./migration-view.ts";
import { RestartDialog } from "./restart-dialog.tsx";

interface CommandProps {
  readonly view: MigrationView;
  readonly chosen: DatabaseView | undefined;
  readonly taskRef: TaskRef;
  readonly refresh: () => void;
}

/** What can be done with a migration now: cut over, cancel, restart, delete. */
export function MigrationCommands({ view, chosen, taskRef, refresh }: CommandProps) {
  const { api } = useApp();
  const [open, setOpen] = useState<"cutover" | "cancel" | "restart" | "delete">();
  const close = () => setOpen(undefined);
  const { state } = view.task.properties;
  const isOver = isTaskOver(state);
  const migrationState = chosen?.output.migrationState;
  const canCutOver = migrationState === "READY_TO_COMPLETE" || migrationState === "COMPLETING";
  const cancel = async () => {
    await cancelTask(api, taskRef);
    refresh();
  };
  const remove = async () => {
    await deleteTask(api, taskRef, "refuse");
    goTo({ page: "service", resourceGroup: taskRef.resourceGroup, service: taskRef.service });
  };
  return (
    <>
      <Button appearance="primary" icon={<ArrowSwapRegular />} disabled={!canCutOver} onClick={() => setOpen("cutover")}>
        {migrationState === "COMPLETING" ? texts.migration.showCutover : texts.migration.startCutover}
      </Button>
      <Button
        appearance="subtle"
        icon={<DismissCircleRegular />}
        disabled={isOver || state === "Canceling"}
        onClick={() => setOpen("cancel")}
      >
        {texts.migration.cancel}
      </Button>
      {mayRestart(state) ? (
        <Button appearance="subtle" icon={<ArrowResetRegular />} onClick={() => setOpen("restart")}>
          {texts.migration.restart}
        </Button>
      ) : null}
      <Button appearance="subtle" icon={<DeleteRegular />} disabled={!isOver} onClick={() => setOpen("delete")}>
        {texts.migration.delete}
      </Button>
      <Button appearance="subtle" icon={<ArrowClockwiseRegular />} onClick={refresh}>
        {texts.common.refresh}
      </Button>
      {chosen ? <CutoverPanel open={open === "cutover"} close={close} database={chosen} taskRef={taskRef} refresh={refresh} /> : null}
      <ConfirmDialog
        open={open === "cancel"}
        close={close}
        title={texts.migration.cancelTitle}
        help={texts.migration.cancelHelp}
        confirm={texts.migration.cancelConfirm}
        action={texts.migration.cancel}
        dismiss={texts.migration.keepRunning}
        act={cancel}
      />
      <RestartDialog open={open === "restart"} close={close} task={view.task} taskRef={taskRef} refresh={refresh} />
      <ConfirmDialog
        open={open === "delete"}
        close={close}
        title={texts.migration.deleteTitle}
        help={texts.migration.deleteHelp}
        action={texts.migration.delete}
        act={remove}
      />
    </>
  );
}
