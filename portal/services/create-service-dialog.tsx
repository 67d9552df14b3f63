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
  Select,
  tokens,
} from "@fluentui/react-components";
import { useState, type FormEvent } from "react";
import { finished } from "../api/operations.ts";
import { usePolled } from "../api/polling.ts";
import { createService, listSkus } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { goTo } from "../routes.ts";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";

const useStyles = makeStyles({ fields: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalM } });

/** The rule of the API, so that a mistake is said while typing. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}$/;
const premium = "Premium_4vCores";

export function CreateServiceDialog({ open, close }: { readonly open: boolean; readonly close: () => void }) {
  return (
    <Dialog open={open} onOpenChange={(_, data) => (data.open ? undefined : close())}>
      <DialogSurface>{open ? <CreateServiceForm close={close} /> : null}</DialogSurface>
    </Dialog>
  );
}

function CreateServiceForm({ close }: { readonly close: () => void }) {
  const styles = useStyles();
  const { api, scope, config } = useApp();
  const [draft, setDraft] = useState({ name: "", group: scope.resourceGroup, location: config.location, skuName: premium, subnet: "" });
  const [tried, setTried] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const skus = usePolled("skus", 0, (signal) => listSkus(api, scope.subscriptionId, signal));
  const nameBad = !namePattern.test(draft.name);
  const create = async () => {
    setBusy(true);
    setProblem(undefined);
    const ref = { subscriptionId: scope.subscriptionId, resourceGroup: draft.group, service: draft.name };
    try {
      const answer = await createService(api, ref, { location: draft.location, skuName: draft.skuName, virtualSubnetId: draft.subnet });
      await finished(api, answer);
      close();
      goTo({ page: "service", resourceGroup: draft.group, service: draft.name });
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!nameBad && draft.group && draft.location) void create();
  };
  const set = (field: keyof typeof draft) => (_: unknown, data: { value: string }) => setDraft({ ...draft, [field]: data.value.trim() });
  return (
    <form onSubmit={submit} noValidate>
      <DialogBody>
        <DialogTitle>{texts.service.createTitle}</DialogTitle>
        <DialogContent className={styles.fields}>
          <span>{texts.service.createHelp}</span>
          <Field
            label={texts.common.name}
            required
            {...(tried && nameBad ? { validationMessage: texts.service.nameBad } : { hint: texts.service.nameHelp })}
          >
            <Input value={draft.name} onChange={set("name")} />
          </Field>
          <Field
            label={texts.shell.resourceGroup}
            required
            {...(tried && !draft.group ? { validationMessage: texts.service.required } : {})}
          >
            <Input value={draft.group} onChange={set("group")} />
          </Field>
          <Field
            label={texts.service.location}
            required
            hint={texts.service.locationHelp}
            {...(tried && !draft.location ? { validationMessage: texts.service.required } : {})}
          >
            <Input value={draft.location} onChange={set("location")} />
          </Field>
          <Field label={texts.service.sku}>
            <Select value={draft.skuName} onChange={set("skuName")}>
              {(skus.data ?? [{ name: premium, tier: "Premium", size: "4 vCores" }]).map(({ name, tier, size }) => (
                <option key={name} value={name}>{`${tier}, ${size}`}</option>
              ))}
            </Select>
          </Field>
          <Field label={texts.service.subnet} hint={texts.service.subnetHelp}>
            <Input value={draft.subnet} onChange={set("subnet")} />
          </Field>
          {problem === undefined ? null : <ProblemBar problem={problem} />}
        </DialogContent>
        <DialogActions>
          <Button onClick={close}>{texts.common.cancel}</Button>
          <Button appearance="primary" type="submit" disabled={busy}>
            {busy ? texts.service.creating : texts.service.create}
          </Button>
        </DialogActions>
      </DialogBody>
    </form>
  );
}
