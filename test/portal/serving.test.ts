import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { readdir } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { portalHandler, type PortalHandler } from "../../functions/portal.ts";
import { readPageSettings } from "../../functions/portal/page-settings.ts";
import { builtPortal } from "./built-portal.ts";

let folder: string;
let script: string;
let handle: PortalHandler;

const settings = { authMode: "none", subscriptionId: "s", resourceGroup: "g", location: "l" } as const;

beforeAll(async () => {
  folder = await builtPortal();
  script = (await readdir(`${folder}/assets`)).find((name) => /^index-.*\.js$/.test(name)) ?? "";
  handle = portalHandler(settings, folder);
}, 120_000);

async function get(path: string, acceptEncoding = "") {
  const answer = await handle({ url: `http://127.0.0.1${path}`, headers: new Headers({ "accept-encoding": acceptEncoding }) });
  return {
    status: answer.status,
    headers: answer.headers as Record<string, string>,
    body: answer.body as string | Buffer,
    json: answer.jsonBody as unknown,
  };
}

test("the address without a slash leads to the folder, below any prefix", async () => {
  const { status, headers } = await get("/gateway/dms/portal");
  expect(status).toBe(308);
  expect(new URL(headers["location"] ?? "", "http://host/gateway/dms/portal").pathname).toBe("/gateway/dms/portal/");
});

test("the page has a policy without inline scripts, and a nonce that no two answers share", async () => {
  const [one, two] = [await get("/portal/"), await get("/portal/index.html")];
  const nonce = /'nonce-([^']+)'/.exec(one.headers["content-security-policy"] ?? "")?.[1] ?? "";
  expect(one.headers).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  expect(one.headers["content-security-policy"]).toContain("script-src 'self';");
  expect(one.headers["content-security-policy"]).not.toContain("unsafe");
  expect(String(one.body)).toContain(`content="${nonce}"`);
  expect(String(one.body)).not.toMatch(/<script(?![^>]*src=)/);
  expect(String(two.body)).not.toContain(nonce);
});

test("files named by their content are kept for ever and sent compressed to whoever takes that", async () => {
  const plain = await get(`/portal/assets/${script}`);
  const brotli = await get(`/portal/assets/${script}`, "gzip, deflate, br");
  const gzip = await get(`/portal/assets/${script}`, "gzip, br;q=0");
  expect(plain.headers).toMatchObject({
    "content-type": "text/javascript; charset=utf-8",
    "cache-control": "public, max-age=31536000, immutable",
  });
  expect([plain.headers["content-encoding"], brotli.headers["content-encoding"], gzip.headers["content-encoding"]]).toEqual([
    undefined,
    "br",
    "gzip",
  ]);
  expect(brotliDecompressSync(brotli.body).equals(plain.body as Buffer)).toBe(true);
  expect(gunzipSync(gzip.body).equals(plain.body as Buffer)).toBe(true);
});

test.each([
  "/portal/assets/../../package.json",
  "/portal/..%2f..%2fpackage.json",
  "/portal/assets/none.js",
  "/portal/.env",
  "/portal/package.json",
  "/portal/assets/",
])("%s is not served", async (path) => {
  expect((await get(path)).status).toBe(404);
});

test("config.json names the mode and where the services are, and is asked for each time", async () => {
  const { headers, json } = await get("/portal/config.json");
  expect(json).toEqual(settings);
  expect(headers["cache-control"]).toBe("no-store");
});

test("a page that was not built says what to run", async () => {
  handle = portalHandler(settings, "/nowhere");
  const { status, body } = await get("/portal/");
  handle = portalHandler(settings, folder);
  expect(status).toBe(404);
  expect(body).toContain("npm run build:portal");
});

test("with Entra the page signs in as the API's own registration unless it is told another", () => {
  const environment = { AUTH_MODE: "entra", AUTH_TENANT_ID: "contoso", AUTH_AUDIENCE: "api://11111111-2222-3333-4444-555555555555,second" };
  expect(
    readPageSettings({
      ...environment,
      WEBSITE_OWNER_NAME: "sub-1+rg-westeuropewebspace-Linux",
      WEBSITE_RESOURCE_GROUP: "rg",
      REGION_NAME: "West Europe",
    }),
  ).toEqual({
    authMode: "entra",
    clientId: "11111111-2222-3333-4444-555555555555",
    tenantId: "contoso",
    authority: "https://login.microsoftonline.com/contoso",
    scope: "11111111-2222-3333-4444-555555555555/.default",
    subscriptionId: "sub-1",
    resourceGroup: "rg",
    location: "westeurope",
  });
  expect(readPageSettings({ ...environment, PORTAL_CLIENT_ID: "other" })).toMatchObject({
    clientId: "other",
    scope: "api://11111111-2222-3333-4444-555555555555/.default",
  });
});

test("the policy lets the page talk to the sign-in service, and only where there is one", async () => {
  handle = portalHandler({ ...settings, authMode: "entra", authority: "https://login.microsoftonline.com/contoso" }, folder);
  const { headers } = await get("/portal/");
  handle = portalHandler(settings, folder);
  expect(headers["content-security-policy"]).toContain("connect-src 'self' https://login.microsoftonline.com;");
  expect((await get("/portal/")).headers["content-security-policy"]).toContain("connect-src 'self';");
});
