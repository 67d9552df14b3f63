import { Button } from "@fluentui/react-components";
import { ArrowDownloadRegular, DocumentCheckmarkRegular, PrintRegular } from "@fluentui/react-icons";
import type { TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import type { MigrationView } from "../migration/migration-view.ts";
import { useMigration } from "../migration/use-migration.ts";
import type { Route } from "../routes.ts";
import { PageHead } from "../shell/page-head.tsx";
import { PolledProblem } from "../shell/problem-bar.tsx";
import { Empty, Loading } from "../shell/states.tsx";
import { texts } from "../texts.ts";
import { downloadReport } from "./download-report.ts";
import { Report } from "./report.tsx";

/** The report of one database's cutover: on the screen, on paper, or as JSON. */
export function ReportPage(route: Extract<Route, { page: "migration" }>) {
  const { scope } = useApp();
  const { resourceGroup, service, project, task } = route;
  const ref: TaskRef = { ...scope, resourceGroup, service, project, task };
  const polled = useMigration(ref);
  const database = polled.data?.databases.find(({ output }) => output.databaseName === route.database);
  const report = database?.output.cutover;
  const name = route.database ?? "";
  return (
    <>
      <PageHead
        icon={<DocumentCheckmarkRegular />}
        title={texts.report.title(name)}
        subtitle={polled.data ? serversOf(polled.data) : task}
        crumbs={[
          { name: texts.shell.home, route: { page: "services" } },
          { name: service, route: { page: "service", resourceGroup, service } },
          {
            name: task,
            route: { page: "migration", resourceGroup, service, project, task, ...(route.database ? { database: route.database } : {}) },
          },
        ]}
      >
        <Button
          appearance="subtle"
          icon={<ArrowDownloadRegular />}
          disabled={!report}
          onClick={() => (polled.data && database ? downloadReport(polled.data, database) : undefined)}
        >
          {texts.report.download}
        </Button>
        <Button appearance="subtle" icon={<PrintRegular />} disabled={!report} onClick={() => window.print()}>
          {texts.report.print}
        </Button>
      </PageHead>
      <PolledProblem polled={polled} />
      {database && report ? <Report report={report} database={database} /> : null}
      {polled.data && !report ? <Empty title={texts.report.missing} /> : null}
      {!polled.data && !polled.error ? <Loading /> : null}
    </>
  );
}

const serversOf = ({ migration }: MigrationView): string =>
  migration
    ? texts.report.migrationOf(
        texts.migration.serverWithVersion(migration.sourceServer, migration.sourceServerVersion),
        texts.migration.serverWithVersion(migration.targetServer, migration.targetServerVersion),
      )
    : "";
