import { type Node } from "web-tree-sitter";
import { type BicepFile, descendants, type Finding, findingAt, parts } from "./bicep-file.ts";
import { type Declaration, declarationsOf } from "./declarations.ts";
import { functionNames, namespaceNames, typeNames } from "./language.ts";

/** A place where a name is used. */
interface Reference {
  readonly node: Node;
  readonly use: "value" | "function" | "type";
}

/** The names that a lambda gives to its arguments. */
const lambdaNames = (node: Node): string[] =>
  [...descendants(node)]
    .filter((each) => each.type === "lambda_expression")
    .flatMap((lambda) => {
      const head = parts(lambda)[0];
      return head?.type === "identifier" ? [head.text] : head ? parts(head).map((name) => name.text) : [];
    });

const loopNames = (loop: Node): string[] => {
  const names = parts(loop).find((part) => part.type === "for_loop_parameters");
  const single = loop.childForFieldName("initializer");
  return names ? parts(names).map((name) => name.text) : single ? [single.text] : [];
};

const nestedResources = (object: Node): string[] =>
  parts(object)
    .map((property) => parts(property)[0])
    .filter((child) => child?.type === "resource_declaration")
    .map((child) => parts(child as Node)[0]?.text ?? "");

/** Walks expressions and types and gathers what they refer to; `known` holds the names that only live here. */
function collect(node: Node, known: ReadonlySet<string>, found: Reference[]): void {
  const visit = (child: Node | null | undefined, names: ReadonlySet<string> = known): void => {
    if (child) collect(child, names, found);
  };
  const use = (kind: Reference["use"], name: Node): void => {
    if (!known.has(name.text)) found.push({ node: name, use: kind });
  };
  switch (node.type) {
    case "identifier":
      return use(inType(node) ? "type" : "value", node);
    case "decorators":
      // Names of decorators are another matter (syntax-rules.ts); their arguments are literals.
      return;
    case "object_property": {
      const [key, value] = parts(node);
      if (key?.type === "string") visit(key);
      return key?.type === "resource_declaration" ? visit(key) : visit(value);
    }
    case "object": {
      const names = new Set([...known, ...nestedResources(node)]);
      return parts(node).forEach((part) => visit(part, names));
    }
    case "resource_declaration":
    case "module_declaration":
    case "variable_declaration":
    case "parameter_declaration":
    case "output_declaration":
    case "type_declaration":
    case "assert_statement":
    case "metadata_declaration":
      return parts(node)
        .slice(1)
        .forEach((part) => visit(part));
    case "user_defined_function": {
      const names = new Set([
        ...known,
        ...[...descendants(node)].filter((n) => n.type === "parameter").map((n) => parts(n)[0]?.text ?? ""),
      ]);
      return parts(node)
        .slice(1)
        .forEach((part) => visit(part, names));
    }
    case "parameter":
      return visit(parts(node)[1]);
    case "for_statement": {
      const body = node.childForFieldName("body");
      const head = parts(node).filter((part) => part.id !== body?.id && part.type !== "for_loop_parameters");
      head.filter((part) => part.id !== node.childForFieldName("initializer")?.id).forEach((part) => visit(part));
      return visit(body, new Set([...known, ...loopNames(node)]));
    }
    case "call_expression": {
      const callee = node.childForFieldName("function");
      if (callee?.type === "identifier") use("function", callee);
      else visit(callee);
      return visit(node.childForFieldName("arguments"), new Set([...known, ...lambdaNames(node)]));
    }
    case "resource_expression":
      return visit(node.childForFieldName("object"));
    case "import_functionality":
      return;
    default:
      return parts(node).forEach((part) => visit(part));
  }
}

/** Whether an identifier stands where a type is expected. */
function inType(node: Node): boolean {
  for (let up = node.parent; up; up = up.parent) {
    if (up.type === "type") return true;
    if (up.type === "type_declaration") return true;
    if (/_declaration$|^decorator/.test(up.type)) return false;
  }
  return false;
}

const isKnown = ({ node, use }: Reference, declared: ReadonlyMap<string, Declaration>): boolean => {
  const kind = declared.get(node.text)?.kind;
  switch (use) {
    case "function":
      return functionNames.has(node.text) || kind === "func" || kind === "import";
    case "type":
      return typeNames.has(node.text) || kind === "type" || kind === "import";
    case "value":
      return (kind !== undefined && kind !== "output" && kind !== "type" && kind !== "func") || namespaceNames.has(node.text);
  }
};

/** Names: used but not declared, declared twice, declared but not used. */
export function scopeFindings(file: BicepFile): Finding[] {
  const declarations = declarationsOf(file);
  // Outputs live in a space of their own: one may be called like a parameter.
  const declared = new Map(declarations.filter(({ kind }) => kind !== "output").map((each) => [each.name, each]));
  const references: Reference[] = [];
  collect(file.root, new Set(), references);

  const findings = references
    .filter((reference) => !isKnown(reference, declared))
    .map(({ node, use }) => findingAt(file, node, "undeclared", `the ${use} "${node.text}" is not declared`));
  const seen = new Set<string>();
  for (const { kind, name, node } of declarations) {
    const key = `${kind === "output" ? "output" : "name"} ${name}`;
    if (seen.has(key)) findings.push(findingAt(file, node, "declared-twice", `"${name}" is declared twice`));
    seen.add(key);
  }
  return file.isParameterFile ? findings : [...findings, ...unused(file, declarations, references)];
}

function unused(file: BicepFile, declarations: readonly Declaration[], references: readonly Reference[]): Finding[] {
  const used = new Set(references.map(({ node }) => node.text));
  return declarations
    .filter(
      ({ kind, name, decorators }) => /^(param|var|import|type|func)$/.test(kind) && !used.has(name) && !decorators.includes("export"),
    )
    .map(({ kind, name, node }) => findingAt(file, node, "unused", `the ${kind} "${name}" is never used`));
}
