import {
  CacheLookupPolicy,
  createStandardPublicClientApplication,
  InteractionRequiredAuthError,
  type AccountInfo,
  type IPublicClientApplication,
} from "@azure/msal-browser";
import { pageUrl, type PortalConfig } from "../config.ts";
import type { SessionState } from "./session.ts";

/**
 * Signs in with Entra by leaving the page and coming back. No hidden frame takes part: the page forbids being framed, so
 * a token that can no longer be refreshed leads to the sign-in page instead.
 */
export async function openEntraSession(config: PortalConfig): Promise<SessionState> {
  if (!config.clientId || !config.authority) throw new Error("config.json names no clientId or authority");
  const application = await createStandardPublicClientApplication({
    auth: { clientId: config.clientId, authority: config.authority, redirectUri: pageUrl().href },
    cache: { cacheLocation: "sessionStorage" },
  });
  const scopes = [config.scope ?? `${config.clientId}/.default`];
  const signIn = () => application.loginRedirect({ scopes });
  try {
    const answer = await application.handleRedirectPromise();
    const account = answer?.account ?? application.getAllAccounts()[0];
    return account ? signedIn(application, account, scopes) : { kind: "signedOut", signIn };
  } catch (error) {
    return { kind: "signedOut", signIn, problem: error instanceof Error ? error.message : String(error) };
  }
}

function signedIn(application: IPublicClientApplication, account: AccountInfo, scopes: string[]): SessionState {
  const authorization = async () => {
    try {
      const { accessToken } = await application.acquireTokenSilent({
        account,
        scopes,
        cacheLookupPolicy: CacheLookupPolicy.AccessTokenAndRefreshToken,
      });
      return `Bearer ${accessToken}`;
    } catch (error) {
      if (error instanceof InteractionRequiredAuthError) await application.acquireTokenRedirect({ account, scopes });
      throw error;
    }
  };
  const signOut = () => application.logoutRedirect({ account });
  return { kind: "signedIn", session: { userName: account.username, authorization, signOut } };
}
