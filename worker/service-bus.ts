import { RetryMode, ServiceBusClient, type ServiceBusClientOptions } from "@azure/service-bus";
import { azureIdentity } from "../contracts/identity.ts";
import { type Config } from "./config.ts";

/** The SDK's own default waits 30 s between two tries. */
const retryOptions = { maxRetries: 5, retryDelayInMs: 500, maxRetryDelayInMs: 5_000, mode: RetryMode.Exponential, timeoutInMs: 15_000 };

/** Makes a client for the namespace that the environment names. */
export function createServiceBusClient(config: Config, overrides: ServiceBusClientOptions["retryOptions"] = {}): ServiceBusClient {
  const options: ServiceBusClientOptions = { retryOptions: { ...retryOptions, ...overrides } };
  if (config.ServiceBusConnection !== undefined) return new ServiceBusClient(config.ServiceBusConnection, options);
  const namespace = config.ServiceBusConnection__fullyQualifiedNamespace ?? "";
  return new ServiceBusClient(namespace, azureIdentity(config.AZURE_CLIENT_ID), options);
}
