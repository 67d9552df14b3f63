/**
 * What the page asks of the server that serves it, once, before anything else: `GET config.json` beside the page. The
 * server's side of it is functions/portal.ts.
 */
export interface PortalConfig {
  readonly authMode: "none" | "entra";
  /** Set with `entra`: the app registration of the API, and where to sign in. */
  readonly clientId?: string;
  readonly authority?: string;
  readonly scope?: string;
  /** Where the services live; the user may look elsewhere. */
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly location: string;
  readonly softwareVersion?: string;
}

/** The folder that the page is served from, ending in `/portal/`. */
export const pageUrl = (): URL => new URL(".", window.location.href.replace(/[?#].*$/, ""));

/** The root of the REST API: what stands before `/portal/`, whatever prefix that is. */
export const apiUrl = (): URL => new URL("..", pageUrl());

/**
 * @throws Error when the server gives no configuration: nothing can be done without.
 */
export async function readConfig(): Promise<PortalConfig> {
  const response = await fetch(new URL("config.json", pageUrl()), { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  return (await response.json()) as PortalConfig;
}
