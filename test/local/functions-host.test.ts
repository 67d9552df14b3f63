import { request as httpRequest } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createHost, type FunctionsHost, type HostOptions } from "../../local/functions-host/host.ts";
import { type HostLogEntry } from "../../local/functions-host/log.ts";
import { bundled } from "./fixtures/bundled.ts";
import { eventually } from "../setup/eventually.ts";

const settings = { WATCHDOG_CRON: "0 */5 * * * *", PLAIN_QUEUE: "requests", FIXTURE_SETTING: "from the settings" };
const hostJson = {
  version: "2.0",
  functionTimeout: "00:00:01",
  extensions: { http: { routePrefix: "", customHeaders: { "X-Content-Type-Options": "nosniff" } } },
};

let fixture: Awaited<ReturnType<typeof bundled>>;
let broken: Awaited<ReturnType<typeof bundled>>;
beforeAll(async () => {
  [fixture, broken] = await Promise.all([bundled("app"), bundled("broken-app")]);
});
afterAll(() => Promise.all([fixture.remove(), broken.remove()]));

const hosts: FunctionsHost[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

async function start(options: Partial<HostOptions> = {}): Promise<FunctionsHost & { logged: HostLogEntry[] }> {
  const logged: HostLogEntry[] = [];
  const log = (entry: HostLogEntry): void => void logged.push(entry);
  const host = createHost({ root: fixture.root, main: fixture.main, hostJson, settings, pumps: false, log, ...options });
  hosts.push(host);
  await host.start();
  return Object.assign(Object.create(host) as FunctionsHost, { logged });
}

interface Echo {
  method: string;
  url: string;
  params: Record<string, string>;
  query: Record<string, string>;
  tag: string | null;
  body: string;
}
interface Seen {
  queue: { message?: unknown; metadata?: Record<string, unknown> }[];
  timer: { isPastDue: boolean; schedule: object; scheduleStatus: { last: string; next: string } }[];
  hooks: string[];
  startedWith?: string;
}
const seen = async (host: FunctionsHost): Promise<Seen> => (await (await fetch(`${host.url}/seen`)).json()) as Seen;

/** Sends a body without Content-Length. */
function sendChunked(url: string, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: "PUT" }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on("error", reject);
    request.write(body);
    request.end();
  });
}

