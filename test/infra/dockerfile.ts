/** One instruction of a Dockerfile, its continued lines joined. */
export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** One `FROM` and what follows it; `global` holds what stands before the first. */
export interface Dockerfile {
  readonly global: readonly Instruction[];
  readonly stages: readonly { readonly base: string; readonly name: string; readonly instructions: readonly Instruction[] }[];
}

/** Reads the instructions of a Dockerfile by stage: enough to assert on, not a builder. */
export function readDockerfile(source: string): Dockerfile {
  const lines = source
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .join("\n")
    .replace(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const all = lines.map((line) => {
    const [name = "", ...rest] = line.trim().split(/\s+/);
    return { name: name.toUpperCase(), text: rest.join(" ") };
  });
  const starts = all.flatMap(({ name }, index) => (name === "FROM" ? [index] : []));
  return {
    global: all.slice(0, starts[0]),
    stages: starts.map((start, index) => {
      const [base = "", , name = ""] = all[start]?.text.split(" ") ?? [];
      return { base, name, instructions: all.slice(start + 1, starts[index + 1]) };
    }),
  };
}
