import { Button, Field, Input, makeStyles, Radio, RadioGroup, Select, tokens } from "@fluentui/react-components";
import { useState } from "react";
import { ensureProject } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { goTo } from "../routes.ts";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";
import { isName } from "./decisions.ts";
import { StepHead } from "./step-head.tsx";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  form: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalL, maxWidth: "560px" },
  action: { alignSelf: "flex-start" },
});

/** Tutorial: create a migration project. */
export function ProjectStep(props: StepProps) {
  const styles = useStyles();
  const { draft, change } = props;
  const bad = draft.projectName !== "" && !isName(draft.projectName);
  return (
    <>
      <StepHead title={texts.wizard.steps.project} help={texts.wizard.onlineHelp} />
      <div className={styles.form}>
        <Field
          label={texts.wizard.projectName}
          required
          {...(bad ? { validationMessage: texts.wizard.projectBad } : { hint: texts.wizard.projectHelp })}
        >
          <Input value={draft.projectName} onChange={(_, { value }) => change({ projectName: value.trim() })} />
        </Field>
        <Field label={texts.wizard.sourceType}>
          <Select>
            <option>{texts.wizard.postgres}</option>
          </Select>
        </Field>
        <Field label={texts.wizard.targetType}>
          <Select>
            <option>{texts.wizard.azurePostgres}</option>
          </Select>
        </Field>
        <Field label={texts.wizard.activityType}>
          <Select>
            <option>{texts.wizard.online}</option>
          </Select>
        </Field>
        <Field label={texts.wizard.mode}>
          <RadioGroup
            value={draft.mode}
            onChange={(_, { value }) => change({ mode: value === "createOnly" ? "createOnly" : "createAndRun" })}
          >
            <Radio value="createAndRun" label={texts.wizard.createAndRun} />
            <Radio value="createOnly" label={texts.wizard.createOnly} />
          </RadioGroup>
        </Field>
        {draft.mode === "createOnly" ? <CreateProject {...props} /> : null}
      </div>
    </>
  );
}

function CreateProject({ draft, serviceRef, location, forget }: StepProps) {
  const styles = useStyles();
  const { api } = useApp();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const create = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await ensureProject(api, { ...serviceRef, project: draft.projectName }, location);
      forget();
      goTo({ page: "service", resourceGroup: serviceRef.resourceGroup, service: serviceRef.service });
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <>
      {problem === undefined ? null : <ProblemBar problem={problem} />}
      <Button className={styles.action} appearance="primary" disabled={busy || !isName(draft.projectName)} onClick={() => void create()}>
        {texts.wizard.createProject}
      </Button>
    </>
  );
}
