import { Field, Input } from "@fluentui/react-components";
import { useState } from "react";
import type { ConnectionView, Task } from "../../contracts/wire.ts";
import { restartTask, type TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { ConfirmDialog } from "../shell/confirm-dialog.tsx";
import { texts } from "../texts.ts";

interface Props {
  readonly open: boolean;
  readonly close: () => void;
  readonly task: Task;
  readonly taskRef: TaskRef;
  readonly refresh: () => void;
}

/** Asks for the passwords, which were deleted when the migration ended, and begins it anew. */
export function RestartDialog({ open, close, task, taskRef, refresh }: Props) {
  const { api } = useApp();
  const [passwords, setPasswords] = useState<Readonly<Record<Side, string>>>(NONE);
  const { sourceConnectionInfo, targetConnectionInfo } = task.properties.input;
  const asked = [
    ...(mayHavePassword(sourceConnectionInfo) ? (["source"] as const) : []),
    ...(mayHavePassword(targetConnectionInfo) ? (["target"] as const) : []),
  ];
  const leave = () => {
    setPasswords(NONE);
    close();
  };
  const restart = async () => {
    await restartTask(api, taskRef, passwords);
    refresh();
  };
  return (
    <ConfirmDialog
      open={open}
      close={leave}
      title={texts.migration.restartTitle}
      help={texts.migration.restartHelp}
      action={texts.migration.restart}
      act={restart}
    >
      {asked.map((side) => (
        <Field key={side} label={texts.migration.restartPasswords[side]}>
          <Input
            type="password"
            autoComplete="new-password"
            value={passwords[side]}
            onChange={(_, { value }) => setPasswords((before) => ({ ...before, [side]: value }))}
          />
        </Field>
      ))}
    </ConfirmDialog>
  );
}

type Side = "source" | "target";

const NONE = { source: "", target: "" } as const;

/** Not with an Entra login, nor with a password in the caller's own vault. */
const mayHavePassword = (connection: ConnectionView | undefined): boolean =>
  connection?.authentication !== "ActiveDirectoryIntegrated" && connection?.passwordSecretUri === undefined;
