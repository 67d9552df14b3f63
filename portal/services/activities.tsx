import { Button, Link, Switch } from "@fluentui/react-components";
import { AddRegular, DatabaseArrowRightRegular } from "@fluentui/react-icons";
import { useState } from "react";
import type { Task } from "../../contracts/wire.ts";
import type { ServiceRef } from "../api/resources.ts";
import { formatDateTime, formatDuration, NOTHING, secondsBetween } from "../figures/format.ts";
import { goTo, hrefOf } from "../routes.ts";
import { PlainTable } from "../shell/plain-table.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { Empty } from "../shell/states.tsx";
import { taskTones } from "../shell/tones.ts";
import { texts } from "../texts.ts";
import { isMigration, type ProjectActivities } from "./read-activities.ts";

interface Row {
  readonly project: string;
  readonly task: Task | undefined;
}

interface Props {
  readonly serviceRef: ServiceRef;
  readonly activities: readonly ProjectActivities[];
}

/** The projects of a service with their migrations; connection checks on request. */
export function Activities({ serviceRef, activities }: Props) {
  const [withChecks, setWithChecks] = useState(false);
  const rows = activities.flatMap(({ project, tasks }): Row[] => {
    const shown = tasks.filter((task) => withChecks || isMigration(task));
    return shown.length > 0 ? shown.map((task) => ({ project: project.name, task })) : [{ project: project.name, task: undefined }];
  });
  const begin = () => goTo({ page: "newMigration", resourceGroup: serviceRef.resourceGroup, service: serviceRef.service });
  return (
    <Section
      title={texts.service.activities}
      aside={<Switch label={texts.service.showChecks} checked={withChecks} onChange={(_, { checked }) => setWithChecks(checked)} />}
    >
      {rows.length === 0 ? (
        <Empty
          icon={<DatabaseArrowRightRegular />}
          title={texts.service.activitiesEmptyTitle}
          action={
            <Button appearance="primary" icon={<AddRegular />} onClick={begin}>
              {texts.service.newMigration}
            </Button>
          }
        >
          {texts.service.activitiesEmpty}
        </Empty>
      ) : (
        <ActivityTable rows={rows} serviceRef={serviceRef} />
      )}
    </Section>
  );
}

function ActivityTable({ rows, serviceRef }: { readonly rows: readonly Row[]; readonly serviceRef: ServiceRef }) {
  const { activityColumns, kinds } = texts.service;
  const { resourceGroup, service } = serviceRef;
  const name = ({ project, task }: Row) => {
    if (!task) return <Link href={hrefOf({ page: "newMigration", resourceGroup, service, project })}>{texts.service.addActivity}</Link>;
    if (!isMigration(task)) return task.name;
    return <Link href={hrefOf({ page: "migration", resourceGroup, service, project, task: task.name })}>{task.name}</Link>;
  };
  return (
    <PlainTable
      label={texts.service.activities}
      rows={rows}
      keyOf={({ project, task }) => task?.id ?? project}
      minWidthPx={760}
      columns={[
        { key: "activity", title: activityColumns.activity, width: "24%", cell: name },
        {
          key: "state",
          title: activityColumns.state,
          width: "16%",
          cell: ({ task }) =>
            task ? (
              <StateBadge tone={taskTones[task.properties.state]}>{texts.task.states[task.properties.state]}</StateBadge>
            ) : (
              texts.service.projectOnly
            ),
        },
        { key: "project", title: activityColumns.project, width: "18%", cell: ({ project }) => project },
        { key: "kind", title: activityColumns.kind, width: "16%", cell: ({ task }) => (task ? kinds[task.properties.taskType] : NOTHING) },
        { key: "created", title: activityColumns.created, width: "16%", cell: ({ task }) => formatDateTime(task?.properties.createdOn) },
        { key: "duration", title: activityColumns.duration, width: "10%", align: "end", cell: ({ task }) => durationOf(task) },
      ]}
    />
  );
}

function durationOf(task: Task | undefined): string {
  const seconds = task && secondsBetween(task.properties.startedOn, task.properties.endedOn, Date.now());
  return seconds === undefined ? NOTHING : formatDuration(seconds);
}
