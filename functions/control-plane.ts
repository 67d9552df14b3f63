import { type TokenCredential } from "@azure/identity";
import { azureIdentity } from "../contracts/identity.ts";
import { openBus, type Bus } from "./bus/bus.ts";
import { type Config } from "./config.ts";
import { openSecrets, type SecretStore } from "./secrets/secret-store.ts";
import { type WarningLevels } from "./events/report-events.ts";
import { openStore, type Store } from "./store/store.ts";

/** What every operation works with. */
export interface ControlPlane {
  readonly store: Store;
  readonly bus: Bus;
  readonly secrets: SecretStore;
  readonly now: () => Date;
  /** From here on a figure of a database is told as a warning. */
  readonly levels: WarningLevels;
  /** Address of the REST API, for links in answers to requests that did not come by HTTP. */
  readonly publicUrl: string;
}

/** Opens the outside world as the configuration says. Nothing connects before it is used. */
export function openControlPlane(config: Config): ControlPlane {
  let identity: TokenCredential | undefined;
  const credential = (): TokenCredential => (identity ??= azureIdentity(config.identityClientId));
  return {
    store: openStore(config.tables, credential),
    bus: openBus(config.serviceBus, config.eventsTopic, credential),
    secrets: openSecrets(config.secrets, credential),
    now: () => new Date(),
    levels: config.levels,
    publicUrl: config.publicUrl,
  };
}
