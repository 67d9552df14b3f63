import { type Node } from "web-tree-sitter";
import { type BicepFile, bodyOf, type Finding, findingAt, literalText, nodesOfType, parts, propertiesOf } from "./bicep-file.ts";
import { type Declaration, declarationsOf, importsOf, isOptional } from "./declarations.ts";
import { type FileSet } from "./file-set.ts";

const parametersOf = (file: BicepFile): Declaration[] => declarationsOf(file).filter(({ kind }) => kind === "param");

const targetScope = (file: BicepFile): string =>
  literalText(parts(file.root).find((node) => node.type === "target_scope_assignment")?.namedChildren[0]) ?? "resourceGroup";

/** The texts that a parameter of a union type takes, or undefined when it takes any. */
function allowedTexts(parameter: Declaration): string[] | undefined {
  const union = parts(parameter.node).find((part) => part.type === "type")?.namedChildren[0];
  if (union?.type !== "union_type") return undefined;
  const texts = parts(union).map((part) => literalText(part));
  return texts.every((text) => text !== undefined) ? texts : undefined;
}

/** The parameters that a caller gives against those that the callee declares. */
function parameterFindings(file: BicepFile, at: Node, given: ReadonlyMap<string, Node>, callee: BicepFile): Finding[] {
  const declared = new Map(parametersOf(callee).map((parameter) => [parameter.name, parameter]));
  const findings: Finding[] = [];
  for (const [name, value] of given) {
    const parameter = declared.get(name);
    if (!parameter) findings.push(findingAt(file, value, "unknown-parameter", `there is no parameter "${name}" to give`));
    const text = literalText(value);
    const allowed = parameter && allowedTexts(parameter);
    if (allowed && text !== undefined && !allowed.includes(text)) {
      findings.push(findingAt(file, value, "parameter-value", `"${name}" takes ${allowed.join(", ")}, not "${text}"`));
    }
  }
  for (const parameter of declared.values()) {
    if (!given.has(parameter.name) && !isOptional(parameter)) {
      findings.push(findingAt(file, at, "missing-parameter", `the parameter "${parameter.name}" must be given`));
    }
  }
  return findings;
}

function callFindings(file: BicepFile, module: Declaration, set: FileSet): Finding[] {
  const pathNode = parts(module.node).find((part) => part.type === "string");
  const path = literalText(pathNode);
  if (!pathNode || path === undefined) return [];
  const callee = set.template(file, path);
  if (!callee) return [findingAt(file, pathNode, "missing-file", `the module ${path} does not exist`)];
  const body = bodyOf(module.node);
  const properties = body ? propertiesOf(body) : new Map<string, Node>();
  const params = properties.get("params");
  const findings = parameterFindings(file, module.node, params?.type === "object" ? propertiesOf(params) : new Map(), callee);
  if (targetScope(file) !== targetScope(callee) && !properties.has("scope")) {
    findings.push(findingAt(file, module.node, "scope", `${path} is deployed to a ${targetScope(callee)}, so the module needs "scope"`));
  }
  return findings;
}

/** `name.outputs.x`, also behind an index or a `!`, must be an output of the module. */
function outputFindings(file: BicepFile, modules: ReadonlyMap<string, Declaration>, set: FileSet): Finding[] {
  const findings: Finding[] = [];
  for (const access of nodesOfType(file.root, "member_expression")) {
    const match = /^(\w+)(?:\[[^\]]*\])?!?\.\??outputs\.\??(\w+)$/.exec(access.text);
    const module = match?.[1] === undefined ? undefined : modules.get(match[1]);
    const callee = module && set.template(file, literalText(parts(module.node).find((part) => part.type === "string")) ?? "");
    if (!callee || match?.[2] === undefined) continue;
    if (!declarationsOf(callee).some(({ kind, name }) => kind === "output" && name === match[2])) {
      findings.push(findingAt(file, access, "unknown-output", `${module.name} has no output "${match[2]}"`));
    }
  }
  return findings;
}

function importFindings(file: BicepFile, set: FileSet): Finding[] {
  return importsOf(file).flatMap(({ from, names, node }) => {
    const source = from === undefined ? undefined : set.template(file, from);
    if (!source) return [findingAt(file, node, "missing-file", `${from ?? "the imported file"} does not exist`)];
    const exported = declarationsOf(source).filter(({ decorators }) => decorators.includes("export"));
    return names
      .filter((name) => !exported.some((each) => each.name === name))
      .map((name) => findingAt(file, node, "unknown-import", `${from ?? ""} does not export "${name}"`));
  });
}

/** A parameter file against the template that it names. */
function parameterFileFindings(file: BicepFile, set: FileSet): Finding[] {
  const path = /^using '([^']+)'$/m.exec(file.source)?.[1];
  const template = path === undefined ? undefined : set.template(file, path);
  if (!template) return [findingAt(file, file.root, "missing-file", "a parameter file begins with: using './template.bicep'")];
  const given = new Map(
    declarationsOf(file)
      .filter(({ kind, node }) => kind === "var" && file.source.slice(node.startIndex).startsWith("param"))
      .map(({ name, node }) => [name, parts(node).at(-1) ?? node]),
  );
  return parameterFindings(file, file.root, given, template);
}

/** Everything that lies between files. */
export function moduleFindings(file: BicepFile, set: FileSet): Finding[] {
  if (file.isParameterFile) return parameterFileFindings(file, set);
  const modules = declarationsOf(file).filter(({ kind }) => kind === "module");
  return [
    ...modules.flatMap((module) => callFindings(file, module, set)),
    ...outputFindings(file, new Map(modules.map((module) => [module.name, module])), set),
    ...importFindings(file, set),
  ];
}
