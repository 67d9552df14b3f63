import { type Node } from "web-tree-sitter";
import { type BicepFile, descendants, type Finding, findingAt, literalText, nodesOfType, parts, propertiesOf } from "./bicep-file.ts";
import { declarationsOf, importsOf, valueOf } from "./declarations.ts";
import { type FileSet } from "./file-set.ts";

/** A name in scope and the properties that it has. */
type Shapes = ReadonlyMap<string, ReadonlySet<string>>;

const keysOf = (object: Node): Set<string> => new Set(propertiesOf(object).keys());

/** The object types that a file can use by name: its own and those it imports. */
function typesOf(file: BicepFile, set: FileSet): Shapes {
  const imported = importsOf(file).flatMap(({ from, names }) => {
    const source = from === undefined ? undefined : set.template(file, from);
    return source ? declarationsOf(source).filter(({ name }) => names.includes(name)) : [];
  });
  const shapes = new Map<string, ReadonlySet<string>>();
  for (const declaration of [...imported, ...declarationsOf(file)].filter(({ kind }) => kind === "type")) {
    const value = valueOf(declaration);
    if (value?.type === "object") shapes.set(declaration.name, keysOf(value));
  }
  return shapes;
}

const typeName = (declaration: Node): string => parts(declaration).find((part) => part.type === "type")?.text ?? "";

/** The shapes of parameters of an object type, and of variables that hold the content of a JSON file. */
function shapesOfNames(file: BicepFile, set: FileSet, types: Shapes): Shapes {
  const shapes = new Map<string, ReadonlySet<string>>();
  for (const declaration of declarationsOf(file)) {
    const byType = declaration.kind === "param" ? types.get(typeName(declaration.node).replace(/\?$/, "")) : undefined;
    const path = /^loadJsonContent\('([^']+)'\)$/.exec(valueOf(declaration)?.text ?? "")?.[1];
    const content = path === undefined ? undefined : set.content(file, path);
    const byContent = content === undefined ? undefined : new Set(Object.keys(JSON.parse(content) as object));
    const shape = byType ?? byContent;
    if (shape) shapes.set(declaration.name, shape);
  }
  return shapes;
}

/** The shape of the items that a loop runs over, when it runs over a parameter that is a list of an object type. */
function shapeOfItems(file: BicepFile, loop: Node, types: Shapes): [string, ReadonlySet<string>] | undefined {
  const names = parts(loop).find((part) => part.type === "for_loop_parameters");
  const item = names ? parts(names)[0] : loop.childForFieldName("initializer");
  const list = parts(loop).find((part) => part.type === "identifier" && part.id !== item?.id);
  const declaration = declarationsOf(file).find(({ kind, name }) => kind === "param" && name === list?.text);
  const shape = declaration && types.get(typeName(declaration.node).replace(/\[\]$/, ""));
  return item && shape ? [item.text, shape] : undefined;
}

function accessFindings(file: BicepFile, below: Node, shapes: Shapes): Finding[] {
  const findings: Finding[] = [];
  for (const access of nodesOfType(below, "member_expression")) {
    const [object, property] = [access.childForFieldName("object"), access.childForFieldName("property")];
    const shape = object?.type === "identifier" ? shapes.get(object.text) : undefined;
    if (shape && property && !shape.has(property.text)) {
      findings.push(findingAt(file, property, "unknown-property", `"${object?.text ?? ""}" has no property "${property.text}"`));
    }
  }
  return findings;
}

const loaders = /^(loadTextContent|loadJsonContent|loadYamlContent|loadFileAsBase64)$/;

function loadFindings(file: BicepFile, set: FileSet): Finding[] {
  return nodesOfType(file.root, "call_expression")
    .filter((call) => loaders.test(call.childForFieldName("function")?.text ?? ""))
    .map((call) => parts(call.childForFieldName("arguments") ?? call)[0])
    .filter((path): path is Node => path !== undefined && set.content(file, literalText(path) ?? "") === undefined)
    .map((path) => findingAt(file, path, "missing-file", `${path.text} does not exist`));
}

/** `parent::child` must name a resource that is nested in the parent. */
function nestedFindings(file: BicepFile): Finding[] {
  const resources = nodesOfType(file.root, "resource_declaration");
  const named = (name: string | undefined): Node | undefined => resources.find((resource) => parts(resource)[0]?.text === name);
  return nodesOfType(file.root, "resource_expression")
    .filter((expression) => {
      const parent = named(expression.childForFieldName("object")?.text.split("::").at(-1));
      const child = expression.childForFieldName("resource")?.text;
      return parent && ![...descendants(parent)].some((node) => node.type === "resource_declaration" && parts(node)[0]?.text === child);
    })
    .map((expression) => findingAt(file, expression, "undeclared", `there is no nested resource "${expression.text}"`));
}

/** Properties of what has a known shape, and files that are read. */
export function memberFindings(file: BicepFile, set: FileSet): Finding[] {
  const types = typesOf(file, set);
  const findings = [
    ...accessFindings(file, file.root, shapesOfNames(file, set, types)),
    ...loadFindings(file, set),
    ...nestedFindings(file),
  ];
  for (const loop of nodesOfType(file.root, "for_statement")) {
    const item = shapeOfItems(file, loop, types);
    if (item) findings.push(...accessFindings(file, loop, new Map([item])));
  }
  return findings;
}
