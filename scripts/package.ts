import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { collectFunctionsPackage, zipFunctionsPackage } from "./functions-package.ts";

// Makes what is deployed to the Functions app: `npm run package`, after `npm run build`.
// dist/package is for azd and `func`, the archive for `az functionapp deployment source config-zip` and pipelines.

const root = dirname(import.meta.dirname);
const folder = join(root, "dist/package");
const archive = join(root, "dist/functions.zip");

const kibibytes = (sizeBytes: number): string => `${(sizeBytes / 1024).toFixed(0).padStart(7)} KiB`;

try {
  const files = await collectFunctionsPackage(root);
  await rm(folder, { recursive: true, force: true });
  for (const [name, content] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
    console.log(`${kibibytes(content.length)}  ${name}`);
  }
  const zipped = zipFunctionsPackage(files);
  await writeFile(archive, zipped);
  console.log(`${kibibytes(zipped.length)}  dist/functions.zip  sha256 ${createHash("sha256").update(zipped).digest("hex")}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
