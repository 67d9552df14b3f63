import { type Node } from "web-tree-sitter";
import { type BicepFile, descendants, type Finding, findingAt, parts } from "./bicep-file.ts";
import { decoratorNames } from "./language.ts";

/** What the grammar itself rejects. */
function grammarErrors(file: BicepFile): Finding[] {
  if (!file.root.hasError) return [];
  return [...descendants(file.root)]
    .filter((node) => node.isError || node.isMissing)
    .map((node) =>
      node.isMissing
        ? findingAt(file, node, "syntax", `"${node.type}" is missing here`)
        : findingAt(file, node, "syntax", `cannot be read: ${JSON.stringify(node.text.slice(0, 60))}`),
    );
}

const startsOnLineOf = (previous: Node | undefined, node: Node): boolean => previous?.endPosition.row === node.startPosition.row;

/** The grammar does not care for line ends between statements; the language does. */
function statementsOnOneLine(file: BicepFile): Finding[] {
  const statements = parts(file.root);
  return statements
    .filter((node, index) => startsOnLineOf(statements[index - 1], node))
    .map((node) => findingAt(file, node, "one-statement-a-line", "a statement must begin on a line of its own"));
}

/** The grammar reads `[items[index]]` as two items; without a space between them it is one item and its index. */
const isIndex = (child: Node, next: Node): boolean => next.type === "array" && child.endIndex === next.startIndex;

const hasItems = (node: Node): boolean => node.type === "array" || node.type === "object";

/** Items of an array or object stand on lines of their own or have a comma between them, never a comma and a line end. */
function itemSeparators(file: BicepFile): Finding[] {
  const findings: Finding[] = [];
  for (const list of [...descendants(file.root)].filter(hasItems)) {
    const children = list.children.filter((child) => !child.type.endsWith("comment"));
    children.forEach((child, index) => {
      const next = children[index + 1];
      if (child.type === "," && next && next.startPosition.row > child.startPosition.row) {
        findings.push(findingAt(file, child, "comma-before-line-end", "no comma at the end of a line: the line end separates the items"));
      }
      if (child.isNamed && next?.isNamed && child.type !== "decorators" && startsOnLineOf(child, next) && !isIndex(child, next)) {
        findings.push(findingAt(file, next, "missing-comma", "items on one line need a comma between them"));
      }
    });
  }
  return findings;
}

const decorated = /^(parameter|variable|resource|module|output|type|metadata)_declaration$|^user_defined_function$/;

/** A decorator belongs to the declaration or the item right after it, and must be one that exists. */
function decorators(file: BicepFile): Finding[] {
  const findings: Finding[] = [];
  for (const node of [...descendants(file.root)].filter((each) => each.type === "decorators")) {
    const owner = node.nextNamedSibling;
    const inside = node.parent && hasItems(node.parent);
    if (!owner || (!inside && !decorated.test(owner.type))) {
      findings.push(findingAt(file, node, "dangling-decorator", "a decorator must stand before a declaration"));
    }
    for (const decorator of parts(node)) {
      const name = decorator.text.replace(/^@(sys\.)?(\w+)[^]*$/, "$2");
      if (!decoratorNames.has(name)) findings.push(findingAt(file, decorator, "unknown-decorator", `there is no decorator @${name}`));
    }
  }
  return findings;
}

/** Everything about the form of one file. */
export const syntaxFindings = (file: BicepFile): Finding[] => [
  ...grammarErrors(file),
  ...statementsOnOneLine(file),
  ...itemSeparators(file),
  ...decorators(file),
];
