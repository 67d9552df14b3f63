import { spawn, type ChildProcess } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { startBroker, type Broker } from "../../local/broker/server.ts";
import { bundled } from "./fixtures/bundled.ts";
import { eventually } from "../setup/eventually.ts";

let fixture: Awaited<ReturnType<typeof bundled>>;
let broken: Awaited<ReturnType<typeof bundled>>;
let broker: Broker;
beforeAll(async () => {
  [fixture, broken] = await Promise.all([bundled("app"), bundled("broken-app")]);
  broker = await startBroker({ port: 0, config: pgdmsEntities([]) });
  for (const { root } of [fixture, broken]) {
    await writeFile(join(root, "package.json"), JSON.stringify({ main: "index.cjs" }));
    await writeFile(join(root, "host.json"), JSON.stringify({ version: "2.0", extensions: { http: { routePrefix: "" } } }));
  }
});
afterAll(async () => {
  await broker.stop();
  await fixture.remove();
  await broken.remove();
});

interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output: string;
  errors: string;
}
const runs: Run[] = [];
afterEach(async () => {
  for (const { child, ended } of runs.splice(0)) {
    child.kill("SIGKILL");
    await ended;
  }
});

function run(flags: string[], environment: Record<string, string> = {}): Run {
  const main = join(import.meta.dirname, "../../dist/local/functions-host.js");
  const child = spawn(process.execPath, [main, ...flags], { env: { ...process.env, ...environment }, stdio: "pipe" });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const started: Run = { child, ended, output: "", errors: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (started.output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (started.errors += text));
  runs.push(started);
  return started;
}

async function settingsFile(root: string, values: Record<string, string>): Promise<string> {
  const file = join(root, "settings.json");
  await writeFile(file, JSON.stringify({ IsEncrypted: false, Values: values, Host: { LocalHttpPort: 0 } }));
  return file;
}

async function ready(host: Run): Promise<string> {
  await eventually(() => expect(host.output, host.errors).toMatch(/functions host ready at http:\/\/127\.0\.0\.1:\d+\n/));
  return /http:\S+/.exec(host.output)?.[0] ?? "";
}

test("the process reads its settings file without overriding the environment, says when it is ready, and ends promptly on SIGTERM", async () => {
  const values = {
    WATCHDOG_CRON: "0 0 0 1 1 *",
    PLAIN_QUEUE: "requests",
    ServiceBusConnection: broker.connectionString,
    FIXTURE_SETTING: "from the file",
  };
  const file = await settingsFile(fixture.root, values);
  const host = run(["--root", fixture.root, "--settings", file], { FIXTURE_SETTING: "from the environment" });
  const url = await ready(host);
  expect(await (await fetch(`${url}/seen`)).json()).toMatchObject({ startedWith: "from the environment", hooks: ["appStart"] });
  const answer = fetch(`${url}/slow/300`);
  await eventually(() => expect(host.errors).toMatch(/information slow: began/));
  const startedMs = Date.now();
  host.child.kill("SIGTERM");
  expect((await answer).status).toBe(200);
  expect(await host.ended).toBe(0);
  expect(Date.now() - startedMs).toBeLessThan(3_000);
}, 30_000);

test("the process ends with the reasons when a function cannot run", async () => {
  const host = run(["--root", broken.root, "--port", "0"]);
  expect(await host.ended).toBe(1);
  expect(host.errors).toContain('function "no-connection": the app setting "Missing" is not set');
  expect(host.output).not.toContain("ready");
}, 30_000);

test("the process names a port that is taken, and a flag that is wrong", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.once("listening", resolve));
  const { port } = other.address() as AddressInfo;
  const [taken, wrong] = [run(["--root", fixture.root, "--port", String(port)]), run(["--port", "many"])];
  expect([await taken.ended, await wrong.ended]).toEqual([1, 1]);
  expect(taken.errors).toContain(`port ${port} of 127.0.0.1 is taken`);
  expect(wrong.errors).toContain('--port must be a number from 0 to 65535, not "many"');
  await new Promise((resolve) => other.close(resolve));
}, 30_000);
