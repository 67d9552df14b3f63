import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext } from "playwright-core";

/**
 * A real browser for the tests of the page: Debian's Chromium, installed where it is missing. Its headless shell has the same
 * engine, starts sooner and takes a fourth less work for the same tests than the whole browser does without a window.
 */

const DEBIAN_PACKAGE = "chromium-headless-shell";
const SHELL = `/usr/bin/${DEBIAN_PACKAGE}`;
const DEBIAN_PATHS = [SHELL, "/usr/bin/chromium"];

/** Nothing may be fetched but what the page itself asks for: the browser's own errands are switched off. */
const args = [
  "--no-sandbox", // the tests may run as root, where the sandbox cannot
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Finds the browser, or installs it with the system's package manager.
 * @throws Error when there is none and none can be installed
 */
function findChromium(): string {
  const named = process.env["CHROMIUM_PATH"];
  const found = named ?? DEBIAN_PATHS.find((path) => existsSync(path));
  if (found !== undefined && existsSync(found)) return found;
  const isRoot = process.getuid?.() === 0;
  if (named !== undefined || !isRoot || !existsSync("/usr/bin/apt-get"))
    throw new Error(
      `There is no browser at ${found ?? DEBIAN_PATHS.join(" or ")}. ` +
        `Install Chromium (Debian: apt-get install ${DEBIAN_PACKAGE}) or name it in CHROMIUM_PATH.`,
    );
  console.log("installing Chromium for the tests of the page");
  execFileSync("apt-get", ["update"], { stdio: "ignore" });
  execFileSync("apt-get", ["install", "-y", "--no-install-recommends", DEBIAN_PACKAGE], { stdio: "ignore" });
  return SHELL;
}

export interface Browser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

export interface BrowserOptions {
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly colorScheme?: "light" | "dark";
  readonly deviceScaleFactor?: number;
}

/** Starts a browser with a profile of its own, which goes with it. */
export async function startBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), "pgdms-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium(),
    headless: true,
    args,
    acceptDownloads: true,
    viewport: options.viewport ?? { width: 1400, height: 900 },
    colorScheme: options.colorScheme ?? "light",
    reducedMotion: "reduce",
    ...(options.deviceScaleFactor ? { deviceScaleFactor: options.deviceScaleFactor } : {}),
  });
  context.setDefaultTimeout(15_000);
  return {
    context,
    close: async () => {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}
