import { join, resolve } from "node:path";
import { type Node } from "web-tree-sitter";
import {
  type BicepFile,
  bodyOf,
  createBicepParser,
  descendants,
  type Finding,
  type ParseBicep,
  parts,
  propertiesOf,
} from "../../scripts/bicep-lint/bicep-file.ts";
import { readSources } from "../../scripts/bicep-lint/file-set.ts";
import { lintBicep } from "../../scripts/bicep-lint/lint.ts";

/** The checkout, and the templates in it. */
export const root = resolve(import.meta.dirname, "../..");
export const infra = join(root, "infra");

const parseAnew = await createBicepParser();
const parsed = new Map<string, BicepFile>();

/** Most tests change one file; the trees of the others are kept. */
const parse: ParseBicep = (path, source) => {
  const key = `${path}\n${source}`;
  const file = parsed.get(key) ?? parseAnew(path, source);
  parsed.set(key, file);
  return file;
};

const sources = readSources(infra);

/** What the lint says of all our templates. */
export const lintOurs = (): Finding[] => lintBicep(sources, parse);

/** What the lint says of one template after it was changed, among the others as they are. */
export function lintChanged(name: string, source: string): Finding[] {
  const path = join(infra, name);
  return lintBicep(new Map([...sources, [path, source]]), parse, (each) => each === path);
}

/** The source of one of our templates. */
export function template(name: string): string {
  const source = sources.get(join(infra, name));
  if (source === undefined) throw new Error(`there is no infra/${name}`);
  return source;
}

/** One of our templates, parsed. */
export const parsedTemplate = (name: string): BicepFile => parse(join(infra, name), template(name));

/** The body of the resource or module that a template declares under a name, also of nested ones. */
export function bodyOfDeclared(templateName: string, name: string): Node {
  const declared = [...descendants(parsedTemplate(templateName).root)].find(
    (node) => /^(resource|module)_declaration$/.test(node.type) && parts(node)[0]?.text === name,
  );
  const body = declared && bodyOf(declared);
  if (!body) throw new Error(`${templateName} declares no "${name}"`);
  return body;
}

/** The value at a path of properties below an object. */
export function valueAt(object: Node, ...path: string[]): Node {
  let node: Node | undefined = object;
  for (const name of path) node = node && propertiesOf(node).get(name);
  if (!node) throw new Error(`there is no ${path.join(".")}`);
  return node;
}
