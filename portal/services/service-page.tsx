import { Button } from "@fluentui/react-components";
import { AddRegular, ArrowClockwiseRegular, DatabaseArrowRightRegular, PlayRegular, StopRegular } from "@fluentui/react-icons";
import { useState } from "react";
import type { Service, ServiceStatus } from "../../contracts/wire.ts";
import { finished } from "../api/operations.ts";
import { usePolled } from "../api/polling.ts";
import { checkStatus, getService, startService, stopService, type ServiceRef } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { formatCount, NOTHING } from "../figures/format.ts";
import { goTo } from "../routes.ts";
import { ConfirmDialog } from "../shell/confirm-dialog.tsx";
import { Essentials } from "../shell/essentials.tsx";
import { PageHead } from "../shell/page-head.tsx";
import { PolledProblem, ProblemBar } from "../shell/problem-bar.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { Loading } from "../shell/states.tsx";
import { serviceTones } from "../shell/tones.ts";
import { texts } from "../texts.ts";
import { Activities } from "./activities.tsx";
import { readActivities } from "./read-activities.ts";
import { Workers } from "./workers.tsx";

const refreshMs = 4_000;

/** One service: whether it lives, what its workers run, and the migrations it has. */
export function ServicePage({ resourceGroup, service: name }: { readonly resourceGroup: string; readonly service: string }) {
  const { api, scope } = useApp();
  const ref: ServiceRef = { subscriptionId: scope.subscriptionId, resourceGroup, service: name };
  const polled = usePolled(JSON.stringify(ref), refreshMs, async (signal) => {
    const [service, status, activities] = await Promise.all([
      getService(api, ref, signal),
      checkStatus(api, ref, signal),
      readActivities(api, ref, signal),
    ]);
    return { service, status, activities };
  });
  const { data } = polled;
  return (
    <>
      <PageHead
        icon={<DatabaseArrowRightRegular />}
        title={data?.service.name ?? name}
        subtitle={texts.service.subtitle}
        crumbs={[{ name: texts.shell.home, route: { page: "services" } }]}
      >
        <Button
          appearance="primary"
          icon={<AddRegular />}
          disabled={!data}
          onClick={() => goTo({ page: "newMigration", resourceGroup, service: name })}
        >
          {texts.service.newMigration}
        </Button>
        <PowerButtons serviceRef={ref} status={data?.status.status} done={polled.refresh} />
        <Button appearance="subtle" icon={<ArrowClockwiseRegular />} onClick={polled.refresh}>
          {texts.common.refresh}
        </Button>
      </PageHead>
      <PolledProblem polled={polled} />
      {data ? (
        <>
          <ServiceEssentials
            service={data.service}
            status={data.status}
            subscription={scope.subscriptionId}
            resourceGroup={resourceGroup}
          />
          <Activities serviceRef={ref} activities={data.activities} />
          <Workers status={data.status} serviceRef={ref} activities={data.activities} />
        </>
      ) : polled.error ? null : (
        <Loading />
      )}
    </>
  );
}

interface PowerProps {
  readonly serviceRef: ServiceRef;
  readonly status: ServiceStatus["status"] | undefined;
  readonly done: () => void;
}

function PowerButtons({ serviceRef, status, done }: PowerProps) {
  const { api } = useApp();
  const [busy, setBusy] = useState(false);
  const [stopping, setStopping] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const start = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await finished(api, await startService(api, serviceRef));
    } catch (error) {
      setProblem(error);
    } finally {
      setBusy(false);
      done();
    }
  };
  const stop = async () => {
    await finished(api, await stopService(api, serviceRef));
    done();
  };
  return (
    <>
      <Button appearance="subtle" icon={<PlayRegular />} disabled={busy || status !== "Stopped"} onClick={() => void start()}>
        {texts.service.start}
      </Button>
      <Button
        appearance="subtle"
        icon={<StopRegular />}
        disabled={status === undefined || status === "Stopped"}
        onClick={() => setStopping(true)}
      >
        {texts.service.stop}
      </Button>
      {problem === undefined ? null : <ProblemBar problem={problem} />}
      <ConfirmDialog
        open={stopping}
        close={() => setStopping(false)}
        title={texts.service.stopTitle}
        help={texts.service.stopHelp}
        action={texts.service.stop}
        act={stop}
      />
    </>
  );
}

interface EssentialsProps {
  readonly service: Service;
  readonly status: ServiceStatus;
  readonly subscription: string;
  readonly resourceGroup: string;
}

function ServiceEssentials({ service, status, subscription, resourceGroup }: EssentialsProps) {
  const { essentials, statusHelp } = texts.service;
  const badge = <StateBadge tone={serviceTones[status.status]}>{texts.service.status[status.status]}</StateBadge>;
  return (
    <Section>
      <Essentials
        items={[
          [essentials.status, <span title={statusHelp[status.status]}>{badge}</span>],
          [essentials.tier, `${service.sku.tier}, ${service.sku.size}`],
          [essentials.resourceGroup, resourceGroup],
          [essentials.location, service.location],
          [essentials.subscription, subscription],
          [essentials.version, status.agentVersion ?? NOTHING],
          [essentials.running, status.runningTasks === undefined ? NOTHING : formatCount(status.runningTasks)],
          [essentials.queued, status.queuedTasks === undefined ? NOTHING : formatCount(status.queuedTasks)],
          ...(service.properties.virtualSubnetId ? [[essentials.subnet, service.properties.virtualSubnetId] as const] : []),
        ]}
      />
    </Section>
  );
}
