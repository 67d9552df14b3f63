import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { zipSync } from "fflate";
import { z } from "zod";

/** Path inside the package (with slashes) to content. */
export type PackageFiles = ReadonlyMap<string, Uint8Array>;

const BUNDLE = "dist/functions/index.cjs";
/** Beside the bundle, which reads it only when telemetry is on. */
const TELEMETRY = "dist/functions/telemetry-sdk.cjs";
const PORTAL = "dist/portal";

const RootPackage = z.object({ name: z.string(), version: z.string() });

/** The Functions host reads `main` and nothing else; the bundle holds its dependencies. */
async function minimalPackageJson(root: string): Promise<Uint8Array> {
  const { name, version } = RootPackage.parse(JSON.parse(await readFile(join(root, "package.json"), "utf8")));
  return new TextEncoder().encode(`${JSON.stringify({ name, version, private: true, main: BUNDLE }, null, 2)}\n`);
}

/** The files of the web page, when it was built. */
async function portalFiles(root: string): Promise<string[]> {
  if (!existsSync(join(root, PORTAL))) return [];
  const entries = await readdir(join(root, PORTAL), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".map"))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .replaceAll("\\", "/"),
    )
    .sort();
}

/**
 * Gathers what is deployed to the Functions app.
 * @param root absolute path of the checkout
 * @throws Error with the command to run when the bundle was not built
 */
export async function collectFunctionsPackage(root: string): Promise<PackageFiles> {
  for (const file of [BUNDLE, TELEMETRY])
    if (!existsSync(join(root, file))) throw new Error(`${file} is missing: run "npm run build" first`);
  const files = new Map<string, Uint8Array>([["package.json", await minimalPackageJson(root)]]);
  for (const name of ["host.json", BUNDLE, TELEMETRY, ...(await portalFiles(root))]) files.set(name, await readFile(join(root, name)));
  return files;
}

/** zip keeps local times from 1980 on; one fixed time makes equal files an equal archive. */
const ZIP_EPOCH = new Date(1980, 0, 1);

/** The archive of a package: the same files give the same bytes. */
export const zipFunctionsPackage = (files: PackageFiles): Uint8Array => zipSync(Object.fromEntries(files), { level: 9, mtime: ZIP_EPOCH });
