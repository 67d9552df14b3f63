import { DefaultAzureCredential } from "@azure/identity";
import { ServiceBusClient } from "@azure/service-bus";

/** On Azure: SERVICE_BUS_NAMESPACE, and the identity that the program runs as. On one machine: SERVICE_BUS_CONNECTION. */
export function openServiceBus(environment: NodeJS.ProcessEnv): ServiceBusClient {
  const { SERVICE_BUS_CONNECTION: connectionString, SERVICE_BUS_NAMESPACE: namespace } = environment;
  if (connectionString) return new ServiceBusClient(connectionString);
  if (namespace) return new ServiceBusClient(namespace, new DefaultAzureCredential());
  throw new Error("set SERVICE_BUS_NAMESPACE (name.servicebus.windows.net) or SERVICE_BUS_CONNECTION");
}
