import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT, type JWTPayload } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { readConfig, type EntraAuth } from "../../functions/config.ts";
import { openAuth, type Authorize } from "../../functions/http/auth.ts";

const tenantId = "99999999-2222-3333-4444-555555555555";
const auth: EntraAuth = {
  mode: "entra",
  tenantId,
  audiences: ["client-id", "api://client-id"],
  issuer: `https://login.microsoftonline.com/${tenantId}/v2.0`,
  keysUrl: "https://unused.example.net",
};
const url = new URL("https://pgdms.example.net/subscriptions/x");

describe("with Entra", () => {
  let keys: Awaited<ReturnType<typeof generateKeyPair>>;
  let authorize: Authorize;
  beforeAll(async () => {
    keys = await generateKeyPair("RS256");
    authorize = openAuth(auth, createLocalJWKSet({ keys: [{ ...(await exportJWK(keys.publicKey)), alg: "RS256", kid: "one" }] }));
  });

  interface Claims {
    readonly payload?: JWTPayload;
    readonly issuer?: string;
    readonly audience?: string;
    readonly expires?: string;
  }
  const token = ({ payload = {}, issuer = auth.issuer, audience = "client-id", expires = "5m" }: Claims): Promise<string> =>
    new SignJWT({ tid: tenantId, ...payload })
      .setProtectedHeader({ alg: "RS256", kid: "one" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setExpirationTime(expires)
      .sign(keys.privateKey);
  const ask = async (claims: Claims, right: "Migration.Read" | "Migration.Write"): Promise<void> =>
    authorize(url, new Headers({ authorization: `Bearer ${await token(claims)}` }), right);

  test("a reader reads, a writer reads and writes, by app role or by scope", async () => {
    await ask({ payload: { roles: ["Migration.Read"] } }, "Migration.Read");
    await ask({ payload: { roles: ["Migration.Write"] }, audience: "api://client-id" }, "Migration.Read");
    await ask({ payload: { scp: "openid Migration.Write" } }, "Migration.Write");
    await expect(ask({ payload: { roles: ["Migration.Read"] } }, "Migration.Write")).rejects.toMatchObject({ kind: "Forbidden" });
    await expect(ask({ payload: { roles: ["Other"], scp: "Other" } }, "Migration.Read")).rejects.toMatchObject({ kind: "Forbidden" });
  });

  test.each<[string, Claims]>([
    ["another issuer", { issuer: "https://sts.windows.net/other/" }],
    ["another audience", { audience: "another" }],
    ["an end in the past", { expires: "-5m" }],
    ["another tenant", { payload: { tid: "other" } }],
  ])("a token of %s is no token", async (_, claims) => {
    const roles = { roles: ["Migration.Write"], ...claims.payload };
    await expect(ask({ ...claims, payload: roles }, "Migration.Read")).rejects.toMatchObject({ kind: "Unauthorized" });
  });

  test.each([
    ["no token", {}],
    ["garbage", { authorization: "Bearer a.b.c" }],
    ["another scheme", { authorization: "Basic YTpi" }],
    ["a principal header", { "x-ms-client-principal": "e30=" }],
  ])("%s is refused", async (_, headers) => {
    await expect(authorize(url, new Headers(headers as Record<string, string>), "Migration.Read")).rejects.toMatchObject({
      kind: "Unauthorized",
    });
  });

  test("a token that signs itself with no key, or with the public one, is refused", async () => {
    const unsigned = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(JSON.stringify({ tid: tenantId, roles: ["Migration.Write"] })).toString("base64url")}.`;
    await expect(authorize(url, new Headers({ authorization: `Bearer ${unsigned}` }), "Migration.Read")).rejects.toMatchObject({
      kind: "Unauthorized",
    });
  });

  test("the health probe needs none", async () => {
    await authorize(url, new Headers(), "anyone");
  });
});

describe("without authentication", () => {
  const authorize = openAuth({ mode: "none" });
  const ask = (address: string, headers: Record<string, string> = {}): Promise<void> =>
    authorize(new URL(address), new Headers(headers), "Migration.Write");

  test("this machine may ask, whatever it calls itself", async () => {
    for (const host of ["127.0.0.1:7071", "localhost:7071", "[::1]:7071", "pgdms.localhost"])
      await ask(`http://${host}/subscriptions/x`, { host });
  });

  test.each<[string, Record<string, string>]>([
    ["http://192.168.0.7:7071/x", {}],
    ["http://localhost/x", { host: "attacker.example.net" }],
    ["http://localhost/x", { origin: "https://attacker.example.net" }],
    ["http://localhost/x", { origin: "null" }],
    ["http://localhost.attacker.example.net/x", {}],
  ])("%s with %o may not", async (address, headers) => {
    await expect(ask(address, headers)).rejects.toMatchObject({ kind: "Forbidden" });
  });
});

describe("the configuration", () => {
  const base = { TablesConnection: "t", ServiceBusConnection: "s", SECRETS_FILE_DIR: "d" };

  test("is closed when nothing is said, and never open on Azure", () => {
    expect(() => readConfig(base)).toThrow("AUTH_MODE=entra needs AUTH_TENANT_ID");
    expect(() => readConfig({ ...base, AUTH_MODE: "none", WEBSITE_INSTANCE_ID: "abc" })).toThrow("on Azure set AUTH_MODE=entra");
    expect(() => readConfig({ ...base, AUTH_MODE: "open" })).toThrow("AUTH_MODE");
    expect(readConfig({ ...base, AUTH_MODE: "none" }).auth).toEqual({ mode: "none" });
  });

  test("takes the settings of Azure, and names what is missing", () => {
    const azure = {
      TABLES_ENDPOINT: "https://a.table.core.windows.net",
      ServiceBusConnection__fullyQualifiedNamespace: "a.servicebus.windows.net",
      KEY_VAULT_URI: "https://a.vault.azure.net",
      AUTH_TENANT_ID: tenantId,
      AUTH_AUDIENCE: "one, two",
    };
    expect(readConfig(azure)).toMatchObject({
      tables: { endpoint: azure.TABLES_ENDPOINT },
      serviceBus: { namespace: "a.servicebus.windows.net" },
      secrets: { vaultUri: "https://a.vault.azure.net" },
      auth: { issuer: auth.issuer, audiences: ["one", "two"] },
    });
    expect(() => readConfig({ AUTH_MODE: "none" })).toThrow("set TablesConnection (or TABLES_ENDPOINT)");
  });
});
