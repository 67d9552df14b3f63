import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Page } from "playwright-core";
import { builtPortal } from "../test/portal/built-portal.ts";
import { startBrowser } from "../test/portal/chromium.ts";
import { screens, type Screen } from "../test/portal/screens.ts";
import { startScriptedService } from "../test/portal/scripted/service.ts";

// Takes pictures of the portal's screens:
// npx tsx scripts/screenshots.ts <folder> [name of a screen …]   every screen, light and dark, wide and narrow
// npx tsx scripts/screenshots.ts --readme                        the two that the README shows, into docs/images

const watchedMs = 20_000;
const looks = (["light", "dark"] as const).flatMap((colorScheme) => [
  { colorScheme, size: "wide", viewport: { width: 1400, height: 900 } },
  { colorScheme, size: "narrow", viewport: { width: 390, height: 844 } },
]);
const readmePictures = [
  { screen: "migration-loading", colorScheme: "light", height: 1000, file: "docs/images/portal-migration.png" },
  { screen: "report", colorScheme: "dark", height: 1300, file: "docs/images/portal-report.png" },
] as const;

const [folder = "dist/screenshots", ...wanted] = process.argv.slice(2);
const built = await builtPortal();
await (folder === "--readme" ? takeReadmePictures() : takeAllPictures());

async function takeAllPictures(): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { size, ...look } of looks) {
    const browser = await startBrowser(look);
    try {
      for (const screen of screens) {
        if (wanted.length > 0 && !wanted.includes(screen.name)) continue;
        const file = join(folder, `${screen.name}-${look.colorScheme}-${size}.png`);
        await takePicture(await browser.context.newPage(), screen, file, "whole page");
      }
    } finally {
      await browser.close();
    }
  }
}

async function takeReadmePictures(): Promise<void> {
  await mkdir("docs/images", { recursive: true });
  for (const { screen: name, colorScheme, height, file } of readmePictures) {
    const browser = await startBrowser({ colorScheme, viewport: { width: 1280, height } });
    try {
      const screen = screens.find((one) => one.name === name);
      if (screen) await takePicture(await browser.context.newPage(), screen, file, "window");
    } finally {
      await browser.close();
    }
  }
}

async function takePicture(page: Page, screen: Screen, file: string, part: "whole page" | "window"): Promise<void> {
  const service = await startScriptedService({ folder: built, ...screen.options });
  try {
    await screen.open(page, service);
    if (screen.isWatched) await page.waitForTimeout(watchedMs);
    if (part === "whole page" && !screen.isOverlay) await growToContent(page);
    await page.screenshot({ path: file });
    console.log(file);
  } finally {
    await page.close();
    await service.close();
  }
}

/** A window as high as the page: a picture of a longer page would show what sticks to its edge in the middle. */
async function growToContent(page: Page): Promise<void> {
  const size = page.viewportSize();
  const height = await page.evaluate("document.documentElement.scrollHeight");
  if (size && typeof height === "number" && height > size.height) await page.setViewportSize({ width: size.width, height });
}
