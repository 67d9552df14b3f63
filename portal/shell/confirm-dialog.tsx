import {
  Button,
  Checkbox,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  makeStyles,
  tokens,
} from "@fluentui/react-components";
import { type ReactNode, useState } from "react";
import { texts } from "../texts.ts";
import { ProblemBar } from "./problem-bar.tsx";

const useStyles = makeStyles({
  content: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM },
  button: { whiteSpace: "nowrap" },
});

interface Props {
  readonly open: boolean;
  readonly close: () => void;
  readonly title: string;
  readonly help: string;
  /** A box that has to be ticked first. */
  readonly confirm?: string;
  readonly action: string;
  readonly dismiss?: string;
  /** What else is asked. */
  readonly children?: ReactNode;
  readonly act: () => Promise<unknown>;
}

/** Asks before something that cannot be taken back; stays open and says why when it does not work. */
export function ConfirmDialog(props: Props) {
  return (
    <Dialog modalType="alert" open={props.open} onOpenChange={(_, { open }) => (open ? undefined : props.close())}>
      <DialogSurface>{props.open ? <Confirm {...props} /> : null}</DialogSurface>
    </Dialog>
  );
}

function Confirm({ close, title, help, confirm, action, dismiss = texts.common.cancel, children, act }: Props) {
  const styles = useStyles();
  const [confirmed, setConfirmed] = useState(confirm === undefined);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const run = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await act();
      close();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <DialogBody>
      <DialogTitle>{title}</DialogTitle>
      <DialogContent className={styles.content}>
        <span>{help}</span>
        {confirm === undefined ? null : (
          <Checkbox label={confirm} checked={confirmed} onChange={(_, { checked }) => setConfirmed(checked === true)} />
        )}
        {children}
        {problem === undefined ? null : <ProblemBar problem={problem} />}
      </DialogContent>
      <DialogActions>
        <Button className={styles.button} onClick={close}>
          {dismiss}
        </Button>
        <Button className={styles.button} appearance="primary" disabled={!confirmed || busy} onClick={() => void run()}>
          {action}
        </Button>
      </DialogActions>
    </DialogBody>
  );
}
