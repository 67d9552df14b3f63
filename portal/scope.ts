import type { Scope } from "./app-context.ts";
import type { PortalConfig } from "./config.ts";

const storageKey = "pgdms.scope";

/** Where the user looked the last time; the server's own place until then. */
export function storedScope(config: PortalConfig): Scope {
  const own = { subscriptionId: config.subscriptionId, resourceGroup: config.resourceGroup };
  const stored = localStorage.getItem(storageKey);
  if (stored === null) return own;
  try {
    const { subscriptionId, resourceGroup } = JSON.parse(stored) as Partial<Scope>;
    return { subscriptionId: subscriptionId || own.subscriptionId, resourceGroup: resourceGroup || own.resourceGroup };
  } catch {
    return own;
  }
}

export const storeScope = (scope: Scope): void => localStorage.setItem(storageKey, JSON.stringify(scope));
