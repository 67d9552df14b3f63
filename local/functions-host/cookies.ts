import { type RpcHttpCookie } from "./core-types.ts";

const sameSiteNames: Readonly<Record<string, string>> = { lax: "Lax", strict: "Strict", explicitnone: "None" };

/** A cookie of a response as a `set-cookie` header. */
export function toSetCookie({
  name = "",
  value = "",
  domain,
  path,
  expires,
  secure,
  httpOnly,
  sameSite = "",
  maxAge,
}: RpcHttpCookie): string {
  const parts = [`${name}=${encodeURIComponent(value)}`];
  if (maxAge?.value !== undefined) parts.push(`max-age=${Math.trunc(maxAge.value)}`);
  if (domain?.value) parts.push(`domain=${domain.value}`);
  parts.push(`path=${path?.value ?? "/"}`);
  if (expires?.value) parts.push(`expires=${new Date(expires.value.seconds * 1_000).toUTCString()}`);
  if (secure?.value) parts.push("secure");
  if (httpOnly?.value) parts.push("httponly");
  const site = sameSiteNames[sameSite.toLowerCase()];
  if (site !== undefined) parts.push(`samesite=${site}`);
  return parts.join("; ");
}
