import { afterAll, beforeAll, expect, test } from "vitest";
import { builtPortal } from "./built-portal.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import { recordTasks } from "./main-thread.ts";
import { migrationAddress } from "./screens.ts";
import { LARGE_TABLE_COUNT } from "./scripted/scenarios.ts";
import { startScriptedService, type ScriptedService } from "./scripted/service.ts";

// Thousands of tables: the page stays smooth while it is scrolled, searched, sorted and refreshes itself.

/** A task longer than this is felt as a stutter. */
const longTaskMsMax = 100;

/** How often it is tried to have the machine for ourselves. */
const ROUNDS_MAX = 6;

let browser: Browser;
let service: ScriptedService;

beforeAll(async () => {
  const folder = await builtPortal();
  [browser, service] = await Promise.all([startBrowser(), startScriptedService({ folder })]);
}, 180_000);
afterAll(async () => {
  await Promise.allSettled([browser?.close(), service?.close()]);
});

test(
  `${LARGE_TABLE_COUNT} tables scroll, filter, search and sort without a task over ${longTaskMsMax} ms`,
  { timeout: 120_000 },
  async () => {
    const page = await browser.context.newPage();
    await page.goto(migrationAddress(service, "large"));
    const table = page.getByRole("region", { name: "Full data load" }).last();
    await page.getByText(`${LARGE_TABLE_COUNT.toLocaleString("en-US")} tables`).waitFor({ timeout: 30_000 });
    await table.getByText("public.events_0000").waitFor();
    const requests = () => service.requests.filter((request) => request.includes("/tasks/large?")).length;
    const use = async (): Promise<void> => {
      const before = requests();
      await table.hover();
      for (let turn = 0; turn < 30; turn++) {
        await page.mouse.wheel(0, 1_500);
        await page.waitForTimeout(16); // a frame: a wheel turns no faster
      }
      expect(await table.evaluate((element) => (element as unknown as { scrollTop: number }).scrollTop)).toBeGreaterThan(10_000);
      expect(await table.getByRole("row").count()).toBeLessThan(80);
      await page.getByLabel("Search tables").pressSequentially("_04", { delay: 40 });
      await page.getByText(/^\d+ of 5,000 tables/).waitFor();
      await page.getByLabel("Search tables").fill("");
      await page.getByRole("combobox", { name: "Status" }).selectOption("BEFORE_LOAD");
      await page.getByText(/of 5,000 tables/).waitFor();
      await page.getByRole("combobox", { name: "Status" }).selectOption("");
      await table.getByRole("button", { name: "Rows" }).click();
      await table.getByRole("button", { name: "Rows" }).click();
      await expect.poll(requests, { timeout: 20_000 }).toBeGreaterThan(before + 1);
    };
    // What the page is to blame for comes every time; what other work on the machine does to it (it costs CPU too: caches, shared
    // cores), now and then. So one round without it tells.
    const rounds: number[] = [];
    while (rounds.length < ROUNDS_MAX && !rounds.some((longestMs) => longestMs < longTaskMsMax)) {
      const tasks = await recordTasks(page, use);
      expect(tasks.length).toBeGreaterThan(100);
      rounds.push(Math.round(Math.max(...tasks.map(({ cpuMs }) => cpuMs))));
    }
    console.log(`the longest task of each round: ${rounds.join(", ")} ms of CPU`);
    expect(Math.min(...rounds)).toBeLessThan(longTaskMsMax);
  },
);
