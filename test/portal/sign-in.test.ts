import { generateKeyPairSync } from "node:crypto";
import { SignJWT } from "jose";
import { type BrowserContext, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtPortal } from "./built-portal.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import { startScriptedService, type ScriptedService } from "./scripted/service.ts";

// Signing in with Entra: the library and the page are real, the authority is played by the test.

const tenant = "11111111-2222-3333-4444-555555555555";
const clientId = "22222222-3333-4444-5555-666666666666";
const authority = `https://login.microsoftonline.com/${tenant}`;
const scope = `${clientId}/.default`;

let browser: Browser;
let service: ScriptedService;

beforeAll(async () => {
  const folder = await builtPortal();
  [browser, service] = await Promise.all([
    startBrowser(),
    startScriptedService({ folder, settings: { authMode: "entra", clientId, tenantId: tenant, authority, scope } }),
  ]);
}, 180_000);
afterAll(async () => {
  await Promise.allSettled([browser?.close(), service?.close()]);
});

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** What the authority was asked for. */
interface Asked {
  authorize?: URL;
  token?: URLSearchParams;
}

/** Plays the authority: says where its parts are, sends the user back with a code, and trades the code for tokens. */
async function playAuthority(context: BrowserContext): Promise<Asked> {
  const asked: Asked = {};
  const headers = { "access-control-allow-origin": "*", "access-control-allow-headers": "*" };
  await context.route("https://login.microsoftonline.com/**", async (route) => {
    const url = new URL(route.request().url());
    if (url.pathname.endsWith("/openid-configuration")) {
      const json = {
        issuer: `${authority}/v2.0`,
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
        token_endpoint: `${authority}/oauth2/v2.0/token`,
        end_session_endpoint: `${authority}/oauth2/v2.0/logout`,
        jwks_uri: `${authority}/keys`,
      };
      return route.fulfill({ json, headers });
    }
    if (url.pathname.endsWith("/authorize")) {
      asked.authorize = url;
      const back = new URL(url.searchParams.get("redirect_uri") ?? "");
      back.hash = new URLSearchParams({ code: "the-code", state: url.searchParams.get("state") ?? "", client_info: clientInfo }).toString();
      return route.fulfill({ status: 302, headers: { location: back.href } });
    }
    if (url.pathname.endsWith("/token")) {
      asked.token = new URLSearchParams(route.request().postData() ?? "");
      const id_token = await idToken(asked.authorize?.searchParams.get("nonce") ?? "");
      return route.fulfill({
        json: {
          token_type: "Bearer",
          scope,
          expires_in: 3600,
          access_token: "the-access-token",
          refresh_token: "r",
          id_token,
          client_info: clientInfo,
        },
        headers,
      });
    }
    return route.fulfill({ status: 404, headers });
  });
  return asked;
}

const clientInfo = Buffer.from(JSON.stringify({ uid: "user-1", utid: tenant })).toString("base64url");

const idToken = (nonce: string): Promise<string> =>
  new SignJWT({ nonce, tid: tenant, oid: "user-1", preferred_username: "ada@contoso.example", name: "Ada", ver: "2.0" })
    .setProtectedHeader({ alg: "RS256" })
    .setIssuer(`${authority}/v2.0`)
    .setAudience(clientId)
    .setSubject("user-1")
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(privateKey);

/** The Authorization headers that the page sends to the API. */
function watchApi(page: Page): string[] {
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/subscriptions/")) sent.push(request.headers()["authorization"] ?? "none");
  });
  return sent;
}

test("who is not signed in sees no data, and nothing is asked of the API", async () => {
  const page = await browser.context.newPage();
  const sent = watchApi(page);
  await page.goto(service.url);
  await page.getByText("Sign in to see your migrations").waitFor();
  expect(sent).toEqual([]);
  await page.close();
});

test("signing in leads to the tenant with PKCE and back to where one was, and every request carries the token", async () => {
  const page = await browser.context.newPage();
  const asked = await playAuthority(browser.context);
  const sent = watchApi(page);
  await page.goto(`${service.url}#/groups/rg-lists/services/dms-lists`);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("worker-7d9f-a").waitFor();
  expect(asked.authorize?.searchParams.get("client_id")).toBe(clientId);
  expect(asked.authorize?.searchParams.get("code_challenge_method")).toBe("S256");
  expect(asked.authorize?.searchParams.get("scope")).toContain(scope);
  expect(asked.authorize?.searchParams.get("redirect_uri")).toBe(service.url);
  expect(asked.token?.get("code_verifier")).toMatch(/.{40}/);
  expect(new Set(sent)).toEqual(new Set(["Bearer the-access-token"]));
  await page.getByRole("button", { name: "Signed in as ada@contoso.example" }).waitFor();
  await page.close();
});
