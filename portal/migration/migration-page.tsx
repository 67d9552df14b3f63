import { DatabaseArrowRightRegular } from "@fluentui/react-icons";
import type { TaskRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { formatDateTime, formatDuration, NOTHING, secondsBetween } from "../figures/format.ts";
import type { Route } from "../routes.ts";
import { Essentials } from "../shell/essentials.tsx";
import { PageHead } from "../shell/page-head.tsx";
import { PolledProblem } from "../shell/problem-bar.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { Loading } from "../shell/states.tsx";
import { taskTones } from "../shell/tones.ts";
import { texts } from "../texts.ts";
import { DatabaseDetails } from "./database-details.tsx";
import { DatabaseList } from "./database-list.tsx";
import { Live } from "./live.tsx";
import { MigrationCommands } from "./migration-commands.tsx";
import type { DatabaseView, MigrationView } from "./migration-view.ts";
import { TaskBars } from "./task-bars.tsx";
import { useMigration } from "./use-migration.ts";

type MigrationRoute = Extract<Route, { page: "migration" }>;

/** The screen beside the coffee: one migration, live. */
export function MigrationPage(route: MigrationRoute) {
  const { scope } = useApp();
  const ref: TaskRef = { ...scope, resourceGroup: route.resourceGroup, service: route.service, project: route.project, task: route.task };
  const polled = useMigration(ref);
  const view = polled.data;
  const chosen = view && (view.databases.find(({ output }) => output.databaseName === route.database) ?? view.databases[0]);
  return (
    <>
      <PageHead
        icon={<DatabaseArrowRightRegular />}
        title={route.task}
        subtitle={texts.migration.subtitle}
        crumbs={[
          { name: texts.shell.home, route: { page: "services" } },
          { name: route.service, route: { page: "service", resourceGroup: route.resourceGroup, service: route.service } },
        ]}
        aside={<Live readAtMs={polled.readAtMs} isFailing={polled.error !== undefined} view={view} />}
      >
        {view ? <MigrationCommands view={view} chosen={chosen} taskRef={ref} refresh={polled.refresh} /> : null}
      </PageHead>
      <PolledProblem polled={polled} />
      {view ? <Migration view={view} chosen={chosen} route={route} taskRef={ref} /> : polled.error ? null : <Loading />}
    </>
  );
}

function Migration({
  view,
  chosen,
  route,
  taskRef,
}: {
  readonly view: MigrationView;
  readonly chosen: DatabaseView | undefined;
  readonly route: MigrationRoute;
  readonly taskRef: TaskRef;
}) {
  return (
    <>
      <TaskBars view={view} />
      <Section>
        <MigrationEssentials view={view} project={route.project} />
      </Section>
      {view.databases.length > 0 ? <DatabaseList databases={view.databases} chosen={chosen} route={route} /> : null}
      {chosen ? <DatabaseDetails key={chosen.output.databaseName} database={chosen} route={route} taskRef={taskRef} /> : null}
    </>
  );
}

function MigrationEssentials({ view, project }: { readonly view: MigrationView; readonly project: string }) {
  const { essentials, serverWithVersion } = texts.migration;
  const { task, migration, databases } = view;
  const { state, startedOn, endedOn, input } = task.properties;
  const seconds = secondsBetween(startedOn, endedOn, Date.now());
  const source = migration?.sourceServer ?? input.sourceConnectionInfo?.serverName ?? NOTHING;
  const target = migration?.targetServer ?? input.targetConnectionInfo?.serverName ?? NOTHING;
  return (
    <Essentials
      items={[
        [essentials.state, <StateBadge tone={taskTones[state]}>{texts.task.states[state]}</StateBadge>],
        [essentials.started, formatDateTime(startedOn)],
        [essentials.source, serverWithVersion(source, migration?.sourceServerVersion ?? null)],
        [essentials.duration, seconds === undefined ? NOTHING : formatDuration(seconds)],
        [essentials.target, serverWithVersion(target, migration?.targetServerVersion ?? null)],
        [essentials.databases, migration?.databaseCount ?? databases.length],
        [essentials.project, project],
        [essentials.kind, texts.wizard.online],
      ]}
    />
  );
}
