import { join } from "node:path";
import { ensureBuilt } from "../../local/environment/built.ts";

const root = join(import.meta.dirname, "../..");

/** The folder of the page as its sources are now: what the set-up of the run has built, and the environments serve. */
export async function builtPortal(): Promise<string> {
  await ensureBuilt(root, new AbortController().signal);
  return join(root, "dist/portal");
}
