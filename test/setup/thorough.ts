const depth = process.env["PGDMS_TESTS"] ?? "";
if (depth !== "" && depth !== "thorough") throw new Error(`PGDMS_TESTS is "${depth}": it is "thorough" or not set`);

/**
 * `PGDMS_TESTS=thorough npm test`: more cases of what combines much or goes on by chance. What stands for itself is
 * always tried; without the others all tests together take about ten minutes.
 */
export const isThorough = depth === "thorough";

/** Cases of one kind: the first ones always, the others in a thorough run. */
export const casesOf = <T>(first: readonly T[], others: readonly T[]): readonly T[] => (isThorough ? [...first, ...others] : first);
