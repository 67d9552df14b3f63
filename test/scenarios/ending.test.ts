import { cpSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { casesOf } from "../setup/thorough.ts";
import { Command, root } from "./command.ts";

/** Linux: what is left is read from /proc. */
vi.setConfig({ testTimeout: 120_000 }); // each test starts all of pgdms, some twice

let command: Command;
afterEach(() => command.cleanUp());

const startArguments = (folder: string): string[] => ["--port", "0", "--data", join(folder, "data")];

function start(): Command {
  const folder = Command.makeFolder();
  return (command = new Command("start", startArguments(folder), folder));
}

/** As a clone is after `npm ci`, but for the page, which takes longest: the set-up of a run in a fresh clone has built that. */
function freshCheckout(folder: string): string {
  const checkout = join(folder, "checkout");
  const tracked = [
    "contracts",
    "functions",
    "worker",
    "local",
    "scripts",
    "portal",
    "docs",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "host.json",
  ];
  for (const name of [...tracked, "dist/portal"]) cpSync(join(root, name), join(checkout, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(checkout, "node_modules"));
  return checkout;
}

test("npm start builds what a fresh checkout lacks; Ctrl-C ends every part of it", async () => {
  const folder = Command.makeFolder();
  command = new Command("start", startArguments(folder), folder, freshCheckout(folder));
  await command.says(/pgdms is ready at http/);
  expect(command.processes().length).toBeGreaterThanOrEqual(5); // itself, table storage, broker, Functions host, worker
  command.kill("SIGINT");
  expect(await command.exited, command.output).toBe(130);
  expect(await command.leaves()).toEqual([]);
});

test("SIGTERM while the parts are still starting leaves nothing", async () => {
  start();
  await expect.poll(() => command.processes().length, { interval: 10 }).toBeGreaterThanOrEqual(3);
  command.kill("SIGTERM");
  expect(await command.exited).toBe(143);
  expect(command.output).not.toContain("pgdms is ready");
  expect(await command.leaves()).toEqual([]);
});

test("parts that hang do not outlive Ctrl-C", async () => {
  start();
  await command.says(/pgdms is ready at http/);
  const hung = command.processes().filter(({ command: text }) => /dist\/worker\/main\.js|dist\/local\/broker\.js/.test(text));
  expect(hung.length).toBe(2);
  for (const { pid } of hung) process.kill(pid, "SIGSTOP");
  command.kill("SIGINT");
  expect(await command.exited, command.output).toBe(130);
  expect(await command.leaves()).toEqual([]);
});

test("even SIGKILL of npm start ends its parts", async () => {
  start();
  await command.says(/pgdms is ready at http/);
  command.kill("SIGKILL");
  expect(await command.exited).toBe(-1);
  expect(await command.leaves()).toEqual([]);
});

/** What the demo says when it is there, and the seconds for which it follows changes. */
const moments = casesOf<readonly [moment: string, says: RegExp, syncSeconds: number]>(
  [
    ["while listdb is filled", /filling listdb|starting/, 5],
    ["while the migration starts and loads", /Tables .* 17 tables/, 5],
    ["while it cuts over", /Incremental sync +[\d.]+ s +[\d,]+ transactions/, 1],
  ],
  [
    ["while the connections are checked", /Service .* Online/, 5],
    ["while changes are followed", /… .*Incremental sync/, 5], // said every few seconds
  ],
);

test.each(moments)("Ctrl-C %s ends the demo with its servers, pgdms and writer", async (_moment, pattern, syncSeconds) => {
  command = new Command("demo", ["--rows", "2000", "--sync", String(syncSeconds), "--port", "0"]);
  await (pattern.source.startsWith("filling") ? expect.poll(() => command.processes().length).toBeGreaterThan(5) : command.says(pattern));
  command.kill("SIGINT");
  expect(await command.exited, command.output).toBe(130);
  expect(await command.leaves()).toEqual([]);
});
