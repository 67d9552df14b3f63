import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Node } from "web-tree-sitter";
import { z } from "zod";
import { readConfig } from "../../functions/config.ts";
import { readConfig as readWorkerConfig } from "../../worker/config.ts";
import { literalText, nodesOfType, parts, propertiesOf } from "../../scripts/bicep-lint/bicep-file.ts";
import { bodyOfDeclared, parsedTemplate, root, valueAt } from "./templates.ts";

/** The app settings of the template; what is known only in Azure is shown by its expression. */
const appSettings = Object.fromEntries(
  [...propertiesOf(valueAt(bodyOfDeclared("modules/functions.bicep", "settings"), "properties"))].map(([name, value]) => [
    name,
    literalText(value) ?? `<${value.text}>`,
  ]),
);

describe("the Functions app", () => {
  test("starts with the settings of the template, with identities and no connection string", () => {
    expect(appSettings).toMatchObject({ LAG_WARNING_MINUTES: "<string(lagMinutes)>", WAL_WARNING_GIB: "<string(walBudgetGB)>" });
    const config = readConfig({ ...appSettings, LAG_WARNING_MINUTES: "15", WAL_WARNING_GIB: "50" });
    expect(config).toMatchObject({
      tables: { endpoint: "<tablesEndpoint>" },
      serviceBus: { namespace: "<serviceBusHostName>" },
      secrets: { vaultUri: "<keyVaultUri>" },
      identityClientId: "<identityClientId>",
      eventsTopic: "<eventsTopic>",
      levels: { lagSeconds: 900, walHeldBytes: 50 * 1024 ** 3 },
      auth: { mode: "entra", tenantId: "<subscription().tenantId>" },
    });
  });

  test("reaches storage and the bus with a user-assigned identity, which takes three settings each", () => {
    const names = Object.keys(appSettings);
    expect(names).toEqual(
      expect.arrayContaining([
        ...["accountName", "clientId", "credential"].map((part) => `AzureWebJobsStorage__${part}`),
        ...["fullyQualifiedNamespace", "clientId", "credential"].map((part) => `ServiceBusConnection__${part}`),
      ]),
    );
  });

  test("finds every table of its state made", () => {
    const made = /var tableNames = \[([^\]]*)\]/.exec(parsedTemplate("main.bicep").source)?.[1] ?? "";
    const used = [...readFileSync(join(root, "functions/store/store.ts"), "utf8").matchAll(/\btable\("(\w+)"/g)].map((match) => match[1]);
    expect([...made.matchAll(/'(\w+)'/g)].map((match) => match[1])).toEqual(used);
  });

  test("has none of the settings that Flex Consumption refuses", () => {
    const refused =
      /^(FUNCTIONS_WORKER_RUNTIME|FUNCTIONS_EXTENSION_VERSION|WEBSITE_RUN_FROM_PACKAGE|WEBSITE_NODE_DEFAULT_VERSION|WEBSITE_CONTENT.*|SCM_.*|AzureWebJobsStorage)$/;
    expect(Object.keys(appSettings).filter((name) => refused.test(name))).toEqual([]);
    expect(nodesOfType(parsedTemplate("modules/functions.bicep").root, "identifier").map(({ text }) => text)).not.toContain(
      "linuxFxVersion",
    );
  });

  test("lets nobody call the API without a token", () => {
    const open = /param openPaths string\[\] = \[([^\]]*)\]/.exec(parsedTemplate("main.bicep").source)?.[1] ?? "";
    const paths = [...open.matchAll(/'([^']*)'/g)].map((match) => match[1]);
    expect(paths).toContain("/health");
    expect(paths.filter((path) => path === "/*" || path?.startsWith("/subscriptions"))).toEqual([]);
  });
});

/** The environment of the worker's container; what is known only in Azure is shown by its expression, as an address where one is due. */
const workerEnvironment = Object.fromEntries(
  nodesOfType(bodyOfDeclared("modules/worker.bicep", "app"), "object_property")
    .filter((property) => parts(property)[0]?.text === "env")
    .flatMap((property) => nodesOfType(parts(property)[1] as Node, "object"))
    .map((object) => propertiesOf(object))
    .map((item) => [literalText(item.get("name")), literalText(item.get("value")) ?? item.get("value")?.text]),
) as Record<string, string>;

test("the worker starts with the environment of the template, and of its image", () => {
  const image = { PG_DUMP_PATH: "/usr/lib/postgresql/18/bin/pg_dump" };
  const config = readWorkerConfig({
    ...image,
    ...workerEnvironment,
    KEY_VAULT_URI: "https://kv-x.vault.azure.net/",
    HEALTH_PORT: "8080",
    MAX_TASKS: "4",
  });
  expect(config).toMatchObject({
    PGDMS_SERVICE: "poolName",
    ServiceBusConnection__fullyQualifiedNamespace: "serviceBusHostName",
    AZURE_CLIENT_ID: "identityClientId",
    LOG_LEVEL: "info",
  });
  expect(config.ServiceBusConnection).toBeUndefined();
  expect(Object.keys(workerEnvironment)).toEqual(expect.arrayContaining(["KEY_VAULT_URI", "HEALTH_PORT", "MAX_TASKS"]));
});

test("the platform waits longer for a worker to end than the worker waits for a boundary", () => {
  const grace = valueAt(bodyOfDeclared("modules/worker.bicep", "app"), "properties", "template", "terminationGracePeriodSeconds").text;
  expect(Number(workerEnvironment["STOP_GRACE_SECONDS"])).toBeLessThan(Number(grace) - 60);
});

test("the sample of the local settings lets the Functions app start", () => {
  const sample = z
    .object({ Values: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(root, "local.settings.sample.json"), "utf8")));
  expect(readConfig(sample.Values)).toMatchObject({ auth: { mode: "none" }, secrets: { dir: ".pgdms/secrets" } });
});

test("the sample names each setting that the host resolves, as the template does", () => {
  const sample = readFileSync(join(root, "local.settings.sample.json"), "utf8");
  for (const name of ["REPORTS_QUEUE", "REQUESTS_QUEUE", "EVENTS_TOPIC", "WATCHDOG_CRON"]) {
    expect(sample).toContain(`"${name}"`);
    expect(appSettings).toHaveProperty(name);
  }
});
