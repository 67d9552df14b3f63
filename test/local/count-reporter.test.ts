import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, expect, test } from "vitest";

const root = dirname(dirname(import.meta.dirname));
let folder = "";
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Runs vitest on files and answers the last line that it wrote. */
async function lastLine(files: Readonly<Record<string, string>>): Promise<string | undefined> {
  await mkdir(join(root, "node_modules/.cache"), { recursive: true });
  folder = await mkdtemp(join(root, "node_modules/.cache/count-")); // below the packages, so that vitest is found
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const program = join(root, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", `--reporter=${join(root, "test/setup/count-reporter.ts")}`];
  const args = ["run", "--root", folder, "--config", "config.mjs", ...reporters];
  const output = await new Promise<string>((resolve) =>
    execFile(process.execPath, [program, ...args], (_error, stdout) => resolve(stdout)),
  );
  return output.trimEnd().split("\n").at(-1);
}

const config = { "config.mjs": "export default {}" };
const start = 'import { beforeAll, describe, expect, test } from "vitest";\n';

test("the last line of a run counts what passed", async () => {
  const file = `${start}test("a", () => {}); describe("b", () => { test("c", () => {}); test.skip("d", () => {}); });`;
  expect(await lastLine({ ...config, "a.test.js": file })).toBe("2 passed, 0 failed");
});

test("a test that fails, a file that cannot be read and a hook that throws are failures", async () => {
  const failing = `${start}test("a", () => expect(1).toBe(2)); describe("b", () => { beforeAll(() => { throw new Error("x"); }); test("c", () => {}); });`;
  const broken = "import './nowhere.js';";
  expect(await lastLine({ ...config, "a.test.js": failing, "b.test.js": broken })).toBe("0 passed, 3 failed");
});
