import { createRequire } from "node:module";
import { basename } from "node:path";
import { Language, Parser, type Node } from "web-tree-sitter";

const require = createRequire(import.meta.url);

/** One parsed source. Positions in `root` are positions in the file. */
export interface BicepFile {
  /** Absolute path. */
  readonly path: string;
  readonly source: string;
  readonly root: Node;
  /** True for a `.bicepparam` file; its assignments appear in the tree as variables. */
  readonly isParameterFile: boolean;
}

/** Something wrong, and where: lines and columns count from 1. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly rule: string;
  readonly message: string;
}

export type ParseBicep = (path: string, source: string) => BicepFile;

/** The grammar knows no `using` and no `param x = value`. Both are rewritten without moving a character. */
const asVariables = (source: string): string =>
  source.replace(/^using .*$/m, (line) => " ".repeat(line.length)).replace(/^param (?=\w+\s*=)/gm, "var   ");

/** Loads the grammar (WebAssembly, from the packages) and answers a parser for any number of files. */
export async function createBicepParser(): Promise<ParseBicep> {
  await Parser.init();
  const grammar = require.resolve("tree-sitter-bicep/tree-sitter-bicep.wasm");
  const parser = new Parser();
  parser.setLanguage(await Language.load(grammar));
  return (path, source) => {
    const isParameterFile = path.endsWith(".bicepparam");
    const tree = parser.parse(isParameterFile ? asVariables(source) : source);
    if (!tree) throw new Error(`${path}: the parser gave no tree`);
    return { path, source, root: tree.rootNode, isParameterFile };
  };
}

/** A finding at a node. */
export const findingAt = (file: BicepFile, node: Node, rule: string, message: string): Finding => ({
  file: basename(file.path),
  line: node.startPosition.row + 1,
  column: node.startPosition.column + 1,
  rule,
  message,
});

/** Every node below and including `node`, in the order of the source. */
export function* descendants(node: Node): Generator<Node> {
  yield node;
  for (const child of node.children) yield* descendants(child);
}

/** Every node of one type. */
export const nodesOfType = (root: Node, type: string): Node[] => [...descendants(root)].filter((node) => node.type === type);

/** The children that carry meaning: named ones that are not comments. */
export const parts = (node: Node): Node[] => node.namedChildren.filter((child) => !child.type.endsWith("comment"));

/** The text of a string without interpolation, or undefined. */
export function literalText(node: Node | null | undefined): string | undefined {
  if (node?.type !== "string" || parts(node).some((part) => part.type === "interpolation")) return undefined;
  return node.text.startsWith("'''") ? node.text.slice(3, -3) : node.text.slice(1, -1);
}

/** The properties of an object by name; keys with interpolation are left out. */
export function propertiesOf(object: Node): Map<string, Node> {
  const found = new Map<string, Node>();
  for (const property of parts(object).filter((part) => part.type === "object_property")) {
    const [key, value] = parts(property);
    if (!key || key.type === "resource_declaration") continue;
    const name = key.type === "string" ? literalText(key) : key.text;
    if (name !== undefined && value) found.set(name, value);
  }
  return found;
}

/** The object behind `if (…)` and `[for …: …]`, for bodies of resources and modules. */
export function bodyOf(declaration: Node): Node | undefined {
  let node = parts(declaration).at(-1);
  while (node && node.type !== "object") {
    const inner: Node | undefined =
      node.type === "for_statement"
        ? (node.childForFieldName("body") ?? undefined)
        : node.type === "if_statement"
          ? parts(node).find((part) => part.type === "object")
          : undefined;
    node = inner;
  }
  return node;
}
