import { type Node } from "web-tree-sitter";
import { type BicepFile, literalText, parts } from "./bicep-file.ts";

type DeclarationKind = "param" | "var" | "resource" | "module" | "output" | "type" | "func" | "import";

/** A name that a file gives to something at its top level. */
export interface Declaration {
  readonly kind: DeclarationKind;
  readonly name: string;
  readonly node: Node;
  /** The names of the decorators before it. */
  readonly decorators: readonly string[];
}

const kinds: Readonly<Record<string, DeclarationKind>> = {
  parameter_declaration: "param",
  variable_declaration: "var",
  resource_declaration: "resource",
  module_declaration: "module",
  output_declaration: "output",
  type_declaration: "type",
  user_defined_function: "func",
};

const decoratorNames = (decorators: Node | undefined): string[] =>
  decorators?.type === "decorators" ? parts(decorators).map((decorator) => decorator.text.replace(/^@(sys\.)?(\w+)[^]*$/, "$2")) : [];

/** `import { a, b as c } from 'file'` declares a and c; `import * as t from 'file'` declares t. */
function importedNames(node: Node): { name: string; original: string; node: Node }[] {
  const names: { name: string; original: string; node: Node }[] = [];
  for (let index = 0; index < node.children.length; index++) {
    const child = node.children[index];
    if (child?.type !== "identifier" || node.children[index - 1]?.type === "as") continue;
    const alias = node.children[index + 1]?.type === "as" ? node.children[index + 2] : undefined;
    names.push({ name: alias?.text ?? child.text, original: child.text, node: alias ?? child });
  }
  return names;
}

/** All declarations of a file, in order; a name given twice appears twice. */
export function declarationsOf(file: BicepFile): Declaration[] {
  const found: Declaration[] = [];
  let before: Node | undefined;
  for (const node of parts(file.root)) {
    const kind = kinds[node.type];
    const name = parts(node).find((part) => part.type === "identifier");
    if (kind && name) found.push({ kind, name: name.text, node, decorators: decoratorNames(before) });
    if (node.type === "import_functionality") {
      for (const item of importedNames(node)) found.push({ kind: "import", name: item.name, node: item.node, decorators: [] });
    }
    before = node;
  }
  return found;
}

/** What a file imports: the other file, and the names as that file gives them. */
export function importsOf(file: BicepFile): { from: string | undefined; names: string[]; node: Node }[] {
  return parts(file.root)
    .filter((node) => node.type === "import_functionality")
    .map((node) => ({
      from: literalText(parts(node).at(-1)),
      names: importedNames(node).map((item) => item.original),
      node,
    }));
}

/** Whether a caller may leave the parameter out: it has a default, or its type may be null. */
export function isOptional(parameter: Declaration): boolean {
  const hasDefault = parameter.node.children.some((child) => child.type === "=");
  const type = parts(parameter.node).find((part) => part.type === "type");
  return hasDefault || type?.text.endsWith("?") === true;
}

/** The expression after `=`, if there is one. */
export function valueOf(declaration: Declaration): Node | undefined {
  const equals = declaration.node.children.findIndex((child) => child.type === "=");
  return equals < 0
    ? undefined
    : declaration.node.children.slice(equals + 1).find((child) => child.isNamed && !child.type.endsWith("comment"));
}
