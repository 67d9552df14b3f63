import { z } from "zod";
import { optionalText } from "../contracts/environment.ts";
import { type WarningLevels } from "./events/report-events.ts";

/** Everything that the control plane takes from its environment, read once. */
export interface Config {
  readonly tables: { readonly connectionString: string } | { readonly endpoint: string };
  readonly serviceBus: { readonly connectionString: string } | { readonly namespace: string };
  readonly secrets: { readonly dir: string } | { readonly vaultUri: string };
  readonly auth: { readonly mode: "none" } | EntraAuth;
  readonly eventsTopic: string;
  readonly levels: WarningLevels;
  /** Address of the REST API as the platform names it. */
  readonly publicUrl: string;
  /** Client id of the user-assigned identity; empty: the identity that the environment offers. */
  readonly identityClientId: string | undefined;
}

export interface EntraAuth {
  readonly mode: "entra";
  readonly tenantId: string;
  readonly audiences: readonly string[];
  readonly issuer: string;
  readonly keysUrl: string;
}

const Environment = z.object({
  TablesConnection: optionalText,
  TABLES_ENDPOINT: optionalText,
  ServiceBusConnection: optionalText,
  ServiceBusConnection__fullyQualifiedNamespace: optionalText,
  SECRETS_FILE_DIR: optionalText,
  KEY_VAULT_URI: optionalText,
  AUTH_MODE: z.enum(["none", "entra"]).default("entra"),
  AUTH_TENANT_ID: optionalText,
  AUTH_AUDIENCE: optionalText,
  AUTH_ISSUER: optionalText,
  AUTH_KEYS_URL: optionalText,
  AZURE_CLIENT_ID: optionalText,
  EVENTS_TOPIC: optionalText,
  LAG_WARNING_MINUTES: z.coerce.number().positive().default(15),
  WAL_WARNING_GIB: z.coerce.number().positive().default(50),
  WEBSITE_HOSTNAME: optionalText,
  WEBSITE_INSTANCE_ID: optionalText,
});
type Environment = z.infer<typeof Environment>;

/**
 * Reads the settings of the control plane.
 * @throws Error that names the setting that is missing or wrong.
 */
export function readConfig(environment: NodeJS.ProcessEnv): Config {
  const parsed = Environment.safeParse(environment);
  if (!parsed.success) throw new Error(`settings of the control plane: ${z.prettifyError(parsed.error)}`);
  const env = parsed.data;
  return {
    tables: either(
      env,
      "TablesConnection",
      "TABLES_ENDPOINT",
      (connectionString) => ({ connectionString }),
      (endpoint) => ({ endpoint }),
    ),
    serviceBus: either(
      env,
      "ServiceBusConnection",
      "ServiceBusConnection__fullyQualifiedNamespace",
      (connectionString) => ({ connectionString }),
      (namespace) => ({ namespace }),
    ),
    secrets: either(
      env,
      "SECRETS_FILE_DIR",
      "KEY_VAULT_URI",
      (dir) => ({ dir }),
      (vaultUri) => ({ vaultUri }),
    ),
    auth: readAuth(env),
    eventsTopic: env.EVENTS_TOPIC ?? "events",
    levels: { lagSeconds: env.LAG_WARNING_MINUTES * 60, walHeldBytes: env.WAL_WARNING_GIB * GIB },
    publicUrl: env.WEBSITE_HOSTNAME === undefined ? "http://localhost" : `https://${env.WEBSITE_HOSTNAME}`,
    identityClientId: env.AZURE_CLIENT_ID,
  };
}

const GIB = 1024 ** 3;

type TextSetting = Exclude<keyof Environment, "AUTH_MODE" | "LAG_WARNING_MINUTES" | "WAL_WARNING_GIB">;

/** The first of two settings that is there. */
function either<A, B>(env: Environment, first: TextSetting, second: TextSetting, a: (text: string) => A, b: (text: string) => B): A | B {
  const [one, other] = [env[first], env[second]];
  if (one !== undefined) return a(one);
  if (other !== undefined) return b(other);
  throw new Error(`settings of the control plane: set ${first} (or ${second})`);
}

/** Without a setting the API is closed, never open. */
function readAuth(env: Environment): Config["auth"] {
  if (env.AUTH_MODE === "none") {
    if (env.WEBSITE_INSTANCE_ID !== undefined) throw new Error("AUTH_MODE=none is for one machine only: on Azure set AUTH_MODE=entra");
    return { mode: "none" };
  }
  if (env.AUTH_TENANT_ID === undefined || env.AUTH_AUDIENCE === undefined)
    throw new Error("AUTH_MODE=entra needs AUTH_TENANT_ID and AUTH_AUDIENCE (several audiences: separated by commas)");
  const authority = `https://login.microsoftonline.com/${env.AUTH_TENANT_ID}`;
  return {
    mode: "entra",
    tenantId: env.AUTH_TENANT_ID,
    audiences: env.AUTH_AUDIENCE.split(",").map((audience) => audience.trim()),
    issuer: env.AUTH_ISSUER ?? `${authority}/v2.0`,
    keysUrl: env.AUTH_KEYS_URL ?? `${authority}/discovery/v2.0/keys`,
  };
}
