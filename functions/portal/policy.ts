import { type PageSettings } from "./page-settings.ts";

/**
 * The content security policy of the page: everything from its own server, except that it may talk to the sign-in
 * service where there is one. Styles come from files and from the component library's style elements, which carry the
 * nonce of the answer; no script is inline.
 */
export function contentSecurityPolicy(settings: PageSettings, nonce: string): string {
  const signIn = settings.authority ? ` ${new URL(settings.authority).origin}` : "";
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self'",
    "font-src 'self'",
    `connect-src 'self'${signIn}`,
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
