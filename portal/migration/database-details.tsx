import { Link, makeStyles, Tab, TabList, tokens } from "@fluentui/react-components";
import { lazy, Suspense, useState } from "react";
import type { TaskRef } from "../api/resources.ts";
import { ReportSummary, Verdict } from "../cutover/report-summary.tsx";
import { hrefOf, type Route } from "../routes.ts";
import { Findings } from "../shell/findings.tsx";
import { Section } from "../shell/section.tsx";
import { Loading } from "../shell/states.tsx";
import { texts } from "../texts.ts";
import { DatabaseFigures } from "./database-figures.tsx";
import { LoadTab } from "./load-tab.tsx";
import type { DatabaseView } from "./migration-view.ts";
import { ProblemCount } from "./problem-count.tsx";
import { SyncTab } from "./sync-tab.tsx";

// The charts bring a library of their own.
const Charts = lazy(async () => ({ default: (await import("./charts.tsx")).Charts }));

type TabName = keyof typeof texts.migration.tabs;

const useStyles = makeStyles({
  tabs: { marginBottom: tokens.spacingVerticalM, marginLeft: "-10px", flexWrap: "wrap" },
});

interface Props {
  readonly database: DatabaseView;
  readonly route: Extract<Route, { page: "migration" }>;
  readonly taskRef: TaskRef;
}

/** Everything about one database: figures, charts, and the tables behind them. */
export function DatabaseDetails({ database, route, taskRef }: Props) {
  const styles = useStyles();
  const { output, findings } = database;
  // The tab that matters now, until the user takes another one.
  const [taken, setTaken] = useState<TabName>();
  const tab = taken ?? (output.migrationState === "FAILED" ? "messages" : output.initializationCompleted ? "sync" : "load");
  return (
    <>
      <DatabaseFigures database={database} />
      {output.endedOn === null || database.history.length > 1 ? (
        <Section title={texts.migration.chartsTitle}>
          <Suspense fallback={<Loading />}>
            <Charts database={database} />
          </Suspense>
        </Section>
      ) : null}
      <Section>
        <TabList
          className={styles.tabs}
          selectedValue={tab}
          onTabSelect={(_, { value }) => setTaken(value as TabName)}
          aria-label={texts.migration.tabsLabel}
        >
          <Tab value="load">{texts.migration.tabs.load}</Tab>
          <Tab value="sync">{texts.migration.tabs.sync}</Tab>
          <Tab value="messages">
            {texts.migration.tabs.messages}
            <ProblemCount findings={findings} />
          </Tab>
          {output.cutover ? <Tab value="report">{texts.migration.tabs.report}</Tab> : null}
        </TabList>
        <div role="tabpanel" aria-label={texts.migration.tabs[tab]}>
          {tab === "load" ? <LoadTab database={database} /> : null}
          {tab === "sync" ? <SyncTab database={database} taskRef={taskRef} /> : null}
          {tab === "messages" ? findings.length > 0 ? <Findings findings={findings} /> : texts.findings.none : null}
          {tab === "report" && output.cutover ? (
            <>
              {output.cutover.endedOn ? <Verdict report={output.cutover} /> : null}
              <ReportSummary report={output.cutover} />
              <Link href={hrefOf({ ...route, database: output.databaseName, view: "report" })}>{texts.cutover.openReport}</Link>
            </>
          ) : null}
        </div>
      </Section>
    </>
  );
}
