import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { format, resolveConfig } from "prettier";
import { checksPage } from "./docs-checks.ts";
import { errorsPage, settingsPage } from "./docs-pages.ts";

// Writes the pages that are made from the code: `npm run docs`. With --check it only says whether they are up to date.

const root = dirname(import.meta.dirname);
const pages = { "docs/settings.md": settingsPage(), "docs/errors.md": errorsPage(), "docs/checks.md": checksPage() };
const isCheck = process.argv.includes("--check");

for (const [name, text] of Object.entries(pages)) {
  const file = join(root, name);
  const page = await format(text, { ...(await resolveConfig(file)), filepath: file });
  if (!isCheck) await writeFile(file, page);
  else if ((await readFile(file, "utf8").catch(() => "")) !== page) {
    console.error(`${name} is not what the code says: run "npm run docs"`);
    process.exitCode = 1;
  }
}
