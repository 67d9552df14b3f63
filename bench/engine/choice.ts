import { UsageError } from "../../local/command-line.ts";

/** Names of a list that an argument gave; all of them without it. @throws UsageError */
export function chosenOf<T extends string>(option: string, all: readonly T[], text: string | undefined): T[] {
  return (text?.split(",") ?? all).map((name) => {
    const found = all.find((each) => each === name.trim());
    if (found === undefined) throw new UsageError(`${option} takes ${all.join(", ")}, but got "${name}".`);
    return found;
  });
}