describe("a request", () => {
  test("reaches the handler with method, absolute URL, decoded parameters, query, headers and the body's bytes", async () => {
    const host = await start();
    const url = `${host.url}/things/a%20b/ITEMS/Caf%C3%A9%2Fx?q=1&r=%26&q=2`;
    const response = await fetch(url, { method: "PUT", headers: { "X-Tag": "T" }, body: Buffer.from([0, 255, 10]) });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      method: "PUT",
      url,
      params: { kind: "a b", id: "Café%2Fx" },
      query: { q: "1,2", r: "&" },
      tag: "T",
      body: Buffer.from([0, 255, 10]).toString("base64"),
    } satisfies Echo);
    expect(response.headers.get("x-mixed-case")).toBe("yes");
    expect(response.headers.get("content-length")).not.toBeNull();
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("keep-alive")).toBe("timeout=230");
  });

  test("that no route fits gets 404 without a body, also when only the method differs", async () => {
    const host = await start();
    const answers = await Promise.all([
      fetch(`${host.url}/nowhere`),
      fetch(`${host.url}/things/a/items/b`, { method: "PATCH" }),
      fetch(`${host.url}/things/a/items/b`, { method: "HEAD" }),
      fetch(`${host.url}/things/a/items/b`, { method: "OPTIONS" }),
      fetch(`${host.url}//things/a/items/b`),
      fetch(`${host.url}/number/2`),
      fetch(`${host.url}/number/x`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404, 404, 404]);
    expect(await answers[0]?.text()).toBe("");
    expect(answers[0]?.headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("goes to the function whose name comes first, however specific the routes are", async () => {
    const host = await start();
    expect(await (await fetch(`${host.url}/order/fixed`)).text()).toBe("any");
    expect(host.routes.map(({ functionName }) => functionName).slice(0, 2)).toEqual(["a-any", "b-fixed"]);
  });

  test("matches one function per method on the same route, and constraints and catch-alls as ASP.NET does", async () => {
    const host = await start();
    expect(((await (await fetch(`${host.url}/things/a/items/b/`, { method: "DELETE" })).json()) as Echo).method).toBe("DELETE");
    expect(await (await fetch(`${host.url}/number/17`)).text()).toBe("17");
    expect(await (await fetch(`${host.url}/rest/a/b%20c/d`)).text()).toBe("<a/b c/d>");
    expect(await (await fetch(`${host.url}/rest`)).text()).toBe("<>");
  });

  test("with a body but no Content-Length arrives empty, as in Azure, and the host warns", async () => {
    const host = await start();
    const { status, text } = await sendChunked(`${host.url}/things/a/items/b`, "lost");
    expect([status, (JSON.parse(text) as Echo).body]).toEqual([200, ""]);
    expect(host.logged.map(({ message }) => message).join()).toMatch(/body without Content-Length was dropped/);
  });

  test("larger than the limit gets 413", async () => {
    const host = await start({ settings: { ...settings, FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: "10" } });
    expect((await fetch(`${host.url}/things/a/items/b`, { method: "PUT", body: "12345678901" })).status).toBe(413);
    expect((await fetch(`${host.url}/things/a/items/b`, { method: "PUT", body: "1234567890" })).status).toBe(200);
  });
});

describe("a handler", () => {
  test("that returns nothing answers 204, that throws 500 without a body, with the reason in the log only", async () => {
    const host = await start();
    expect((await fetch(`${host.url}/nothing`)).status).toBe(204);
    const failed = await fetch(`${host.url}/fails`);
    expect([failed.status, await failed.text()]).toEqual([500, ""]);
    expect(host.logged.find(({ level }) => level === "error")).toMatchObject({
      functionName: "fails",
      message: expect.stringContaining("the reason") as string,
    });
  });

  test("that runs longer than functionTimeout answers 500", async () => {
    const host = await start();
    expect((await fetch(`${host.url}/slow/1500`)).status).toBe(500);
    expect(host.logged.map(({ message }) => message).join()).toMatch(/longer than functionTimeout/);
  });

  test("can be wrapped by a pre-invocation hook, and its error mapped by a post-invocation hook", async () => {
    const host = await start();
    expect(await (await fetch(`${host.url}/wrapped`)).json()).toEqual({ wrapped: "inner" });
    const teapot = await fetch(`${host.url}/teapot`);
    expect([teapot.status, await teapot.json()]).toEqual([418, { error: { code: "Teapot" } }]);
    expect((await seen(host)).hooks).toEqual(["appStart"]);
  });

  test("sets several cookies", async () => {
    const host = await start();
    expect((await fetch(`${host.url}/cookies`)).headers.getSetCookie()).toEqual([
      "a=1%202; path=/; httponly; samesite=Strict",
      "b=2; max-age=60; path=/; expires=Fri, 01 Jan 2027 00:00:00 GMT; secure",
    ]);
  });

  test("logs through the log hook, above the level of host.json", async () => {
    const host = await start();
    expect((await fetch(`${host.url}/logs`)).status).toBe(202);
    const lines = host.logged.filter(({ functionName }) => functionName === "logs");
    expect(lines).toMatchObject([
      { level: "warning", category: "user", message: "the *** is out", invocationId: expect.any(String) as string },
    ]);
  });

  test("that is disabled by a setting is not there", async () => {
    const host = await start({ settings: { ...settings, AzureWebJobs_echo_Disabled: "true", "AzureWebJobs.rest.Disabled": "1" } });
    expect((await fetch(`${host.url}/things/a/items/b`)).status).toBe(404);
    expect((await fetch(`${host.url}/rest/a`)).status).toBe(404);
    expect((await fetch(`${host.url}/things/a/items/b`, { method: "DELETE" })).status).toBe(200);
  });
});

describe("a queue message", () => {
  test("reaches the handler parsed, with the library's traps: numeric strings become numbers, capitals become small", async () => {
    const host = await start();
    const enqueuedTimeUtc = new Date("2026-11-22T10:00:00Z");
    const applicationProperties = { MigrationId: "m", Nested: { Inner: 1 } };
    await host.deliver("REQUESTS", {
      body: '{"text":"hi"}',
      messageId: "123",
      deliveryCount: 1,
      sessionId: "s",
      enqueuedTimeUtc,
      applicationProperties,
    });
    const [first] = (await seen(host)).queue;
    expect(first?.message).toEqual({ text: "hi" });
    expect(first?.metadata).toEqual({
      messageId: 123,
      deliveryCount: 1,
      sessionId: "s",
      enqueuedTimeUtc: enqueuedTimeUtc.toISOString(),
      applicationProperties: { migrationId: "m", nested: { inner: 1 } },
    });
  });

  test("that is no JSON stays text, and a failing handler rejects the delivery", async () => {
    const host = await start();
    await host.deliver("requests", { body: "plain text", deliveryCount: 1 });
    expect((await seen(host)).queue[0]?.message).toBe("plain text");
    await expect(host.deliver("requests", { body: '{"failures":1}', deliveryCount: 1 })).rejects.toThrow(/delivery 1/);
    await expect(host.deliver("nobody", { body: "" })).rejects.toThrow(/no function is triggered by the queue "nobody"/);
  });
});

test("a timer runs at each occurrence of its schedule by the clock, and when it is fired", async () => {
  let now = new Date("2026-11-22T10:03:30Z");
  let due: { at: number; callback: () => void } | undefined;
  const clock = {
    now: () => now,
    after(delayMs: number, callback: () => void) {
      due = { at: now.getTime() + delayMs, callback };
      return () => (due = undefined);
    },
  };
  const host = await start({ clock });
  expect(due?.at).toBe(Date.parse("2026-11-22T10:05:00Z"));
  now = new Date("2026-11-22T10:05:00Z");
  due?.callback();
  await eventually(() => expect(due?.at).toBe(now.getTime()));
  due?.callback();
  await eventually(() => expect(due?.at).toBe(Date.parse("2026-11-22T10:10:00Z")));
  await host.fireTimer("watchdog", { isPastDue: true });
  const { timer } = await seen(host);
  expect(timer).toEqual([
    {
      schedule: { adjustForDST: true },
      scheduleStatus: { last: "0001-01-01T00:00:00+00:00", next: "2026-11-22T10:10:00.000Z", lastUpdated: "0001-01-01T00:00:00+00:00" },
      isPastDue: false,
    },
    expect.objectContaining({ isPastDue: true, scheduleStatus: expect.objectContaining({ last: "2026-11-22T10:05:00.000Z" }) as object }),
  ]);
  await expect(host.fireTimer("echo")).rejects.toThrow(/no timer function "echo"/);
  await host.stop();
  expect(due).toBeUndefined();
});

describe("the host's own paths", () => {
  test("tell its status and its functions, and start what HTTP does not trigger", async () => {
    const host = await start();
    expect(await (await fetch(`${host.url}/admin/host/status`)).json()).toMatchObject({ state: "Running" });
    const functions = (await (await fetch(`${host.url}/admin/functions`)).json()) as { name: string }[];
    expect(functions.map(({ name }) => name)).toContain("watchdog");
    const post = (name: string, body: string, type = "application/json") =>
      fetch(`${host.url}/admin/functions/${name}`, { method: "POST", body, headers: { "content-type": type } });
    expect((await post("plain", '{"input":"{\\"text\\":\\"by hand\\"}"}')).status).toBe(202);
    expect((await post("watchdog", "{}")).status).toBe(202);
    await eventually(async () => expect((await seen(host)).queue[0]?.message).toEqual({ text: "by hand" }));
    expect((await seen(host)).timer.length).toBe(1);
    expect((await post("echo", "{}")).status).toBe(400);
    expect((await post("nobody", "{}")).status).toBe(404);
    expect((await post("plain", "no json")).status).toBe(400);
    expect((await post("plain", "{}", "text/plain")).status).toBe(415);
    expect((await fetch(`${host.url}/admin/other`)).status).toBe(404);
    expect((await fetch(`${host.url}/runtime/webhooks/x`)).status).toBe(404);
  });

  test("show a home page unless AzureWebJobsDisableHomepage is set", async () => {
    expect((await fetch((await start()).url)).status).toBe(200);
    expect((await fetch((await start({ settings: { ...settings, AzureWebJobsDisableHomepage: "true" } })).url)).status).toBe(204);
  });
});

test("functions that cannot run are named with the reason, and the others run", async () => {
  const host = await start({ root: broken.root, main: broken.main, pumps: true });
  expect(await (await fetch(`${host.url}/fine`)).text()).toBe("fine");
  const reasons = {
    reserved: /"administrators" begins with a word that the runtime keeps/,
    slash: /must not begin with a slash/,
    "unknown-constraint": /unknown constraint "uuid"/,
    twice: /conflicts with that of the function "fine"/,
    "wrong name": /must begin with a letter/,
    writes: /output binding .* is not supported here/,
    "no-setting": /needs the app setting "NOT_SET"/,
    "time-span": /must have six fields/,
    "no-connection": /app setting "Missing" is not set/,
    topic: /queueName/,
  };
  for (const [name, reason] of Object.entries(reasons)) expect(host.errors.find((error) => error.includes(`"${name}":`))).toMatch(reason);
  expect(host.errors.length).toBe(Object.keys(reasons).length);
});

test("the application sees the settings in its environment while the host runs, and is loaded afresh by the next host", async () => {
  const first = await start();
  expect((await seen(first)).startedWith).toBe("from the settings");
  await first.deliver("requests", { body: "kept in memory" });
  await first.stop();
  expect(process.env["FIXTURE_SETTING"]).toBeUndefined();
  const second = await start({ settings: { ...settings, FIXTURE_SETTING: "other" } });
  expect(await seen(second)).toMatchObject({ startedWith: "other", queue: [] });
});

test("stop waits for the invocation that is under way, and its caller gets the answer", async () => {
  const host = await start({ hostJson: { ...hostJson, functionTimeout: "00:01:00" } });
  const answer = fetch(`${host.url}/slow/200`);
  await eventually(() => expect(host.logged.some(({ message }) => message === "began")).toBe(true));
  await host.stop();
  expect((await answer).status).toBe(200);
  await expect(fetch(`${host.url}/nothing`)).rejects.toThrow();
});

test("an entry without registrations, and a bad host.json, are refused with what is wrong", async () => {
  await expect(start({ main: "missing.cjs" })).rejects.toThrow(/missing\.cjs/);
  await expect(start({ hostJson: { version: "1.0", functionTimeout: "5 minutes" } })).rejects.toThrow(/functionTimeout/);
  const unloaded = createHost({ root: fixture.root, settings });
  await expect(unloaded.start()).rejects.toThrow(/host\.json cannot be read/);
});
