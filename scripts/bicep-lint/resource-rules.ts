import { type Node } from "web-tree-sitter";
import { type BicepFile, bodyOf, type Finding, findingAt, literalText, nodesOfType, parts, propertiesOf } from "./bicep-file.ts";
import { allowedPreviews, pins } from "./pins.ts";

const fullType = /^([A-Z][A-Za-z]+\.[A-Za-z]+(?:\/[A-Za-z]+)+)@(\d{4}-\d{2}-\d{2})(-preview)?$/;

const isNested = (resource: Node): boolean => resource.parent?.type === "object_property";

/** `Provider/type@version` of a resource: well formed, no preview, and the version that all templates use. */
function versionFinding(file: BicepFile, resource: Node): Finding | undefined {
  const typeNode = parts(resource).find((part) => part.type === "string");
  const text = literalText(typeNode);
  if (!typeNode || text === undefined) return undefined;
  if (isNested(resource)) {
    return /^[a-zA-Z]+$/.test(text)
      ? undefined
      : findingAt(file, typeNode, "resource-type", `"${text}": a nested resource names only the last part of its type`);
  }
  const match = fullType.exec(text);
  const type = match?.[1];
  if (!match || !type) return findingAt(file, typeNode, "resource-type", `"${text}" is not of the form Provider/type@yyyy-mm-dd`);
  const top = type.split("/").slice(0, 2).join("/");
  if (match[3] && !allowedPreviews.has(top)) return findingAt(file, typeNode, "preview-version", `"${text}" is a preview`);
  const pin = pins[top];
  const version = `${match[2] ?? ""}${match[3] ?? ""}`;
  if (pin === undefined) return findingAt(file, typeNode, "version-pin", `${top} has no version in pins.ts`);
  return version === pin ? undefined : findingAt(file, typeNode, "version-pin", `${top} is used at ${pin}, not at ${version}`);
}

/** A child resource (Provider/parent/child) that is not nested needs `parent`, and a name without slashes. */
function parentFinding(file: BicepFile, resource: Node): Finding | undefined {
  const type = literalText(parts(resource).find((part) => part.type === "string"))?.split("@")[0] ?? "";
  const body = bodyOf(resource);
  if (!body || isNested(resource) || type.split("/").length < 3) return undefined;
  return propertiesOf(body).has("parent") ? undefined : findingAt(file, resource, "parent", `a resource of type ${type} needs "parent"`);
}

function nameFinding(file: BicepFile, resource: Node): Finding | undefined {
  const body = bodyOf(resource);
  if (!body || propertiesOf(body).has("name")) return undefined;
  return findingAt(file, resource, "resource-name", "a resource needs a name");
}

/** Everything about single resources. */
export const resourceFindings = (file: BicepFile): Finding[] =>
  nodesOfType(file.root, "resource_declaration")
    .flatMap((resource) => [versionFinding(file, resource), parentFinding(file, resource), nameFinding(file, resource)])
    .filter((finding) => finding !== undefined);
