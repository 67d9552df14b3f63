/** A host name or address with an optional port; nothing that could end the authority of a URL. */
const HOST = /^[A-Za-z0-9.-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/;
const PREFIX = /^(\/[A-Za-z0-9._~-]+)+\/?$/;

const first = (header: string | null): string | undefined => header?.split(",")[0]?.trim() || undefined;
const matching = (text: string | undefined, pattern: RegExp): string | undefined => (text && pattern.test(text) ? text : undefined);

/**
 * The address by which the caller reached us, up to where our own paths begin: scheme, host and prefix, without a slash at
 * the end. Proxies say what they hide in `x-forwarded-proto`, `-host` and `-prefix`.
 */
export function publicBase(url: URL, headers: Headers): string {
  const scheme = matching(first(headers.get("x-forwarded-proto")), /^https?$/) ?? url.protocol.replace(":", "");
  const host = matching(first(headers.get("x-forwarded-host")), HOST) ?? matching(first(headers.get("host")), HOST) ?? url.host;
  const prefix = matching(first(headers.get("x-forwarded-prefix")), PREFIX)?.replace(/\/$/, "") ?? prefixOf(url.pathname);
  return `${scheme}://${host}${prefix}`;
}

/** What stands before `/subscriptions/` or `/providers/` in the path. */
function prefixOf(pathname: string): string {
  const start = pathname.search(/\/(subscriptions|providers)\//i);
  return start > 0 ? pathname.slice(0, start) : "";
}

/** The path as our own routes know it, without a prefix in front. */
export const ownPath = (url: URL): string => url.pathname.slice(prefixOf(url.pathname).length);
