import { Button, Field, Input, makeStyles, MessageBar, MessageBarBody, MessageBarTitle, tokens } from "@fluentui/react-components";
import { RocketRegular } from "@fluentui/react-icons";
import { useState } from "react";
import { useApp } from "../app-context.ts";
import { goTo } from "../routes.ts";
import { Essentials } from "../shell/essentials.tsx";
import { ProblemBar } from "../shell/problem-bar.tsx";
import { texts } from "../texts.ts";
import { activityName, chosenDatabases, currentCheck, errorsOf, incompleteBecause, isName, needsPassword } from "./decisions.ts";
import { STEPS, type ConnectionDraft, type Draft, type Side } from "./draft.ts";
import { startMigration } from "./start-migration.ts";
import { StepHead } from "./step-head.tsx";
import type { StepProps } from "./wizard-page.tsx";

const useStyles = makeStyles({
  body: { display: "flex", flexDirection: "column", gap: tokens.spacingVerticalXL },
  name: { maxWidth: "480px" },
  start: { alignSelf: "flex-start" },
  passwords: { display: "flex", flexWrap: "wrap", gap: tokens.spacingHorizontalL },
});

/** Tutorial: the summary, and the start. */
export function SummaryStep(props: StepProps) {
  const styles = useStyles();
  const { api } = useApp();
  const { draft, change, unkept, serviceRef, location, forget } = props;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const name = activityName(draft);
  const open = STEPS.find((step) => incompleteBecause(step, draft, unkept) !== undefined);
  const problems = [...errorsOf(currentCheck(draft, "source")), ...errorsOf(currentCheck(draft, "target"))];
  const start = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const { project, task } = await startMigration(api, serviceRef, location, draft, unkept);
      forget();
      goTo({ page: "migration", resourceGroup: serviceRef.resourceGroup, service: serviceRef.service, project, task });
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return (
    <>
      <StepHead title={texts.wizard.summaryTitle} help={texts.wizard.summaryHelp} />
      <div className={styles.body}>
        <Field
          className={styles.name}
          label={texts.wizard.activityName}
          required
          {...(isName(name) ? {} : { validationMessage: texts.wizard.projectBad })}
        >
          <Input value={name} onChange={(_, { value }) => change({ activityName: value.trim() })} />
        </Field>
        <Essentials items={summaryOf(draft)} />
        {problems.length > 0 ? (
          <MessageBar intent="warning" layout="multiline">
            <MessageBarBody>
              <MessageBarTitle>{texts.wizard.openProblems}</MessageBarTitle>
              {texts.wizard.openProblemsHelp} {problems.map(({ code, message }) => `${code}: ${message}`).join(" ")}
            </MessageBarBody>
          </MessageBar>
        ) : null}
        <MissingPasswords {...props} />
        {problem === undefined ? null : <ProblemBar problem={problem} />}
        {open && open !== "summary" ? (
          <MessageBar intent="warning" layout="multiline">
            <MessageBarBody>{texts.wizard.stepIncomplete(texts.wizard.steps[open])}</MessageBarBody>
          </MessageBar>
        ) : null}
        <Button
          className={styles.start}
          appearance="primary"
          size="large"
          icon={<RocketRegular />}
          disabled={open !== undefined || busy}
          onClick={() => void start()}
        >
          {busy ? texts.wizard.starting : texts.wizard.start}
        </Button>
      </div>
    </>
  );
}

/** Whoever comes back after a break has typed everything but these. */
function MissingPasswords({ draft, unkept, changeUnkept }: StepProps) {
  const styles = useStyles();
  const [asked] = useState(() => (["source", "target"] as const).filter((side) => needsPassword(draft[side], unkept.passwords[side])));
  if (asked.length === 0) return null;
  const set = (side: Side, value: string) => changeUnkept({ passwords: { ...unkept.passwords, [side]: value } });
  return (
    <div className={styles.passwords}>
      {asked.map((side) => (
        <Field
          key={side}
          label={texts.wizard.passwordOf(side === "source" ? texts.wizard.summarySource : texts.wizard.summaryTarget)}
          required
          hint={texts.wizard.passwordAgain}
        >
          <Input type="password" autoComplete="new-password" value={unkept.passwords[side]} onChange={(_, { value }) => set(side, value)} />
        </Field>
      ))}
    </div>
  );
}

function summaryOf(draft: Draft): [string, string][] {
  const chosen = chosenDatabases(draft);
  const settings = Object.entries(draft.settings).map(([name, value]) => `${name} = ${value}`);
  const tables = chosen.map(({ name }) => {
    const names = draft.tables[name];
    return `${name}: ${names ? texts.wizard.someTables(names.length) : texts.wizard.allTables}`;
  });
  return [
    [texts.wizard.summaryProject, draft.projectName],
    [texts.wizard.activityType, texts.wizard.online],
    [texts.wizard.summarySource, connectionLine(draft.source, draft.sourceCheck?.serverBrandVersion)],
    [texts.wizard.summaryTarget, connectionLine(draft.target, draft.targetCheck?.serverBrandVersion)],
    [
      texts.wizard.summaryDatabases,
      chosen.map(({ name, targetName }) => (name === targetName ? name : `${name} → ${targetName}`)).join(", "),
    ],
    [texts.wizard.summaryTables, tables.join(", ")],
    [texts.wizard.summarySettings, settings.length > 0 ? settings.join(", ") : texts.wizard.noChangedSettings],
  ];
}

const connectionLine = ({ userName, serverName, port }: ConnectionDraft, version: string | undefined): string =>
  `${userName}@${serverName}:${port}${version ? ` (${version})` : ""}`;
