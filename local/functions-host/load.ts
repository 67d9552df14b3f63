import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { answerCoreModule, type Registrations } from "./core.ts";

const Manifest = z.looseObject({ main: z.string().min(1).optional() });

/** The application's entry: `main`, or what package.json in `root` names. */
export function entryOf(root: string, main?: string): string {
  if (main !== undefined) return resolve(root, main);
  const manifest = Manifest.parse(JSON.parse(readFileSync(join(root, "package.json"), "utf8")));
  if (manifest.main === undefined)
    throw new Error(`${join(root, "package.json")} has no "main": name the built file of the functions there`);
  return resolve(root, manifest.main);
}

let previous: Promise<unknown> = Promise.resolve();

/**
 * Loads the application and fills `app` with what it registers. One at a time in a process, because the module hook is process-wide.
 * Throws when the entry is missing, throws itself, or registers nothing.
 */
export function loadApplication(entry: string, app: Registrations): Promise<void> {
  const loading = previous.then(() => load(entry, app));
  previous = loading.catch(() => undefined);
  return loading;
}

async function load(entry: string, app: Registrations): Promise<void> {
  const restoreRequire = answerCoreModule(app);
  try {
    await importEntry(entry);
  } finally {
    restoreRequire();
  }
  if (!app.model || app.functions.size === 0) {
    throw new Error(
      `${entry} registered no functions: it must call app.http, app.timer or app.serviceBusQueue of "@azure/functions" ` +
        `while it is loaded, and if it is bundled, "@azure/functions-core" must be external`,
    );
  }
}

/** A CommonJS bundle is loaded afresh each time, so that one process can start several hosts after one another. */
async function importEntry(entry: string): Promise<void> {
  const require = createRequire(entry);
  if (entry.endsWith(".cjs")) {
    delete require.cache[require.resolve(entry)];
    require(entry);
  } else {
    await import(/* @vite-ignore */ pathToFileURL(entry).href);
  }
}
