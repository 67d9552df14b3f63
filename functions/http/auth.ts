import { createRemoteJWKSet, errors as joseErrors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from "jose";
import { type Config, type EntraAuth } from "../config.ts";
import { ApiError } from "./api-error.ts";
import { type Right } from "./endpoint.ts";

/**
 * Lets a request through or throws.
 * @throws ApiError 401 when the caller is not known, 403 when the caller may not do this
 */
export type Authorize = (url: URL, headers: Headers, right: Right) => Promise<void>;

const CLOCK_TOLERANCE_S = 60;

/** @param keys the tenant's signing keys; default: fetched from the tenant, and kept */
export function openAuth(auth: Config["auth"], keys?: JWTVerifyGetKey): Authorize {
  if (auth.mode === "none") return loopbackOnly;
  const signingKeys = keys ?? createRemoteJWKSet(new URL(auth.keysUrl));
  return async (_url, headers, right) => {
    if (right === "anyone") return;
    requireRight(await verified(auth, signingKeys, headers), right);
  };
}

/** Without authentication only this machine may ask: not the network, and not a web page from elsewhere in this machine's browser. */
function loopbackOnly(url: URL, headers: Headers): Promise<void> {
  const origin = headers.get("origin");
  const hosts = [url.hostname, hostnameOf(headers.get("host")), origin === null ? undefined : hostnameOf(origin)];
  for (const host of hosts) {
    if (host !== undefined && !isLoopback(host))
      return Promise.reject(
        new ApiError("Forbidden", {
          detail: `AUTH_MODE is none, and the request comes by way of ${host}.`,
          remedy: "Call 127.0.0.1 or localhost, or set AUTH_MODE=entra.",
        }),
      );
  }
  return Promise.resolve();
}

/** The host in a Host header or an origin; the text itself (never loopback) when it is neither. */
function hostnameOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const url = text.includes("://") ? text : `http://${text}`;
  return URL.canParse(url) ? new URL(url).hostname : text;
}

const isLoopback = (hostname: string): boolean => /^(localhost|([a-z0-9-]+\.)+localhost|127(\.\d{1,3}){3}|\[::1\])$/i.test(hostname);

async function verified(auth: EntraAuth, keys: JWTVerifyGetKey, headers: Headers): Promise<JWTPayload> {
  const token = /^Bearer\s+(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (token === undefined) throw new ApiError("Unauthorized", { detail: "There is no bearer token." });
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: auth.issuer,
      audience: [...auth.audiences],
      algorithms: ["RS256"],
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ["exp", "iss", "aud"],
    });
    if (payload["tid"] !== auth.tenantId) throw new ApiError("Unauthorized", { detail: "The token is of another tenant." });
    return payload;
  } catch (error) {
    if (error instanceof joseErrors.JOSEError) throw new ApiError("Unauthorized", { detail: `The token was refused (${error.code}).` });
    throw error;
  }
}

/** App roles of the token, and for a token that a person's application got, its scopes. Who may write may read. */
function requireRight(payload: JWTPayload, right: Right): void {
  const roles: unknown[] = Array.isArray(payload["roles"]) ? payload["roles"] : [];
  const scopes = typeof payload["scp"] === "string" ? payload["scp"].split(" ") : [];
  const rights = [...roles, ...scopes];
  if (rights.includes("Migration.Write") || rights.includes(right)) return;
  throw new ApiError("Forbidden", { detail: `It needs the app role ${right}.` });
}
