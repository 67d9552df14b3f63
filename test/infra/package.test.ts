import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { unzipSync } from "fflate";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectFunctionsPackage, zipFunctionsPackage } from "../../scripts/functions-package.ts";
import { root } from "./templates.ts";

let checkout: string;

const put = (name: string, content: string): void => {
  mkdirSync(dirname(join(checkout, name)), { recursive: true });
  writeFileSync(join(checkout, name), content);
};

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "pgdms-package-"));
  put("dist/functions/telemetry-sdk.cjs", "module.exports = 'sdk';");
  put("package.json", JSON.stringify({ name: "pgdms", version: "1.2.3", type: "module", dependencies: { pg: "^8" } }));
  put("host.json", '{ "version": "2.0" }');
  put("worker/main.ts", "not for the Functions app");
  put("node_modules/pg/index.js", "bundled already");
});

afterEach(() => rmSync(checkout, { recursive: true, force: true }));

describe("the package of the Functions app", () => {
  test("holds host.json, the bundle, the telemetry beside it and a package.json that names the bundle, and nothing else", async () => {
    put("dist/functions/index.cjs", "module.exports = 'started';");
    put("dist/functions/index.cjs.map", "{}");
    const files = unzipSync(zipFunctionsPackage(await collectFunctionsPackage(checkout)));
    expect(Object.keys(files).sort()).toEqual([
      "dist/functions/index.cjs",
      "dist/functions/telemetry-sdk.cjs",
      "host.json",
      "package.json",
    ]);
    expect(JSON.parse(Buffer.from(files["package.json"] ?? []).toString())).toEqual({
      name: "pgdms",
      version: "1.2.3",
      private: true,
      main: "dist/functions/index.cjs",
    });
  });

  test("starts where nothing was installed: its main loads", async () => {
    put("dist/functions/index.cjs", "module.exports = 'started';");
    const files = unzipSync(zipFunctionsPackage(await collectFunctionsPackage(checkout)));
    for (const [name, content] of Object.entries(files)) put(join("wwwroot", name), Buffer.from(content).toString());
    const printed = execFileSync(process.execPath, ["-p", "require('./wwwroot')"], { cwd: checkout, encoding: "utf8" });
    expect(printed.trim()).toBe("started");
  });

  test("takes the web page along when it was built, without its source maps", async () => {
    put("dist/functions/index.cjs", "");
    put("dist/portal/index.html", "<!doctype html>");
    put("dist/portal/assets/app.js", "");
    put("dist/portal/assets/app.js.map", "{}");
    const names = [...(await collectFunctionsPackage(checkout)).keys()];
    expect(names).toEqual(expect.arrayContaining(["dist/portal/index.html", "dist/portal/assets/app.js"]));
    expect(names).not.toContain("dist/portal/assets/app.js.map");
  });

  test("is the same to the byte when its files are the same", async () => {
    put("dist/functions/index.cjs", "module.exports = 1;");
    const first = zipFunctionsPackage(await collectFunctionsPackage(checkout));
    put("dist/functions/index.cjs", "module.exports = 1;");
    expect(Buffer.from(zipFunctionsPackage(await collectFunctionsPackage(checkout))).equals(Buffer.from(first))).toBe(true);
  });

  test("says which command to run when the bundle is missing", async () => {
    await expect(collectFunctionsPackage(checkout)).rejects.toThrow('run "npm run build" first');
  });
});

/** Which of these paths .funcignore leaves out, by git's reading of it. */
function ignored(paths: readonly string[]): string[] {
  // A name without a dot or a slash is a folder that is there already.
  execFileSync("git", ["init", "--quiet", checkout]);
  put(".git/info/exclude", readFileSync(join(root, ".funcignore"), "utf8"));
  for (const path of paths) if (path.includes(".") || path.includes("/")) put(path, "");
  const run = `git -c core.excludesFile=/dev/null check-ignore --no-index --stdin || true`;
  return execFileSync("sh", ["-c", run], { cwd: checkout, input: paths.join("\n"), encoding: "utf8" })
    .split("\n")
    .filter(Boolean);
}

describe(".funcignore", () => {
  const wanted = [
    "host.json",
    "package.json",
    "dist/functions/index.cjs",
    "dist/functions/telemetry-sdk.cjs",
    "dist/portal/index.html",
    "dist/portal/assets/app.js",
  ];
  const unwanted = [
    "node_modules/pg/index.js",
    "worker/main.ts",
    "worker/Dockerfile",
    "dist/worker/main.js",
    "functions/index.ts",
    "contracts/lsn.ts",
    "portal/index.html",
    "portal/shell/shell.tsx",
    "infra/main.bicep",
    "test/infra/azd.test.ts",
    "local/broker/Config.json",
    "docs/deploy.md",
    "local.settings.json",
    "dist/functions/index.cjs.map",
    "dist/package/host.json",
    "dist/functions.zip",
    ".github/workflows/ci.yml",
    "azure.yaml",
  ];

  test("leaves out all that the Functions app does not run", () => {
    expect(ignored([...wanted, ...unwanted])).toEqual(unwanted);
  });

  test("does not name the folder node_modules itself, which azd takes for a wish to build remotely", () => {
    expect(ignored(["node_modules"])).toEqual([]);
  });
});
