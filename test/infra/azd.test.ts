import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse as parseJsonc, type ParseError } from "jsonc-parser";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { declarationsOf } from "../../scripts/bicep-lint/declarations.ts";
import { parsedTemplate, root } from "./templates.ts";

const read = (name: string): string => readFileSync(join(root, name), "utf8");

// The published schema of azure.yaml is in no package, so what we use of it stands here, closed: a key that azd does not
// know, or that we did not mean, fails.
const hook = z.strictObject({
  posix: z.strictObject({ shell: z.literal("sh"), run: z.string() }),
  windows: z.strictObject({ shell: z.literal("pwsh"), run: z.string() }),
});
const AzureYaml = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]+$/),
  metadata: z.strictObject({ template: z.string() }),
  infra: z.strictObject({ provider: z.literal("bicep"), path: z.string(), module: z.string() }),
  services: z.strictObject({
    api: z.strictObject({
      project: z.literal("."),
      language: z.literal("ts"),
      host: z.literal("function"),
      dist: z.string(),
      remoteBuild: z.literal(false),
      hooks: z.strictObject({ prepackage: hook }),
    }),
    worker: z.strictObject({
      project: z.string(),
      language: z.literal("docker"),
      host: z.literal("containerapp"),
      docker: z.strictObject({ path: z.string(), context: z.string(), remoteBuild: z.boolean() }),
    }),
  }),
  hooks: z.strictObject({ postdeploy: hook }),
});

describe("azure.yaml", () => {
  const azure = AzureYaml.parse(parseYaml(read("azure.yaml")));

  test("names templates and files that exist", () => {
    expect(existsSync(join(root, azure.infra.path, `${azure.infra.module}.bicep`))).toBe(true);
    expect(existsSync(join(root, azure.services.worker.project, azure.services.worker.docker.path))).toBe(true);
    expect(join(root, azure.services.worker.project, azure.services.worker.docker.context)).toBe(root);
    for (const file of [azure.hooks.postdeploy.posix.run, azure.hooks.postdeploy.windows.run])
      expect(existsSync(join(root, file))).toBe(true);
    accessSync(join(root, azure.hooks.postdeploy.posix.run), constants.X_OK);
  });

  test("finds its two targets by the tags of the templates, the worker's on the first pool only", () => {
    expect(read("infra/modules/functions.bicep")).toContain("'azd-service-name': 'api'");
    expect(read("infra/main.bicep")).toContain("index == 0 ? { 'azd-service-name': 'worker' } : {}");
    expect(Object.keys(azure.services)).toEqual(["api", "worker"]);
  });

  test("packages what npm run package makes", () => {
    expect(azure.services.api.hooks.prepackage.posix.run).toContain("npm run package");
    expect(read("scripts/package.ts")).toContain(`"${azure.services.api.dist}"`);
  });

  test("gets from main.bicep the outputs that azd and the hooks need", () => {
    const outputs = declarationsOf(parsedTemplate("main.bicep")).flatMap(({ kind, name }) => (kind === "output" ? [name] : []));
    const hooks = read("infra/hooks/roll-out-worker.sh");
    const used = [...hooks.matchAll(/^: "\$\{(\w+):/gm)].map((match) => match[1]).filter((name) => name !== "SERVICE_WORKER_IMAGE_NAME");
    expect(used).toEqual(["AZURE_RESOURCE_GROUP", "WORKER_APP_NAMES"]);
    expect(outputs).toEqual(
      expect.arrayContaining([...used, "AZURE_CONTAINER_REGISTRY_ENDPOINT", "AZURE_LOCATION", "OUTBOUND_IP_ADDRESS", "API_URL"]),
    );
  });
});

test("the roll-out hook updates every pool but the first, and says which setting is missing", () => {
  const script = join(root, "infra/hooks/roll-out-worker.sh");
  const calls = execFileSync("sh", ["-c", `az() { echo "az $*"; }; . "${script}"`], {
    encoding: "utf8",
    env: {
      PATH: process.env["PATH"],
      AZURE_RESOURCE_GROUP: "rg-x",
      WORKER_APP_NAMES: "ca-a ca-b ca-c",
      SERVICE_WORKER_IMAGE_NAME: "cr/x:1",
    },
  });
  expect(calls.split("\n").filter((line) => line.startsWith("az "))).toEqual(
    ["ca-b", "ca-c"].map((app) => `az containerapp update --resource-group rg-x --name ${app} --image cr/x:1 --output none`),
  );
  expect(() => execFileSync("sh", [script], { env: { PATH: process.env["PATH"] }, stdio: "pipe" })).toThrow(
    /AZURE_RESOURCE_GROUP: run azd provision/,
  );
});

test("the sample parameter files and configurations are JSON", () => {
  for (const name of [
    "host.json",
    "local.settings.sample.json",
    "infra/abbreviations.json",
    "infra/bicepconfig.json",
    "local/broker/Config.json",
  ]) {
    const errors: ParseError[] = [];
    parseJsonc(read(name), errors);
    expect(errors, name).toEqual([]);
  }
});

test("no abbreviation is left over", () => {
  const used = new Set([...read("infra/main.bicep").matchAll(/abbreviations\.(\w+)/g)].map((match) => match[1]));
  expect(Object.keys(JSON.parse(read("infra/abbreviations.json")) as object).filter((name) => !used.has(name))).toEqual([]);
});

describe("host.json", () => {
  const host = z
    .object({
      version: z.literal("2.0"),
      functionTimeout: z.string().regex(/^\d{2}:\d{2}:\d{2}$/),
      extensionBundle: z.object({ id: z.literal("Microsoft.Azure.Functions.ExtensionBundle"), version: z.string() }),
      extensions: z.object({ http: z.looseObject({ routePrefix: z.string() }), serviceBus: z.looseObject({ transportType: z.string() }) }),
    })
    .parse(JSON.parse(read("host.json")));

  test("serves the routes of the API as they are, without a prefix", () => {
    expect(host.extensions.http.routePrefix).toBe("");
  });

  test("speaks to the bus over 443 alone, which a strict network leaves open", () => {
    expect(host.extensions.serviceBus.transportType).toBe("amqpWebSockets");
  });
});
