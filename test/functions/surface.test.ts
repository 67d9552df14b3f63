import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type NameCheck, type OperationStatus, type Page, type Project, type Service } from "../../contracts/wire.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import {
  connectBody,
  errorOf,
  GROUP,
  makeService,
  project,
  projectBody,
  provider,
  restOf,
  service,
  services,
  SUBSCRIPTION,
  task,
  VERSION,
  type Reply,
  type Rest,
} from "./fixtures/rest.ts";

let plane: Plane;
let rest: Rest;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  await makeService(rest, "dms-surface");
});
afterAll(() => plane.stop());

describe("services", () => {
  test("are made with 201 and Succeeded at once, changed with 200, and carry their etag in header and body", async () => {
    const body = {
      location: "westeurope",
      tags: { env: "dev" },
      sku: { name: "premium_4vcores" },
      properties: { virtualSubnetId: "/subnet" },
    };
    const made = await rest.put<Service>(service("dms-one"), body);
    expect(made.status).toBe(201);
    expect(made.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(made.headers.get("etag")).toBe(`"${made.body.etag}"`);
    expect(made.body).toEqual({
      id: service("dms-one"),
      name: "dms-one",
      type: "Microsoft.DataMigration/services",
      location: "westeurope",
      tags: { env: "dev" },
      kind: "Cloud",
      sku: { name: "Premium_4vCores", tier: "Premium", size: "4 vCores", family: "vCores" },
      etag: made.body.etag,
      properties: { provisioningState: "Succeeded", virtualSubnetId: "/subnet" },
    });
    const changed = await rest.put<Service>(service("dms-one"), { location: "westeurope" });
    expect(changed.status).toBe(200);
    expect(changed.body.etag).not.toBe(made.body.etag);
    const patched = await rest.send<Service>("PATCH", service("dms-one"), { tags: { env: "prod" } });
    expect(patched.body).toMatchObject({ tags: { env: "prod" }, location: "westeurope" });
  });

  test("names compare without regard to case and come back as first written", async () => {
    const path = `/SUBSCRIPTIONS/${SUBSCRIPTION}/resourcegroups/RG-LIST/providers/microsoft.datamigration/SERVICES/DMS-Surface`;
    const found = await rest.get<Service>(path);
    expect(found.body).toMatchObject({ id: service("dms-surface"), name: "dms-surface" });
    expect((await rest.put<Service>(path, { location: "x" })).body.id).toBe(service("dms-surface"));
    expect((await rest.get<Project>(`${path}/projects/PG-Online`)).body.id).toBe(project("dms-surface"));
  });

  test("are listed by group and by subscription without etag", async () => {
    const byGroup = await rest.get<Page<Service>>(services);
    expect(byGroup.body.value.map(({ name }) => name)).toContain("dms-surface");
    expect(byGroup.body.value.every((item) => !("etag" in item))).toBe(true);
    await rest.put(service("dms-other").replace(GROUP, "rg-other"), { location: "northeurope" });
    const all = await rest.get<Page<Service>>(`${provider}/services`);
    expect(all.body.value.map(({ name }) => name)).toEqual(expect.arrayContaining(["dms-surface", "dms-other"]));
    expect((await rest.get<Page<Service>>(services)).body.value.map(({ name }) => name)).not.toContain("dms-other");
  });

  test("stop and start answer 202 with absolute addresses of an operation that has succeeded, then 200", async () => {
    await makeService(rest, "dms-states");
    const stopped = await rest.post(`${service("dms-states")}/stop`);
    expect(stopped.status).toBe(202);
    expect(stopped.text).toBe("");
    const address = stopped.headers.get("azure-asyncoperation") ?? "";
    expect(address.startsWith(`${plane.url}/subscriptions/`)).toBe(true);
    expect((await rest.get<OperationStatus>(address)).body).toMatchObject({
      status: "Succeeded",
      name: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
    });
    expect((await rest.get(stopped.headers.get("location") ?? "")).status).toBe(200);
    expect((await rest.post(`${service("dms-states")}/checkStatus`)).body).toEqual({
      status: "Stopped",
      provisioningState: "Stopped",
      registeredWorker: false,
    });
    const put = await rest.put<Service>(service("dms-states"), { location: "westeurope" });
    expect(put.body.properties.provisioningState).toBe("Stopped");
    expect(put.headers.get("azure-asyncoperation")).toContain("/operationStatuses/");
    expect((await rest.post(`${service("dms-states")}/start`)).status).toBe(202);
    expect((await rest.post(`${service("dms-states")}/start`)).status).toBe(200);
    expect((await rest.get(`${provider}/locations/westeurope/operationStatuses/0d7a3c3e-5a0c-4c55-9f6a-5f0f4a7a1b01`)).status).toBe(404);
  });

  test("start and stop are guarded by If-Match", async () => {
    await makeService(rest, "dms-guarded");
    const { etag } = (await rest.get<Service>(service("dms-guarded"))).body;
    const stop = (tag: string): Promise<Reply> => rest.send("POST", `${service("dms-guarded")}/stop`, undefined, { "if-match": tag });
    expect((await stop('"other"')).status).toBe(412);
    expect((await stop(`"${etag}"`)).status).toBe(202);
    expect((await rest.send("POST", `${service("dms-guarded")}/start`, undefined, { "if-match": `"${etag}"` })).status).toBe(412);
  });

  test("a location that could not stand in an address is refused, and names the field", async () => {
    const reply = await rest.put(service("dms-nowhere"), { location: "\ud800" });
    expect(reply.status).toBe(400);
    expect(errorOf(reply).details).toMatchObject([{ target: "location" }]);
    expect((await rest.put(service("dms-nowhere"), { location: "West Europe" })).status).toBe(201);
  });

  test("delete answers 200, then 204", async () => {
    await makeService(rest, "dms-gone");
    expect((await rest.send("DELETE", service("dms-gone"))).status).toBe(200);
    expect((await rest.send("DELETE", service("dms-gone"))).status).toBe(204);
    const gone = await rest.get(service("dms-gone"));
    expect(gone.status).toBe(404);
    expect(errorOf(gone)).toMatchObject({
      code: "ResourceNotFound",
      message: expect.stringContaining(`under resource group '${GROUP}'`) as string,
    });
    expect((await rest.get(project("dms-gone"))).status).toBe(404);
  });

  test("say what they may be sized as, who they are, and how many there are", async () => {
    for (const path of [
      `${service("dms-surface")}/skus`,
      `${provider}/skus`,
      "/providers/Microsoft.DataMigration/operations",
      `${provider}/locations/westeurope/usages`,
    ]) {
      const reply = await rest.get<Page<object>>(path);
      expect(reply.status).toBe(200);
      expect(reply.body.value.length).toBeGreaterThan(0);
    }
  });
});

describe("projects", () => {
  test("take platforms in any spelling and never give a password back", async () => {
    const connection = {
      type: "PostgreSqlConnectionInfo",
      serverName: "h",
      port: 5432,
      userName: "u",
      password: "do-not-show",
      additionalSettings: "password=do-not-show",
    };
    const body = {
      ...projectBody,
      properties: { ...projectBody.properties, sourceConnectionInfo: connection, databasesInfo: [{ sourceDatabaseName: "listdb" }] },
    };
    const made = await rest.put<Project>(project("dms-surface", "full"), body);
    expect(made.status).toBe(201);
    expect(made.body.properties).toMatchObject({
      sourcePlatform: "PostgreSQL",
      targetPlatform: "AzureDbForPostgreSQL",
      provisioningState: "Succeeded",
      databasesInfo: [{ sourceDatabaseName: "listdb" }],
      sourceConnectionInfo: { serverName: "h", userName: "u" },
    });
    expect(made.body.properties.creationTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}\+00:00$/);
    for (const text of [made.text, (await rest.get(`${service("dms-surface")}/projects`)).text]) expect(text).not.toContain("do-not-show");
    const patched = await rest.send<Project>("PATCH", project("dms-surface", "full"), { tags: { a: "b" } });
    expect(patched.body).toMatchObject({
      tags: { a: "b" },
      properties: { creationTime: made.body.properties.creationTime, databasesInfo: [{ sourceDatabaseName: "listdb" }] },
    });
  });

  test("are refused for platforms that pgdms does not serve, with the one that it does", async () => {
    const reply = await rest.put(project("dms-surface", "mysql"), {
      location: "x",
      properties: { sourcePlatform: "MySQL", targetPlatform: "AzureDbForPostgreSql" },
    });
    expect(reply.status).toBe(400);
    expect(errorOf(reply).details).toMatchObject([
      { target: "properties.sourcePlatform", message: expect.stringContaining('give "PostgreSQL"') as string },
    ]);
  });

  test("are listed over several pages", async () => {
    await makeService(rest, "dms-pages");
    const names = Array.from({ length: 130 }, (_, index) => `project-${String(index).padStart(3, "0")}`);
    await Promise.all(names.map((name) => rest.put(project("dms-pages", name), projectBody)));
    const first = await rest.get<Page<Project>>(`${service("dms-pages")}/projects`);
    expect(first.body.value).toHaveLength(100);
    const second = await rest.get<Page<Project>>(first.body.nextLink ?? "");
    expect([...first.body.value, ...second.body.value].map(({ name }) => name)).toEqual(["pg-online", ...names]);
    expect(second.body.nextLink).toBeUndefined();
  });
});

