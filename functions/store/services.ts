import { z } from "zod";
import { SERVICE_SKUS, SERVICE_STATES } from "../../contracts/wire.ts";
import { afterPrefix, encodeNames, type RowKey } from "./keys.ts";

/** The names that lead to a service, as first written. */
export const ServicePath = z.object({ subscriptionId: z.string(), resourceGroup: z.string(), service: z.string() });
export type ServicePath = z.infer<typeof ServicePath>;

export const ServiceRow = z.object({
  path: ServicePath,
  /** Changes with every change that a caller can see; the ETag. */
  revision: z.string(),
  location: z.string(),
  tags: z.record(z.string(), z.string()),
  kind: z.string(),
  sku: z.enum(SERVICE_SKUS.map((sku) => sku.name)),
  state: z.enum(SERVICE_STATES),
  /** Since when it is in this state. */
  stateSince: z.string(),
  /** The last state that was told on the topic of events. */
  announced: z.enum(SERVICE_STATES).nullable(),
  properties: z.record(z.string(), z.union([z.string(), z.boolean()])),
});
export type ServiceRow = z.infer<typeof ServiceRow>;

export const serviceColumns = (service: ServiceRow): { untold: boolean } => ({ untold: service.state !== service.announced });

export const serviceKey = ({ subscriptionId, resourceGroup, service }: ServicePath): RowKey => ({
  partitionKey: encodeNames(subscriptionId, resourceGroup),
  rowKey: encodeNames(service),
});

export const servicesOfGroup = (subscriptionId: string, resourceGroup: string): string =>
  `PartitionKey eq '${encodeNames(subscriptionId, resourceGroup)}'`;

export function servicesOfSubscription(subscriptionId: string): string {
  const prefix = encodeNames(subscriptionId);
  return `PartitionKey ge '${prefix}|' and PartitionKey lt '${afterPrefix(prefix)}'`;
}

/** An asynchronous operation that a client may poll. Ours have ended when they are answered. */
export const OperationRow = z.object({ name: z.string(), subscriptionId: z.string(), location: z.string(), endedOn: z.string() });
export type OperationRow = z.infer<typeof OperationRow>;

export const operationKey = (subscriptionId: string, name: string): RowKey => ({
  partitionKey: encodeNames(subscriptionId),
  rowKey: encodeNames(name),
});
