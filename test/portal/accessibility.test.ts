import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { type AxeResults } from "axe-core";
import { type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtPortal } from "./built-portal.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import { casesOf } from "../setup/thorough.ts";
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

let browser: Browser;
let folder: string;
let page: Page;
/** The screen that was reached last: the next one may go on from it. */
let open: { screen: Screen; service: ScriptedService } | undefined;

beforeAll(async () => {
  [folder, browser] = await Promise.all([builtPortal(), startBrowser()]);
  page = await browser.context.newPage();
}, 180_000);
afterAll(async () => {
  await browser.close();
  await open?.service.close();
});

async function go(screen: Screen): Promise<void> {
  if (open?.screen === screen) return;
  const { options, onward } = screen;
  if (open && goesOn(open.screen, screen)) {
    await (onward ?? screen.open)(page, open.service);
    open = { ...open, screen };
    return;
  }
  await page.goto("about:blank");
  await open?.service.close();
  open = { screen, service: await startScriptedService({ folder, ...options }) }; // on a port of its own: the page keeps nothing
  await screen.open(page, open.service);
}

/** Whether the page, and the service behind it, need not begin anew for the next screen. */
const goesOn = (before: Screen, next: Screen): boolean =>
  next.onward !== undefined || (before.isSpoiled !== true && before.options === undefined && next.options === undefined);

/** As when the system changes its colours and the window its size; resolves when nothing changes any more. */
async function wear({ colorScheme, viewport }: (typeof looks)[number]): Promise<void> {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize(viewport);
  // Not waitForFunction: what it tries a second time the page's own policy forbids.
  const isDone = `document.documentElement.style.colorScheme === "${colorScheme}" && !document.getAnimations().some((one) => one instanceof CSSTransition)`;
  await expect.poll(() => page.evaluate(isDone)).toBe(true);
}

/** axe is put into the page by the browser itself, past the page's own policy. */
async function violations(): Promise<string[]> {
  if (!(await page.evaluate("'axe' in window"))) {
    const session = await page.context().newCDPSession(page);
    await session.send("Runtime.evaluate", { expression: await readFile(axePath, "utf8") });
    await session.detach();
  }
  const results = await page.evaluate<AxeResults>(`axe.run({ exclude: ["${focusGuards}"] }, { resultTypes: ["violations"] })`);
  return results.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | ")}`);
}

/** Every screen in one of the looks, every other one in the same; in a thorough run in the other look as well. */
const inLook = (n: number): { screen: Screen; look: (typeof looks)[number] }[] =>
  screens.map((screen, place) => ({ screen, look: looks[(place + n) % looks.length] ?? looks[0] }));
const cases = casesOf(inLook(0), inLook(1));

test.each(cases)(
  "axe finds nothing serious on $screen.name, $look.colorScheme, $look.viewport.width pixels wide",
  async ({ screen, look }) => {
    try {
      await go(screen);
      await wear(look);
      expect(await violations()).toEqual([]);
    } catch (thrown) {
      await open?.service.close();
      open = undefined; // the next one comes here by itself
      throw thrown;
    }
  },
);
