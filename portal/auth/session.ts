import type { PortalConfig } from "../config.ts";

/** Who uses the page, and how the API gets to know it. */
export interface Session {
  /** Name to show; undefined where nobody signs in (one machine). */
  readonly userName: string | undefined;
  /** The value of the Authorization header of the next request, or undefined for none. */
  authorization(): Promise<string | undefined>;
  signOut(): Promise<void>;
}

export type SessionState =
  | { readonly kind: "signedIn"; readonly session: Session }
  | { readonly kind: "signedOut"; readonly signIn: () => Promise<void>; readonly problem?: string };

const localSession: Session = {
  userName: undefined,
  authorization: () => Promise.resolve(undefined),
  signOut: () => Promise.resolve(),
};

/** Opens the session that the server asks for. The sign-in library is loaded only where it is used. */
export async function openSession(config: PortalConfig): Promise<SessionState> {
  if (config.authMode === "none") return { kind: "signedIn", session: localSession };
  const { openEntraSession } = await import("./entra.ts");
  return openEntraSession(config);
}
