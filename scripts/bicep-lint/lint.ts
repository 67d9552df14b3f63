import { type Finding, type ParseBicep } from "./bicep-file.ts";
import { createFileSet } from "./file-set.ts";
import { memberFindings } from "./member-rules.ts";
import { moduleFindings } from "./module-rules.ts";
import { policyFindings } from "./policy-rules.ts";
import { resourceFindings } from "./resource-rules.ts";
import { scopeFindings } from "./scope-rules.ts";
import { syntaxFindings } from "./syntax-rules.ts";

/**
 * Checks Bicep templates without the compiler: form, names, versions, what passes between files, and our policy.
 * It does not know the types of Azure's resources: a wrong property of a resource is found by `bicep build` only.
 * @param sources absolute path to content, of the templates and of what they read
 * @param wanted which files to check; the others are only looked at for what the wanted ones take from them
 * @returns what is wrong, in the order of files and lines; nothing when all is well
 */
export function lintBicep(
  sources: ReadonlyMap<string, string>,
  parse: ParseBicep,
  wanted: (path: string) => boolean = () => true,
): Finding[] {
  const set = createFileSet(sources, parse);
  return set.files
    .filter(({ path }) => wanted(path))
    .flatMap((file) => {
      const syntax = syntaxFindings(file);
      // A tree with a hole in it makes every other rule see ghosts.
      if (syntax.some(({ rule }) => rule === "syntax")) return syntax;
      const rest = [
        ...scopeFindings(file),
        ...resourceFindings(file),
        ...moduleFindings(file, set),
        ...memberFindings(file, set),
        ...policyFindings(file),
      ];
      return [...syntax, ...rest].sort((a, b) => a.line - b.line || a.column - b.column);
    });
}
