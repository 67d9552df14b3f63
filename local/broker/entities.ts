import { type BrokerConfig, azureDefaults } from "./config.ts";

const duplicateWindowMs = 10 * 60_000;
/** The start command of a migration stays uncompleted for as long as the migration runs, and each takeover counts as a delivery. */
const commandDeliveriesMax = 2000;

/**
 * The entities that pgdms uses, as `infra/` makes them in Azure. There each service's queue comes from the template; here a
 * service may be created while the broker runs, so `commands-<service>` queues are also made when they are first used, and
 * so are `replies-<anything>`, for callers that want an answer to a request.
 */
export function pgdmsEntities(serviceNames: readonly string[]): BrokerConfig {
  const commands = { ...azureDefaults, requiresSession: true, duplicateWindowMs, maxDeliveryCount: commandDeliveriesMax };
  return {
    queues: [
      ...serviceNames.map((service) => ({ name: `commands-${service}`, settings: commands })),
      { name: "commands-*", settings: commands },
      { name: "reports", settings: { ...azureDefaults, requiresSession: true } },
      { name: "replies", settings: azureDefaults },
      { name: "replies-*", settings: azureDefaults },
      { name: "requests", settings: { ...azureDefaults, duplicateWindowMs, deadLetterOnExpiry: true } },
    ],
    topics: [
      {
        name: "events",
        defaultTimeToLiveMs: Infinity,
        duplicateWindowMs: 0,
        subscriptions: [{ name: "all", settings: azureDefaults, rules: [] }],
      },
    ],
  };
}
