import { mkdir, rename, rm, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { bundle } from "./bundle.ts";
import { type Bundle } from "./bundles.ts";

const root = dirname(import.meta.dirname);

/** Builds all of them and says how large they are. One that cannot be built is taken away and makes the exit code 1. */
export async function buildBundles(bundles: readonly Bundle[]): Promise<void> {
  for (const one of bundles) {
    try {
      const sizeBytes = await replace(one);
      console.log(`${one.outfile}  ${(sizeBytes / 1024).toFixed(0)} KiB`);
    } catch {
      // esbuild has said where and why. An old bundle must not pass for the one that could not be built.
      for (const file of [one.outfile, `${one.outfile}.map`]) await rm(join(root, file), { force: true });
      process.exitCode = 1;
    }
  }
}

/** Builds beside the old bundle, at the same depth, and puts the new one in its place whole: somebody may be starting it now. */
async function replace({ entry, outfile, kind }: Bundle): Promise<number> {
  const begin = new Date();
  const draft = join(root, `${dirname(outfile)}.${process.pid}`);
  try {
    const sizeBytes = await bundle(join(root, entry), join(draft, basename(outfile)), kind);
    await mkdir(join(root, dirname(outfile)), { recursive: true });
    for (const name of [`${basename(outfile)}.map`, basename(outfile)]) {
      await utimes(join(draft, name), begin, begin); // a source that was saved while we built is newer than what was built
      await rename(join(draft, name), join(root, dirname(outfile), name));
    }
    return sizeBytes;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}
