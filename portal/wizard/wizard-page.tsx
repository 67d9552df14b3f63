import { Button, makeStyles, Text, tokens } from "@fluentui/react-components";
import { AddCircleRegular } from "@fluentui/react-icons";
import { useEffect, useMemo, useState } from "react";
import { usePolled } from "../api/polling.ts";
import { getService, type ServiceRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { hrefOf, type Route } from "../routes.ts";
import { PageHead } from "../shell/page-head.tsx";
import { PolledProblem } from "../shell/problem-bar.tsx";
import { Section } from "../shell/section.tsx";
import { texts } from "../texts.ts";
import { ConnectionStep } from "./connection-step.tsx";
import { DatabasesStep } from "./databases-step.tsx";
import { incompleteBecause } from "./decisions.ts";
import { emptyDraft, nothingUnkept, STEPS, type Draft, type StepName, type Unkept } from "./draft.ts";
import { ProjectStep } from "./project-step.tsx";
import { SettingsStep } from "./settings-step.tsx";
import { StepList } from "./step-list.tsx";
import { forgetDraft, storedDraft, storeDraft } from "./stored-draft.ts";
import { SummaryStep } from "./summary-step.tsx";
import { TablesStep } from "./tables-step.tsx";

/** What every step gets: the draft, how to change it, and where it all goes. */
export interface StepProps {
  readonly serviceRef: ServiceRef;
  /** Region of the service: projects are made in it. */
  readonly location: string;
  readonly draft: Draft;
  readonly change: (part: Partial<Draft>) => void;
  readonly unkept: Unkept;
  readonly changeUnkept: (part: Partial<Unkept>) => void;
  /** To be called when the wizard has done its work. */
  readonly forget: () => void;
}

const useStyles = makeStyles({
  foot: {
    position: "sticky",
    bottom: 0,
    zIndex: 2,
    display: "flex",
    flexWrap: "wrap",
    alignItems: "center",
    gap: tokens.spacingHorizontalS,
    padding: `${tokens.spacingVerticalM} 0`,
    borderTop: `1px solid ${tokens.colorNeutralStroke2}`,
    backgroundColor: tokens.colorNeutralBackground2,
  },
  note: { marginLeft: "auto", color: tokens.colorNeutralForeground2 },
});

/** From nothing to a running migration, in seven steps. */
export function WizardPage({ resourceGroup, service, project }: Extract<Route, { page: "newMigration" }>) {
  const { api, scope } = useApp();
  const serviceRef = useMemo(
    () => ({ subscriptionId: scope.subscriptionId, resourceGroup, service }),
    [scope.subscriptionId, resourceGroup, service],
  );
  const [draft, setDraft] = useState(() => initialDraft(serviceRef, project));
  const [unkept, setUnkept] = useState(nothingUnkept);
  const found = usePolled(JSON.stringify(serviceRef), 0, (signal) => getService(api, serviceRef, signal));
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) storeDraft(serviceRef, draft);
  }, [serviceRef, draft, done]);
  const props: StepProps = {
    serviceRef,
    location: found.data?.location ?? "",
    draft,
    change: (part) => setDraft((known) => ({ ...known, ...part })),
    unkept,
    changeUnkept: (part) => setUnkept((known) => ({ ...known, ...part })),
    forget: () => {
      setDone(true);
      forgetDraft(serviceRef);
    },
  };
  const startOver = () => {
    setDraft(emptyDraft(project));
    setUnkept(nothingUnkept);
  };
  return (
    <>
      <PageHead
        icon={<AddCircleRegular />}
        title={texts.wizard.title}
        subtitle={texts.wizard.kept}
        crumbs={[
          { name: texts.shell.home, route: { page: "services" } },
          { name: service, route: { page: "service", resourceGroup, service } },
        ]}
      />
      <PolledProblem polled={found} />
      <StepList
        current={draft.step}
        steps={draft.mode === "createOnly" ? ["project"] : STEPS}
        isComplete={(step) => incompleteBecause(step, draft, unkept) === undefined}
        go={(step) => props.change({ step })}
      />
      <Section>
        <Step {...props} />
      </Section>
      <Foot {...props} startOver={startOver} />
    </>
  );
}

function initialDraft(ref: ServiceRef, project: string | undefined): Draft {
  const stored = storedDraft(ref);
  if (!stored) return emptyDraft(project);
  return project && project !== stored.projectName ? { ...stored, projectName: project, step: "project" } : stored;
}

function Step(props: StepProps) {
  switch (props.draft.step) {
    case "project":
      return <ProjectStep {...props} />;
    case "source":
      return <ConnectionStep key="source" side="source" {...props} />;
    case "target":
      return <ConnectionStep key="target" side="target" {...props} />;
    case "databases":
      return <DatabasesStep {...props} />;
    case "tables":
      return <TablesStep {...props} />;
    case "settings":
      return <SettingsStep {...props} />;
    case "summary":
      return <SummaryStep {...props} />;
  }
}

function Foot({ draft, change, unkept, serviceRef, startOver }: StepProps & { readonly startOver: () => void }) {
  const styles = useStyles();
  const index = STEPS.indexOf(draft.step);
  const before: StepName | undefined = STEPS[index - 1];
  const after: StepName | undefined = draft.mode === "createOnly" ? undefined : STEPS[index + 1];
  const why = incompleteBecause(draft.step, draft, unkept);
  const go = (step: StepName) => {
    change({ step });
    document.getElementById("content")?.focus();
  };
  return (
    <div className={styles.foot}>
      {before ? <Button onClick={() => go(before)}>{texts.common.back}</Button> : null}
      {after ? (
        <Button appearance="primary" disabled={why !== undefined} onClick={() => go(after)}>
          {texts.wizard.nextStep(texts.wizard.steps[after])}
        </Button>
      ) : null}
      {after && why !== undefined ? <Text role="status">{why}</Text> : null}
      <span className={styles.note}>
        <Button appearance="subtle" onClick={startOver}>
          {texts.wizard.startOver}
        </Button>
        <Button
          appearance="subtle"
          as="a"
          href={hrefOf({ page: "service", resourceGroup: serviceRef.resourceGroup, service: serviceRef.service })}
        >
          {texts.wizard.leave}
        </Button>
      </span>
    </div>
  );
}
