import { z } from "zod";
import { optionalText } from "../../contracts/environment.ts";

/** What the page asks for before anything else, at `portal/config.json`. Holds nothing that is secret. */
export interface PageSettings {
  readonly authMode: "none" | "entra";
  readonly clientId?: string;
  readonly tenantId?: string;
  readonly authority?: string;
  readonly scope?: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly location: string;
}

const Environment = z.object({
  AUTH_MODE: z.enum(["none", "entra"]).default("entra"),
  AUTH_TENANT_ID: optionalText,
  AUTH_AUDIENCE: optionalText,
  PORTAL_CLIENT_ID: optionalText,
  PORTAL_SCOPE: optionalText,
  PORTAL_AUTHORITY: optionalText,
  PORTAL_SUBSCRIPTION_ID: optionalText,
  PORTAL_RESOURCE_GROUP: optionalText,
  PORTAL_LOCATION: optionalText,
  WEBSITE_OWNER_NAME: optionalText,
  WEBSITE_RESOURCE_GROUP: optionalText,
  REGION_NAME: optionalText,
});

/** On one machine the page needs a subscription to speak of; any will do. */
const localSubscriptionId = "00000000-0000-0000-0000-000000000000";

/**
 * Reads what the page has to know from the function app's settings. On Azure the platform itself says in which
 * subscription, group and region the app runs (WEBSITE_OWNER_NAME begins with the subscription's id).
 * @throws ZodError that names the setting that is wrong
 */
export function readPageSettings(environment: NodeJS.ProcessEnv): PageSettings {
  const env = Environment.parse(environment);
  return {
    authMode: env.AUTH_MODE,
    ...(env.AUTH_MODE === "entra" ? signInOf(env) : {}),
    subscriptionId: env.PORTAL_SUBSCRIPTION_ID ?? env.WEBSITE_OWNER_NAME?.split("+")[0] ?? localSubscriptionId,
    resourceGroup: env.PORTAL_RESOURCE_GROUP ?? env.WEBSITE_RESOURCE_GROUP ?? "local",
    location: env.PORTAL_LOCATION ?? env.REGION_NAME?.toLowerCase().replaceAll(" ", "") ?? "local",
  };
}

/** Where the page signs in: by default as the app registration that the API itself is. */
function signInOf(env: z.infer<typeof Environment>): Partial<PageSettings> {
  const audience = env.AUTH_AUDIENCE?.split(",")[0]?.trim();
  const clientId = env.PORTAL_CLIENT_ID ?? audience?.replace(/^api:\/\//, "");
  const tenantId = env.AUTH_TENANT_ID;
  const authority = env.PORTAL_AUTHORITY ?? (tenantId && `https://login.microsoftonline.com/${tenantId}`);
  // Entra gives an application a token for itself only by its id: with its address it answers AADSTS90009.
  const resource = env.PORTAL_CLIENT_ID === undefined ? clientId : audience;
  const scope = env.PORTAL_SCOPE ?? (resource && `${resource}/.default`);
  return {
    ...(clientId ? { clientId } : {}),
    ...(tenantId ? { tenantId } : {}),
    ...(authority ? { authority } : {}),
    ...(scope ? { scope } : {}),
  };
}
