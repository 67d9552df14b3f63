import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { infra, root } from "./templates.ts";

// The real compiler knows what our lint cannot: the types of Azure's resources. It is no npm package, so this runs where it is.

const candidates = [["bicep"], ["az", "bicep"]] as const;
const works = (command: readonly string[]): boolean => {
  const [program = "", ...rest] = command;
  return spawnSync(program, [...rest, rest.length > 0 ? "version" : "--version"], { stdio: "ignore" }).status === 0;
};
const cli = candidates.find(works);

function run(verb: "build" | "lint" | "build-params", file: string) {
  const [program = "", ...rest] = cli ?? [];
  const target = rest.length > 0 ? ["--file", file] : [file];
  const toStdout = verb === "lint" ? [] : ["--stdout"];
  const environment = { AZURE_ENV_NAME: "test", AZURE_LOCATION: "westeurope", PGDMS_API_CLIENT_ID: "00000000-0000-0000-0000-000000000000" };
  return spawnSync(program, [...rest, verb, ...target, ...toStdout], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
}

if (!cli) {
  console.warn(
    "\n  SKIPPED: no Bicep CLI here, so the templates were not compiled. What was checked: syntax, names, versions, policy." +
      "\n  Not checked: the types of Azure's resources. Install it (az bicep install) and run: npx vitest run test/infra\n",
  );
}

describe.skipIf(!cli)("the Bicep CLI", () => {
  test("builds main.bicep without an error or a warning", () => {
    const { status, stderr } = run("build", `${infra}/main.bicep`);
    expect(stderr).not.toMatch(/: (Error|Warning) /);
    expect(status).toBe(0);
  });

  test("finds nothing to complain about by the rules of bicepconfig.json", () => {
    const { status, stdout, stderr } = run("lint", `${infra}/main.bicep`);
    expect(`${stdout}${stderr}`).not.toMatch(/: (Error|Warning) /);
    expect(status).toBe(0);
  });

  test("takes the parameter file", () => {
    const { status, stderr } = run("build-params", `${infra}/main.bicepparam`);
    expect(stderr).not.toMatch(/: Error /);
    expect(status).toBe(0);
  });
});
