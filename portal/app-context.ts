import { createContext, useContext } from "react";
import type { ApiClient } from "./api/client.ts";
import type { Session } from "./auth/session.ts";
import type { PortalConfig } from "./config.ts";
import type { Appearance } from "./theme.ts";

/** Where the page looks for services: the user's choice, at first the server's own place. */
export interface Scope {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
}

export interface AppState {
  readonly api: ApiClient;
  readonly session: Session;
  readonly config: PortalConfig;
  readonly scope: Scope;
  readonly setScope: (scope: Scope) => void;
  readonly appearance: Appearance;
  readonly setAppearance: (appearance: Appearance) => void;
}

export const AppContext = createContext<AppState | undefined>(undefined);

export function useApp(): AppState {
  const app = useContext(AppContext);
  if (!app) throw new Error("useApp needs the app around it");
  return app;
}
