import {
  Button,
  Dialog,
  DialogActions,
  DialogBody,
  DialogContent,
  DialogSurface,
  DialogTitle,
  Field,
  Input,
  makeStyles,
  tokens,
} from "@fluentui/react-components";
import { useState, type FormEvent } from "react";
import { useApp, type Scope } from "../app-context.ts";
import { texts } from "../texts.ts";

const useStyles = makeStyles({ fields: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM } });

/** Asks where to look for services. */
export function ScopeDialog({ open, close }: { readonly open: boolean; readonly close: () => void }) {
  return (
    <Dialog open={open} onOpenChange={(_, data) => (data.open ? undefined : close())}>
      <DialogSurface>{open ? <ScopeForm close={close} /> : null}</DialogSurface>
    </Dialog>
  );
}

function ScopeForm({ close }: { readonly close: () => void }) {
  const styles = useStyles();
  const { scope, setScope } = useApp();
  const [draft, setDraft] = useState<Scope>(scope);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setScope({ subscriptionId: draft.subscriptionId.trim(), resourceGroup: draft.resourceGroup.trim() });
    close();
  };
  return (
    <form onSubmit={submit}>
      <DialogBody>
        <DialogTitle>{texts.shell.scope}</DialogTitle>
        <DialogContent className={styles.fields}>
          <span>{texts.shell.scopeHelp}</span>
          <Field label={texts.shell.subscription} required>
            <Input value={draft.subscriptionId} onChange={(_, { value }) => setDraft({ ...draft, subscriptionId: value })} />
          </Field>
          <Field label={texts.shell.resourceGroup} required>
            <Input value={draft.resourceGroup} onChange={(_, { value }) => setDraft({ ...draft, resourceGroup: value })} />
          </Field>
        </DialogContent>
        <DialogActions>
          <Button onClick={close}>{texts.common.cancel}</Button>
          <Button appearance="primary" type="submit" disabled={!draft.subscriptionId.trim() || !draft.resourceGroup.trim()}>
            {texts.common.save}
          </Button>
        </DialogActions>
      </DialogBody>
    </form>
  );
}
