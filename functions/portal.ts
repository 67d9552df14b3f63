import { randomBytes } from "node:crypto";
import { type HttpRequest, type HttpResponseInit } from "@azure/functions";
import { openPageFiles, type PageFile } from "./portal/files.ts";
import { readPageSettings, type PageSettings } from "./portal/page-settings.ts";
import { contentSecurityPolicy } from "./portal/policy.ts";

/** The page and everything below it; the slash at the end may be missing. */
export const PORTAL_ROUTE = "portal/{*file}";

/** Where `npm run build:portal` puts the page, below the app's root, which is the working directory of a function app. */
const defaultFolder = "dist/portal";

/**
 * The page as the environment wants it. It is served to anyone: it holds no data, and what it asks the API for is
 * checked there.
 */
export const portalOf = (environment: NodeJS.ProcessEnv): PortalHandler =>
  portalHandler(readPageSettings(environment), environment["PORTAL_FOLDER"] ?? defaultFolder);

export type PortalHandler = (request: Pick<HttpRequest, "url" | "headers">) => Promise<HttpResponseInit>;

/** Makes the handler of everything below `portal`. */
export function portalHandler(settings: PageSettings, folder: string): PortalHandler {
  const find = openPageFiles(folder);
  return async (request) => {
    const path = new URL(request.url).pathname;
    // Addresses inside the page are relative to its folder. This one is relative as well: the prefix may not be known here.
    if (/\/portal$/i.test(path)) return { status: 308, headers: { ...always, location: "portal/", "cache-control": "no-store" } };
    const name = path.slice(path.toLowerCase().lastIndexOf("/portal/") + "/portal/".length);
    if (name === "config.json") return configAnswer(settings);
    const isPage = name === "" || name === "index.html";
    const file = await find(isPage ? "index.html" : name, isPage ? "" : (request.headers.get("accept-encoding") ?? ""));
    if (!file) return isPage ? notBuilt(folder) : { status: 404, headers: { ...always, "cache-control": "no-store" } };
    return isPage ? pageAnswer(file, settings) : fileAnswer(file, name);
  };
}

const always = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin" };

/** Each answer has a nonce of its own, so the page itself is never kept by anyone. */
function pageAnswer({ content, type }: PageFile, settings: PageSettings): HttpResponseInit {
  const nonce = randomBytes(16).toString("base64");
  return {
    status: 200,
    headers: {
      ...always,
      "content-type": type,
      "cache-control": "no-store",
      "content-security-policy": contentSecurityPolicy(settings, nonce),
    },
    body: content.toString("utf8").replaceAll("%STYLE_NONCE%", nonce),
  };
}

/** What the build named by its content may be kept for ever; the rest is asked for again. */
function fileAnswer({ content, type, encoding }: PageFile, name: string): HttpResponseInit {
  return {
    status: 200,
    headers: {
      ...always,
      "content-type": type,
      "cache-control": name.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache",
      vary: "accept-encoding",
      ...(encoding ? { "content-encoding": encoding } : {}),
    },
    body: content,
  };
}

const configAnswer = (settings: PageSettings): HttpResponseInit => ({
  status: 200,
  headers: { ...always, "cache-control": "no-store" },
  jsonBody: settings,
});

const notBuilt = (folder: string): HttpResponseInit => ({
  status: 404,
  headers: { ...always, "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
  body: `The page is not built: there is no ${folder}. Run npm run build:portal.`,
});
