import { type Node } from "web-tree-sitter";
import { type BicepFile, bodyOf, type Finding, findingAt, literalText, nodesOfType, parts, propertiesOf } from "./bicep-file.ts";
import { type Declaration, declarationsOf, valueOf } from "./declarations.ts";

/** A property that every resource of a type must have, with exactly this value. */
interface RequiredProperty {
  readonly type: string;
  readonly path: readonly string[];
  readonly value: string;
}

const properties = (type: string, values: Readonly<Record<string, string>>): RequiredProperty[] =>
  Object.entries(values).map(([path, value]) => ({ type, path: path.split("."), value }));

/** No keys, no passwords, no plain text, anywhere. */
const required: readonly RequiredProperty[] = [
  ...properties("Microsoft.ServiceBus/namespaces", { "properties.disableLocalAuth": "true", "properties.minimumTlsVersion": "'1.2'" }),
  ...properties("Microsoft.Storage/storageAccounts", {
    "properties.allowSharedKeyAccess": "false",
    "properties.allowBlobPublicAccess": "false",
    "properties.minimumTlsVersion": "'TLS1_2'",
  }),
  ...properties("Microsoft.ContainerRegistry/registries", { "properties.adminUserEnabled": "false" }),
  ...properties("Microsoft.KeyVault/vaults", { "properties.enableRbacAuthorization": "true" }),
  ...properties("Microsoft.OperationalInsights/workspaces", { "properties.features.disableLocalAuth": "true" }),
  ...properties("Microsoft.Insights/components", { "properties.DisableLocalAuth": "true" }),
  ...properties("Microsoft.Web/sites", { "properties.httpsOnly": "true", "properties.siteConfig.minTlsVersion": "'1.2'" }),
  ...properties("Microsoft.App/managedEnvironments", { "properties.vnetConfiguration.internal": "true" }),
  ...properties("Microsoft.Authorization/roleAssignments", { "properties.principalType": "'ServicePrincipal'" }),
];

const typeOf = (resource: Node): string => literalText(parts(resource).find((part) => part.type === "string"))?.split("@")[0] ?? "";

function valueAt(object: Node | undefined, path: readonly string[]): Node | undefined {
  let node = object;
  for (const name of path) node = node?.type === "object" ? propertiesOf(node).get(name) : undefined;
  return node;
}

const isExisting = (resource: Node): boolean => resource.children.some((child) => child.type === "existing");

function requiredProperties(file: BicepFile): Finding[] {
  const findings: Finding[] = [];
  for (const resource of nodesOfType(file.root, "resource_declaration").filter((node) => !isExisting(node))) {
    for (const { type, path, value } of required.filter((each) => each.type === typeOf(resource))) {
      const found = valueAt(bodyOf(resource), path);
      if (found?.text !== value)
        findings.push(findingAt(file, found ?? resource, "policy", `${type} must have ${path.join(".")}: ${value}`));
    }
  }
  return findings;
}

/** Keys are never read: everything goes by identity. */
const keyReaders = (file: BicepFile): Finding[] =>
  nodesOfType(file.root, "call_expression")
    .map((call) => call.childForFieldName("function"))
    .filter((callee): callee is Node => /(^|\.)list(\w*Keys|\w*Secrets|\w*Sas|Credentials|ConnectionStrings)?$/i.test(callee?.text ?? ""))
    .map((callee) => findingAt(file, callee, "policy", `${callee.text}() reads a key or secret; use a managed identity`));

const secretWord = /password|secret|sharedKey|accountKey|connectionString/i;

