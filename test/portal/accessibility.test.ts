import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type AxeResults } from "axe-core";
import { type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtPortal } from "./built-portal.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import { type Screen, screens } from "./screens.ts";
import { type ScriptedService, startScriptedService } from "./scripted/service.ts";

// Every screen and state of the page, light and dark, wide and narrow, looked at by axe.

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const looks = [
  { colorScheme: "light", viewport: { width: 1400, height: 900 } },
  { colorScheme: "dark", viewport: { width: 390, height: 844 } },
] as const;

/**
 * Elements of the component library that hand the focus on before anything could be read there. axe cannot know; the
 * library's own tests leave them out as well.
 */
const focusGuards = "[data-tabster-dummy]";

/** axe is put into the page by the browser itself, past the page's own policy. */
async function violationsOf(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: await readFile(axePath, "utf8") });
  const { violations } = await page.evaluate<AxeResults>(`axe.run({ exclude: ["${focusGuards}"] }, { resultTypes: ["violations"] })`);
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | ")}`);
}

describe.each(looks)("$colorScheme, $viewport.width pixels wide", (look) => {
  let browser: Browser;
  let folder: string;
  /** The screen before, when it was reached: the next one may go on from it. */
  let open: { page: Page; service: ScriptedService } | undefined;

  async function leave(): Promise<void> {
    await open?.page.close();
    await open?.service.close();
    open = undefined;
  }

  async function go(screen: Screen): Promise<Page> {
    const { options, onward } = screen;
    if (open && onward) {
      await onward(open.page);
      return open.page;
    }
    await leave();
    const service = await startScriptedService({ folder, ...options });
    open = { service, page: await browser.context.newPage() };
    await screen.open(open.page, service);
    return open.page;
  }

  beforeAll(async () => {
    [folder, browser] = await Promise.all([builtPortal(), startBrowser(look)]);
  }, 180_000);
  afterAll(async () => {
    await leave();
    await browser.close();
  });

  test.each(screens.map((screen) => [screen.name, screen] as const))("axe finds nothing serious on %s", async (_name, screen) => {
    try {
      expect(await violationsOf(await go(screen))).toEqual([]);
    } catch (thrown) {
      await leave();
      throw thrown;
    }
  });
});
