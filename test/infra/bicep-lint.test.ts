import { describe, expect, test } from "vitest";
import { lintChanged, lintOurs, template } from "./templates.ts";

/** A mistake: in which file, which text becomes which other text, and the rule that must see it. */
type Mistake = readonly [title: string, file: string, from: string, to: string, rule: string];

const mistakes: readonly Mistake[] = [
  // Form
  ["a closing brace is missing", "modules/registry.bicep", "    anonymousPullEnabled: false\n", "    x: {\n", "syntax"],
  [
    "a closing bracket is missing",
    "modules/network.bicep",
    "addressPrefixes: [addressPrefix]",
    "addressPrefixes: [addressPrefix",
    "syntax",
  ],
  ["a closing parenthesis is missing", "modules/network.bicep", "cidrSubnet(base, 26, 0)", "cidrSubnet(base, 26, 0", "syntax"],
  ["a colon is missing", "modules/storage.bicep", "kind: 'StorageV2'", "kind 'StorageV2'", "syntax"],
  ["an equals sign is missing", "modules/storage.bicep", "var packageContainerName =", "var packageContainerName", "syntax"],
  ["a quote is missing", "modules/storage.bicep", "'app-package'", "'app-package", "syntax"],
  ["text stands in double quotes", "modules/storage.bicep", "'app-package'", '"app-package"', "syntax"],
  ["a statement ends with a semicolon", "modules/worker.bicep", "var healthPort = 8080", "var healthPort = 8080;", "syntax"],
  ["a condition has no parentheses", "modules/worker.bicep", "if (hasOwnMachines) {", "if hasOwnMachines {", "syntax"],
  ["an operator has one operand", "modules/worker.bicep", "workloadProfile != 'Consumption'", "workloadProfile !=", "syntax"],
  ["a parameter has no type", "modules/key-vault.bicep", "param purgeProtection bool", "param purgeProtection", "syntax"],
  ["a loop has no list", "modules/identity.bicep", "for poolName in poolNames: {", "for poolName in : {", "syntax"],
  [
    "two statements stand on one line",
    "modules/worker.bicep",
    "'Consumption'\nvar sharedProfile",
    "'Consumption' var sharedProfile",
    "one-statement-a-line",
  ],
  ["two items have no comma", "modules/storage.bicep", "enabled: true, days: 7", "enabled: true days: 7", "missing-comma"],
  ["a line ends with a comma", "modules/storage.bicep", "accessTier: 'Hot'\n", "accessTier: 'Hot',\n", "comma-before-line-end"],
  [
    "a decorator hangs in the air",
    "modules/current-image.bicep",
    "output image string = app.properties.template.containers[0].image",
    "",
    "dangling-decorator",
  ],
  ["a decorator does not exist", "modules/postgres.bicep", "@secure()", "@secret()", "unknown-decorator"],

  // Names
  ["a variable does not exist", "modules/worker.bicep", "string(healthPort)", "string(healthport)", "undeclared"],
  ["a function does not exist", "modules/network.bicep", "cidrSubnet(base, 28, 8)", "cidrSubnets(base, 28, 8)", "undeclared"],
  ["a type does not exist", "modules/key-vault.bicep", "param mode networkMode", "param mode networkMod", "undeclared"],
  [
    "a resource does not exist",
    "modules/postgres.bicep",
    "privateDnsZoneArmResourceId: zone.id",
    "privateDnsZoneArmResourceId: zones.id",
    "undeclared",
  ],
  ["a nested resource does not exist", "modules/postgres.bicep", "zone::link", "zone::links", "undeclared"],
  [
    "a loop variable is used after its loop",
    "main.bicep",
    "location: location\n  tags: allTags",
    "location: service.name\n  tags: allTags",
    "undeclared",
  ],
  ["a name is given twice", "modules/worker.bicep", "var hasOwnMachines", "var healthPort", "declared-twice"],
  ["a parameter is not used", "modules/registry.bicep", "publicAccess ? 'Enabled' : 'Disabled'", "'Enabled'", "unused"],
  ["a variable is not used", "modules/alerts.bicep", "walBudgetGB * bytesPerGB", "walBudgetGB * 1073741824", "unused"],
  [
    "an imported name does not exist",
    "modules/registry.bicep",
    "import { networkMode }",
    "import { networkMode, networkMood }",
    "unknown-import",
  ],
  ["a property of a type does not exist", "modules/postgres.bicep", "server.skuTier", "server.tier", "unknown-property"],
  ["a property of a list's items does not exist", "main.bicep", "service.?maxTasks", "service.?maxTask", "unknown-property"],
  ["an abbreviation does not exist", "main.bicep", "abbreviations.keyVault", "abbreviations.vault", "unknown-property"],

  // Resources
  ["an API version is malformed", "modules/storage.bicep", "storageAccounts@2025-01-01", "storageAccounts@2025-1-1", "resource-type"],
  [
    "an API version is another than ours",
    "modules/storage.bicep",
    "storageAccounts@2025-01-01",
    "storageAccounts@2023-05-01",
    "version-pin",
  ],
  [
    "an API version is a preview",
    "modules/worker.bicep",
    "containerApps@2025-07-01",
    "containerApps@2025-10-02-preview",
    "preview-version",
  ],
  ["a child has no parent", "modules/service-bus.bicep", "  parent: namespace\n  name: 'reports'", "  name: 'reports'", "parent"],
  ["a resource has no name", "modules/functions.bicep", "  name: planName\n", "", "resource-name"],

  // Between files
  ["a module's file does not exist", "main.bicep", "modules/alerts.bicep", "modules/alarms.bicep", "missing-file"],
  ["a file to load does not exist", "modules/alerts.bicep", "queries/lag.kql", "queries/delay.kql", "missing-file"],
  [
    "a module gets a parameter that it does not have",
    "main.bicep",
    "lagMinutes: lagMinutes",
    "lagSeconds: lagMinutes",
    "unknown-parameter",
  ],
  ["a module lacks a parameter", "main.bicep", "    lagMinutes: lagMinutes\n", "", "missing-parameter"],
  [
    "a module gets a value that it does not take",
    "main.bicep",
    "mode: mode\n    skuName: storageSku",
    "mode: 'secret'\n    skuName: 'Standard_RAGRS'",
    "parameter-value",
  ],
  ["a module has no such output", "main.bicep", "keyVault.outputs.uri", "keyVault.outputs.url", "unknown-output"],
  [
    "an element of a module has no such output",
    "main.bicep",
    "workers[index].outputs.appId",
    "workers[index].outputs.id",
    "unknown-output",
  ],
  ["a module for a resource group has no scope", "main.bicep", "  name: 'alerts'\n  scope: group\n", "  name: 'alerts'\n", "scope"],
  ["a parameter file gives what the template does not have", "main.bicepparam", "param mode =", "param mood =", "unknown-parameter"],
  [
    "a parameter file lacks what the template needs",
    "main.bicepparam",
    "param environmentName = readEnvironmentVariable('AZURE_ENV_NAME')\n",
    "",
    "missing-parameter",
  ],

  // Policy
  ["a key is read", "modules/storage.bicep", "account.properties.primaryEndpoints.table", "account.listKeys().keys[0].value", "policy"],
  ["the bus takes keys", "modules/service-bus.bicep", "disableLocalAuth: true", "disableLocalAuth: false", "policy"],
  ["storage takes keys", "modules/storage.bicep", "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "policy"],
  ["the registry has an admin user", "modules/registry.bicep", "    adminUserEnabled: false\n", "", "policy"],
  ["the worker may vanish", "modules/worker.bicep", "param minReplicas int = 1", "param minReplicas int = 0", "policy"],
  [
    "the internet is not denied",
    "modules/worker-security-group.bicep",
    "access: 'Deny'\n      direction: 'Outbound'",
    "access: 'Allow'\n      direction: 'Outbound'",
    "policy",
  ],
  ["the worker listens to the internet", "modules/worker.bicep", "activeRevisionsMode: 'Single'", "ingress: { external: true }", "policy"],
  ["a password is not secure", "modules/postgres.bicep", "@secure()\n", "", "policy"],
  [
    "a password has a default",
    "main.bicep",
    "param targetAdministratorPassword string = ''",
    "param targetAdministratorPassword string = 'Passw0rd!'",
    "policy",
  ],
  [
    "a password is shown",
    "main.bicep",
    "output KEY_VAULT_URI string = keyVault.outputs.uri",
    "output KEY_VAULT_URI string = targetAdministratorPassword",
    "policy",
  ],
  ["a parameter has no description", "modules/current-image.bicep", "@description('Name of the app.')\n", "", "description"],
];

test("the lint finds nothing in our templates", () => {
  expect(lintOurs()).toEqual([]);
});

describe("the lint sees when", () => {
  test.each(mistakes)("%s", (_title, file, from, to, rule) => {
    const source = template(file);
    expect(source, "the text to change must be there").toContain(from);
    const found = lintChanged(file, source.replace(from, to));
    expect(found.map((finding) => finding.rule)).toContain(rule);
  });
});

test("a finding says where it is", () => {
  const source = template("modules/registry.bicep");
  const line = source.slice(0, source.indexOf("adminUserEnabled: false")).split("\n").length;
  const changed = source.replace("adminUserEnabled: false", "adminUserEnabled: true");
  expect(lintChanged("modules/registry.bicep", changed)).toEqual([
    expect.objectContaining({ file: "registry.bicep", line, column: 23, rule: "policy" }),
  ]);
});
