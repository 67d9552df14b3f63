import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { type BicepFile, type ParseBicep } from "./bicep-file.ts";

/** The templates of one folder, parsed, and the other files that they read. */
export interface FileSet {
  readonly files: readonly BicepFile[];
  /** The template that `reference` names as seen from `from`, or undefined. */
  template(from: BicepFile, reference: string): BicepFile | undefined;
  /** The content of any file of the folder, or undefined. */
  content(from: BicepFile, reference: string): string | undefined;
}

/** The sources of a folder and the folders below it, by absolute path. */
export function readSources(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.(bicep|bicepparam|json|kql)$/.test(name));
  return new Map(names.sort().map((name) => [resolve(folder, name), readFileSync(join(folder, name), "utf8")]));
}

/** Parses what is Bicep among the sources. */
export function createFileSet(sources: ReadonlyMap<string, string>, parse: ParseBicep): FileSet {
  const parsed = new Map(
    [...sources].filter(([path]) => /\.bicep(param)?$/.test(path)).map(([path, source]) => [path, parse(path, source)]),
  );
  const seenFrom = (from: BicepFile, reference: string): string => resolve(dirname(from.path), reference);
  return {
    files: [...parsed.values()],
    template: (from, reference) => parsed.get(seenFrom(from, reference)),
    content: (from, reference) => sources.get(seenFrom(from, reference)),
  };
}
