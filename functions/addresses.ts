import { RESOURCE_TYPES } from "../contracts/wire.ts";
import { type ProjectPath } from "./store/projects.ts";
import { type ServicePath } from "./store/services.ts";
import { type TaskPath } from "./store/tasks.ts";

/** Route templates and Resource Manager ids; the same words in both. */

const PROVIDER = "providers/Microsoft.DataMigration";
const SUBSCRIPTION = "subscriptions/{subscriptionId}";
const GROUP = `${SUBSCRIPTION}/resourceGroups/{resourceGroup}`;

export const routes = {
  operations: `${PROVIDER}/operations`,
  skus: `${SUBSCRIPTION}/${PROVIDER}/skus`,
  location: `${SUBSCRIPTION}/${PROVIDER}/locations/{location}`,
  servicesOfSubscription: `${SUBSCRIPTION}/${PROVIDER}/services`,
  services: `${GROUP}/${PROVIDER}/services`,
  service: `${GROUP}/${PROVIDER}/services/{serviceName}`,
  projects: `${GROUP}/${PROVIDER}/services/{serviceName}/projects`,
  project: `${GROUP}/${PROVIDER}/services/{serviceName}/projects/{projectName}`,
  tasks: `${GROUP}/${PROVIDER}/services/{serviceName}/projects/{projectName}/tasks`,
  task: `${GROUP}/${PROVIDER}/services/{serviceName}/projects/{projectName}/tasks/{taskName}`,
} as const;

type Parameters = Readonly<Record<string, string>>;

export const servicePath = (params: Parameters): ServicePath => ({
  subscriptionId: params["subscriptionId"] ?? "",
  resourceGroup: params["resourceGroup"] ?? "",
  service: params["serviceName"] ?? "",
});

export const projectPath = (params: Parameters): ProjectPath => ({ ...servicePath(params), project: params["projectName"] ?? "" });

export const taskPath = (params: Parameters): TaskPath => ({ ...projectPath(params), task: params["taskName"] ?? "" });

export const serviceId = ({ subscriptionId, resourceGroup, service }: ServicePath): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/${RESOURCE_TYPES.service}/${service}`;

export const projectId = (path: ProjectPath): string => `${serviceId(path)}/projects/${path.project}`;

export const taskResourceId = (path: TaskPath): string => `${projectId(path)}/tasks/${path.task}`;