describe("name checks", () => {
  const check = async (path: string, name: string, type: string): Promise<NameCheck> =>
    (await rest.post<NameCheck>(`${path}/checkNameAvailability`, { name, type })).body;

  test("know services, projects and tasks, the last also by the classic CLI's encoded address", async () => {
    await rest.put(task("dms-surface", "connect"), connectBody());
    const taken = { nameAvailable: false, reason: "AlreadyExists", message: "The resource name is already in use." };
    const location = `${provider}/locations/westeurope`;
    expect(await check(location, "DMS-surface", "services")).toEqual(taken);
    expect(await check(location, "free", "Microsoft.DataMigration/services")).toEqual({ nameAvailable: true });
    expect(await check(location, "-no", "services")).toMatchObject({ nameAvailable: false, reason: "Invalid" });
    expect(await check(service("dms-surface"), "pg-online", "projects")).toEqual(taken);
    expect(await check(service("dms-surface"), "free", "projects")).toEqual({ nameAvailable: true });
    for (const path of [
      `${service("dms-surface")}%2Fprojects%2Fpg-online`,
      `${service("dms-surface")}%2fprojects%2fpg-online`,
      project("dms-surface"),
    ]) {
      expect(await check(path, "connect", "tasks")).toEqual(taken);
      expect(await check(path, "free", "tasks")).toEqual({ nameAvailable: true });
    }
    expect((await rest.post(`${service("absent")}/checkNameAvailability`, { name: "a", type: "projects" })).status).toBe(404);
  });
});

