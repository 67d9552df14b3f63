import { type Node } from "web-tree-sitter";
import { expect, test } from "vitest";
import { bodyOf, literalText, nodesOfType, parts } from "../../scripts/bicep-lint/bicep-file.ts";
import { declarationsOf, valueOf } from "../../scripts/bicep-lint/declarations.ts";
import { parsedTemplate, valueAt } from "./templates.ts";

const roleNames: Readonly<Record<string, string>> = {
  "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
  "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
  "4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0": "Azure Service Bus Data Receiver",
  "69a216fc-b8fb-44d8-bc22-1f3c2cd27a39": "Azure Service Bus Data Sender",
  "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
  "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
  "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
  "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
};

const idsIn = (node: Node): string[] => nodesOfType(node, "string").flatMap((text) => literalText(text) ?? []);

/** "who: role on scope" for each role assignment of a template. */
function rightsIn(template: string): string[] {
  const file = parsedTemplate(template);
  const roleIds = new Map(declarationsOf(file).map((each) => [each.name, valueOf(each)]));
  return nodesOfType(file.root, "resource_declaration")
    .filter((resource) => literalText(parts(resource)[1])?.startsWith("Microsoft.Authorization/roleAssignments@"))
    .flatMap((resource) => {
      const body = bodyOf(resource) as Node;
      const definition = valueAt(body, "properties", "roleDefinitionId").text;
      const role = /, (\w+)\)$/.exec(definition)?.[1] ?? "";
      // A loop over a list of roles gives each of them.
      const list = roleIds.get(role) ?? roleIds.get("functionsRoles");
      const who = valueAt(body, "properties", "principalId").text;
      return idsIn(list as Node).map((id) => `${who}: ${roleNames[id] ?? id} on ${valueAt(body, "scope").text}`);
    });
}

test("everyone has the rights that the work needs, and no other", () => {
  const templates = [
    "monitoring",
    "storage",
    "service-bus",
    "key-vault",
    "registry",
    "functions",
    "worker",
    "network",
    "postgres",
    "alerts",
  ];
  expect(templates.flatMap((name) => rightsIn(`modules/${name}.bicep`)).sort()).toEqual(
    [
      "functionsPrincipalId: Monitoring Metrics Publisher on applicationInsights",
      "workerPrincipalIds[index]: Monitoring Metrics Publisher on applicationInsights",
      "functionsPrincipalId: Storage Blob Data Owner on account",
      "functionsPrincipalId: Storage Table Data Contributor on account",
      "functionsPrincipalId: Azure Service Bus Data Receiver on reports",
      "functionsPrincipalId: Azure Service Bus Data Receiver on requests",
      "functionsPrincipalId: Azure Service Bus Data Sender on commands[index]",
      "functionsPrincipalId: Azure Service Bus Data Sender on events",
      "functionsPrincipalId: Key Vault Secrets Officer on vault",
      "workerPrincipalIds[index]: Azure Service Bus Data Receiver on commands[index]",
      "workerPrincipalIds[index]: Azure Service Bus Data Sender on reports",
      "principalId: Key Vault Secrets User on vault",
      "platformPrincipalId: Azure Service Bus Data Receiver on namespace",
      "platformPrincipalId: AcrPull on registry",
      "principalId: Azure Service Bus Data Sender on requests",
      "principalId: Azure Service Bus Data Receiver on events",
    ].sort(),
  );
});
