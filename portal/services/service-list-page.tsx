import { Button, Link } from "@fluentui/react-components";
import { AddRegular, ArrowClockwiseRegular, DatabaseArrowRightRegular } from "@fluentui/react-icons";
import { useState } from "react";
import type { Service, ServiceStatus } from "../../contracts/wire.ts";
import { usePolled } from "../api/polling.ts";
import { checkStatus, listServices, resourceGroupOf } from "../api/resources.ts";
import { useApp } from "../app-context.ts";
import { hrefOf } from "../routes.ts";
import { PageHead } from "../shell/page-head.tsx";
import { PlainTable } from "../shell/plain-table.tsx";
import { PolledProblem } from "../shell/problem-bar.tsx";
import { Section } from "../shell/section.tsx";
import { StateBadge } from "../shell/state-badge.tsx";
import { Empty, Loading } from "../shell/states.tsx";
import { serviceTones } from "../shell/tones.ts";
import { texts } from "../texts.ts";
import { CreateServiceDialog } from "./create-service-dialog.tsx";

interface Row {
  readonly service: Service;
  readonly resourceGroup: string;
  readonly status: ServiceStatus["status"] | undefined;
}

const refreshMs = 10_000;

/** The first screen: every service of the subscription. */
export function ServiceListPage() {
  const { api, scope } = useApp();
  const [creating, setCreating] = useState(false);
  const rows = usePolled(scope.subscriptionId, refreshMs, async (signal) => {
    const services = await listServices(api, scope.subscriptionId, signal);
    return Promise.all(services.map((service) => rowOf(service, signal)));
  });
  const rowOf = async (service: Service, signal: AbortSignal): Promise<Row> => {
    const resourceGroup = resourceGroupOf(service.id);
    const ref = { subscriptionId: scope.subscriptionId, resourceGroup, service: service.name };
    // One service whose status cannot be read is no reason to hide the others.
    const status = await checkStatus(api, ref, signal).catch(() => undefined);
    return { service, resourceGroup, status: status?.status };
  };
  const create = (
    <Button appearance="primary" icon={<AddRegular />} onClick={() => setCreating(true)}>
      {texts.service.create}
    </Button>
  );
  return (
    <>
      <PageHead icon={<DatabaseArrowRightRegular />} title={texts.service.listTitle} subtitle={texts.service.listSubtitle} crumbs={[]}>
        <Button appearance="subtle" icon={<AddRegular />} onClick={() => setCreating(true)}>
          {texts.service.create}
        </Button>
        <Button appearance="subtle" icon={<ArrowClockwiseRegular />} onClick={rows.refresh}>
          {texts.common.refresh}
        </Button>
      </PageHead>
      <PolledProblem polled={rows} />
      {rows.data === undefined ? rows.error ? null : <Loading /> : null}
      {rows.data?.length === 0 ? (
        <Section>
          <Empty icon={<DatabaseArrowRightRegular />} title={texts.service.emptyTitle} action={create}>
            {texts.service.empty}
          </Empty>
        </Section>
      ) : null}
      {rows.data && rows.data.length > 0 ? <ServiceTable rows={rows.data} /> : null}
      <CreateServiceDialog open={creating} close={() => setCreating(false)} />
    </>
  );
}

function ServiceTable({ rows }: { readonly rows: readonly Row[] }) {
  const { columns } = texts.service;
  return (
    <Section>
      <PlainTable
        label={texts.service.listTitle}
        rows={rows}
        keyOf={({ service }) => service.id}
        minWidthPx={640}
        columns={[
          {
            key: "name",
            title: columns.name,
            width: "30%",
            cell: ({ service, resourceGroup }) => (
              <Link href={hrefOf({ page: "service", resourceGroup, service: service.name })}>{service.name}</Link>
            ),
          },
          {
            key: "status",
            title: columns.status,
            width: "15%",
            cell: ({ status }) => (
              <StateBadge tone={status ? serviceTones[status] : "unknown"}>{texts.service.status[status ?? "unknown"]}</StateBadge>
            ),
          },
          { key: "group", title: columns.resourceGroup, width: "20%", cell: ({ resourceGroup }) => resourceGroup },
          { key: "location", title: columns.location, width: "15%", cell: ({ service }) => service.location },
          { key: "tier", title: columns.tier, width: "20%", cell: ({ service }) => `${service.sku.tier}, ${service.sku.size}` },
        ]}
      />
    </Section>
  );
}