describe("what PostgreSQL migrations do not need", () => {
  test("is empty, and 404 when asked for by name", async () => {
    for (const path of [`${service("dms-surface")}/serviceTasks`, `${project("dms-surface")}/files`]) {
      expect((await rest.get<Page<object>>(path)).body).toEqual({ value: [] });
      expect((await rest.get(`${path}/one`)).status).toBe(404);
      expect((await rest.put(`${path}/one`, { properties: {} })).status).toBe(404);
      expect((await rest.send("DELETE", `${path}/one`)).status).toBe(204);
    }
  });
});

describe("every request", () => {
  const raw = (path: string, init?: RequestInit): Promise<Response> => fetch(`${plane.url}${path}`, init);

  test("needs a known api-version", async () => {
    const missing = (await (await raw(service("dms-surface"))).json()) as { error: { code: string } };
    expect(missing.error.code).toBe("MissingApiVersionParameter");
    const unknown = (await (await raw(`${service("dms-surface")}?api-version=2016-01-01`)).json()) as {
      error: { code: string; message: string };
    };
    expect(unknown.error.code).toBe("InvalidApiVersionParameter");
    expect(unknown.error.message).toContain("2021-06-30");
    for (const version of ["2018-04-19", VERSION, "2021-06-30", "2025-06-30"])
      expect((await raw(`${service("dms-surface")}?API-Version=${version}`)).status).toBe(200);
  });

  test("gets an id of its own and its own id back, also when it is refused", async () => {
    for (const path of [service("dms-surface"), service("absent")]) {
      const reply = await rest.send("GET", path, undefined, { "x-ms-client-request-id": "my-own-id" });
      expect(reply.headers.get("x-ms-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(reply.headers.get("x-ms-client-request-id")).toBe("my-own-id");
      expect(reply.headers.get("x-content-type-options")).toBe("nosniff");
    }
  });

  test("with a body is refused when that is empty, no JSON, said to be something else, or too large", async () => {
    const put = (body: string, headers: Record<string, string> = {}) => rest.send("PUT", service("dms-body"), body, headers);
    expect((await put("")).status).toBe(400);
    expect((await put("{")).status).toBe(400);
    expect((await put("[]")).status).toBe(400);
    expect((await put("{}", { "content-type": "text/plain" })).status).toBe(415);
    const large = await put(JSON.stringify({ location: "x".repeat(1_048_600) }));
    expect(large.status).toBe(413);
    expect(errorOf(large).message).toContain("over 1 MiB");
    expect((await put(JSON.stringify({ location: "x", tags: { a: "y".repeat(300) } }))).status).toBe(400);
  });

  test.each(["a", "-ab", "a b", "a".repeat(63), "ä-name"])("refuses the service name %s and says the rule", async (name) => {
    const reply = await rest.put(`${services}/${encodeURIComponent(name)}`, { location: "x" });
    expect(reply.status).toBe(400);
    expect(errorOf(reply).details).toMatchObject([{ code: "InvalidName", target: "serviceName" }]);
    expect((await rest.get(`${services}/${encodeURIComponent(name)}`)).status).toBe(404);
  });

  test("gets links by the way it came, also through a proxy", async () => {
    await makeService(rest, "dms-links");
    const forwarded = { "x-forwarded-proto": "https", "x-forwarded-host": "pgdms.example.net", "x-forwarded-prefix": "/dms" };
    const stopped = await rest.send("POST", `${service("dms-links")}/stop`, undefined, forwarded);
    expect(stopped.headers.get("azure-asyncoperation")).toMatch(/^https:\/\/pgdms\.example\.net\/dms\/subscriptions\//);
    const bad = await rest.send("POST", `${service("dms-links")}/start`, undefined, {
      "x-forwarded-host": "evil/../..",
      "x-forwarded-proto": "javascript",
    });
    expect(bad.headers.get("location")?.startsWith(plane.url)).toBe(true);
  });

  test("is held against If-Match and If-None-Match where it writes", async () => {
    const put = (headers: Record<string, string>) => rest.send<Service>("PUT", service("dms-match"), { location: "x" }, headers);
    expect((await put({ "if-match": "*" })).status).toBe(412);
    const made = await put({ "if-none-match": "*" });
    expect(made.status).toBe(201);
    expect((await put({ "if-none-match": "*" })).status).toBe(412);
    expect((await put({ "if-match": `"${made.body.etag}"` })).status).toBe(200);
    expect((await put({ "if-match": `"${made.body.etag}"` })).status).toBe(412);
  });

  test("that comes from another site's page is refused while there is no authentication", async () => {
    const reply = await rest.send("POST", `${service("dms-surface")}/stop`, undefined, { origin: "https://evil.example.net" });
    expect(reply.status).toBe(403);
    expect(errorOf(reply).code).toBe("AuthorizationFailed");
    expect((await rest.send("GET", service("dms-surface"), undefined, { origin: "http://localhost:5173" })).status).toBe(200);
  });
});

test("the health endpoint needs no api-version", async () => {
  const reply = await fetch(`${plane.url}/health`);
  expect([reply.status, await reply.json()]).toEqual([200, { status: "Healthy" }]);
});
