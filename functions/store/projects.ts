import { z } from "zod";
import { ConnectionInfo } from "../../contracts/connection.ts";
import { type ConnectionView } from "../../contracts/wire.ts";
import { encodeNames, type RowKey } from "./keys.ts";
import { ServicePath } from "./services.ts";

export const ProjectPath = ServicePath.extend({ project: z.string() });
export type ProjectPath = z.infer<typeof ProjectPath>;

/** What is null is not written. */
const connectionView = ConnectionInfo.omit({ password: true, additionalSettings: true }) as unknown as z.ZodType<ConnectionView>;

export const ProjectRow = z.object({
  path: ProjectPath,
  revision: z.string(),
  location: z.string(),
  tags: z.record(z.string(), z.string()),
  createdOn: z.string(),
  sourcePlatform: z.string(),
  targetPlatform: z.string(),
  databasesInfo: z.array(z.object({ sourceDatabaseName: z.string() })).optional(),
  /** Without passwords: a project keeps none. */
  sourceConnectionInfo: connectionView.optional(),
  targetConnectionInfo: connectionView.optional(),
});
export type ProjectRow = z.infer<typeof ProjectRow>;

const partitionOf = ({ subscriptionId, resourceGroup, service }: ServicePath): string =>
  encodeNames(subscriptionId, resourceGroup, service);

export const projectKey = (path: ProjectPath): RowKey => ({ partitionKey: partitionOf(path), rowKey: encodeNames(path.project) });

export const projectsOfService = (path: ServicePath): string => `PartitionKey eq '${partitionOf(path)}'`;
