import { Link, Text } from "@fluentui/react-components";
import type { ServiceStatus, WorkerView } from "../../contracts/wire.ts";
import type { ServiceRef } from "../api/resources.ts";
import { formatBytes, formatDateTime, formatTime } from "../figures/format.ts";
import { hrefOf } from "../routes.ts";
import { PlainTable } from "../shell/plain-table.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { texts } from "../texts.ts";
import { isMigration, type ProjectActivities } from "./read-activities.ts";

interface Props {
  readonly status: ServiceStatus;
  readonly serviceRef: ServiceRef;
  readonly activities: readonly ProjectActivities[];
}

/** Who does the work: which workers are alive, and which tasks each of them runs. */
export function Workers({ status, serviceRef, activities }: Props) {
  const { workerColumns } = texts.service;
  const workers = status.workers ?? [];
  return (
    <Section title={texts.service.workers}>
      {workers.length === 0 ? (
        <Text>{status.status === "Stopped" ? texts.service.workersStopped : texts.service.workersEmpty}</Text>
      ) : (
        <PlainTable
          label={texts.service.workers}
          rows={workers}
          keyOf={({ workerId }) => workerId}
          minWidthPx={760}
          columns={[
            { key: "worker", title: workerColumns.worker, width: "24%", cell: ({ workerId }) => workerId },
            { key: "state", title: workerColumns.state, width: "12%", cell: stateOf },
            {
              key: "runs",
              title: workerColumns.runs,
              width: "22%",
              cell: (worker) => <Runs worker={worker} {...{ serviceRef, activities }} />,
            },
            { key: "version", title: workerColumns.version, width: "10%", cell: ({ softwareVersion }) => softwareVersion },
            { key: "since", title: workerColumns.since, width: "14%", cell: ({ startedOn }) => formatDateTime(startedOn) },
            { key: "seen", title: workerColumns.seen, width: "10%", cell: ({ lastSeenOn }) => formatTime(lastSeenOn) },
            { key: "memory", title: workerColumns.memory, width: "8%", align: "end", cell: ({ rssBytes }) => formatBytes(rssBytes) },
          ]}
        />
      )}
    </Section>
  );
}

function stateOf({ alive, stopping }: WorkerView) {
  if (!alive) return <StateBadge tone="bad">{texts.service.workerGone}</StateBadge>;
  if (stopping) return <StateBadge tone="paused">{texts.service.workerStopping}</StateBadge>;
  return <StateBadge tone="good">{texts.service.workerAlive}</StateBadge>;
}

function Runs({ worker, serviceRef, activities }: { readonly worker: WorkerView } & Omit<Props, "status">) {
  const running = activities.flatMap(({ project, tasks }) =>
    tasks.filter(({ properties }) => worker.taskIds.includes(properties.taskId)).map((task) => ({ project: project.name, task })),
  );
  if (worker.taskIds.length === 0) return texts.service.workerIdle;
  return (
    <>
      {texts.service.ofTasks(worker.taskIds.length, worker.maxTasks)}
      {running.map(({ project, task }) => (
        <div key={task.id}>
          {isMigration(task) ? (
            <Link href={hrefOf({ page: "migration", ...pathOf(serviceRef), project, task: task.name })}>{task.name}</Link>
          ) : (
            task.name
          )}
        </div>
      ))}
    </>
  );
}

const pathOf = ({ resourceGroup, service }: ServiceRef) => ({ resourceGroup, service });
