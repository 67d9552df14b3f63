import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { buildPortal } from "../../scripts/portal-bundle.ts";

const root = join(import.meta.dirname, "../..");
const cache = join(root, "node_modules/.cache/pgdms-portal");
const sources = ["portal", "contracts", "scripts/portal-bundle.ts", "package-lock.json"];

/**
 * The folder of the page as its sources are now. Test files run side by side: whoever builds first gives the folder its
 * name, and a second one that was built meanwhile is thrown away.
 */
export async function builtPortal(): Promise<string> {
  const folder = join(cache, await hashOfSources());
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const fresh = await mkdtemp(join(cache, "building-"));
  await buildPortal(fresh);
  await rename(fresh, folder).catch(async (error: unknown) => {
    await rm(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  });
  await removeOthers(dirname(folder), folder);
  return folder;
}

async function hashOfSources(): Promise<string> {
  const hash = createHash("sha256");
  for (const source of sources) {
    const path = join(root, source);
    const files = source.includes(".") ? [""] : (await readdir(path, { recursive: true })).toSorted();
    for (const file of files) {
      const content = await readFile(join(path, file)).catch(() => undefined); // a folder
      if (content) hash.update(file).update(content);
    }
  }
  return hash.digest("hex").slice(0, 16);
}

/** Builds of other sources, once nobody can be using them any more. */
const keptMs = 3_600_000;

async function removeOthers(parent: string, folder: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const other = join(parent, name);
    const { mtimeMs } = await stat(other);
    if (other !== folder && Date.now() - mtimeMs > keptMs) await rm(other, { recursive: true, force: true });
  }
}