/** What holds a secret is @secure, has no default but '', and is no output. */
function secrets(file: BicepFile, declarations: readonly Declaration[]): Finding[] {
  return declarations.flatMap((declaration) => {
    const { kind, name, node, decorators } = declaration;
    const value = valueOf(declaration);
    if (kind === "param" && /password/i.test(name) && !decorators.includes("secure")) {
      return [findingAt(file, node, "policy", `the parameter "${name}" must be @secure()`)];
    }
    if (kind === "param" && decorators.includes("secure") && value && value.text !== "''") {
      return [findingAt(file, node, "policy", `the secure parameter "${name}" must have no default`)];
    }
    const secure = declarations.filter((each) => each.decorators.includes("secure")).map((each) => each.name);
    const leaks = kind === "output" && value && nodesOfType(value, "identifier").some((id) => secure.includes(id.text));
    return leaks ? [findingAt(file, node, "policy", `the output "${name}" shows a secret`)] : [];
  });
}

/** App settings and environment variables hold names and addresses; a literal in one that sounds like a secret is one. */
const literalSecrets = (file: BicepFile): Finding[] =>
  nodesOfType(file.root, "object_property")
    .map((property) => parts(property))
    .filter(([key, value]) => key && secretWord.test(key.text) && (literalText(value) ?? "") !== "")
    .map(([key]) => findingAt(file, key as Node, "policy", `a literal in "${key?.text ?? ""}": secrets do not stand in templates`));

/** People read templates too. */
const descriptions = (file: BicepFile, declarations: readonly Declaration[]): Finding[] =>
  declarations
    .filter(({ kind, decorators }) => (kind === "param" || kind === "output" || kind === "type") && !decorators.includes("description"))
    .map(({ kind, name, node }) => findingAt(file, node, "description", `the ${kind} "${name}" needs a @description`));

function workers(file: BicepFile, declarations: readonly Declaration[]): Finding[] {
  if (!nodesOfType(file.root, "resource_declaration").some((node) => typeOf(node) === "Microsoft.App/containerApps" && !isExisting(node)))
    return [];
  const findings: Finding[] = [];
  const replicas = declarations.find(({ name }) => name === "minReplicas");
  if (!(Number(replicas && valueOf(replicas)?.text) >= 1)) {
    findings.push(findingAt(file, replicas?.node ?? file.root, "policy", "minReplicas must have a default of 1 or more"));
  }
  const ingress = nodesOfType(file.root, "object_property").find((property) => parts(property)[0]?.text === "ingress");
  if (ingress) findings.push(findingAt(file, ingress, "policy", "nothing opens a connection to a worker: no ingress"));
  return findings;
}

const field = (rule: Node, name: string): string => propertiesOf(rule).get(name)?.text ?? "";

/** A template with rules that let something out must end with one that lets nothing else out. */
function denyRule(file: BicepFile): Finding[] {
  const rules = nodesOfType(file.root, "object").filter(
    (object) => propertiesOf(object).has("access") && propertiesOf(object).has("direction"),
  );
  if (rules.length === 0) return [];
  const closes = (direction: string, side: string, range: RegExp): boolean =>
    rules.some((rule) => field(rule, "access") === "'Deny'" && field(rule, "direction") === direction && range.test(field(rule, side)));
  const findings: Finding[] = [];
  if (!closes("'Outbound'", "destinationAddressPrefix", /^'(Internet|\*)'$/)) {
    findings.push(findingAt(file, rules[0] ?? file.root, "policy", "a rule must deny the internet, outbound"));
  }
  if (!closes("'Inbound'", "sourceAddressPrefix", /^'\*'$/)) {
    findings.push(findingAt(file, rules[0] ?? file.root, "policy", "a rule must deny everything, inbound"));
  }
  return findings;
}

/** What the templates promise about safety, asserted on their trees. */
export function policyFindings(file: BicepFile): Finding[] {
  if (file.isParameterFile) return literalSecrets(file);
  const declarations = declarationsOf(file);
  return [
    ...requiredProperties(file),
    ...keyReaders(file),
    ...secrets(file, declarations),
    ...literalSecrets(file),
    ...descriptions(file, declarations),
    ...workers(file, declarations),
    ...denyRule(file),
  ];
}
