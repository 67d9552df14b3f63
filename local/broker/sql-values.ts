/** A value of the SQL rule language; null is SQL's "unknown" as well. */
export type Value = string | number | boolean | null;

export const scalar = (value: unknown): Value =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;

export const not = (value: Value): Value => (typeof value === "boolean" ? !value : null);

/** SQL's three values: unknown (null) or true is true, unknown or false is unknown. */
export function or(a: Value, b: Value): Value {
  if (a === true || b === true) return true;
  return a === false && b === false ? false : null;
}

export function compare(operator: string, a: Value, b: Value): Value {
  if (a === null || b === null || typeof a !== typeof b) return null;
  switch (operator) {
    case "=":
      return a === b;
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    default:
      return a !== b;
  }
}

export function calculate(operator: string, a: Value, b: Value): Value {
  if (operator === "+" && typeof a === "string" && typeof b === "string") return a + b;
  if (typeof a !== "number" || typeof b !== "number") return null;
  const result = { "+": a + b, "-": a - b, "*": a * b, "/": a / b, "%": a % b }[operator] ?? Number.NaN;
  return Number.isFinite(result) ? result : null;
}

export function like(text: Value, pattern: Value, escape: Value): Value {
  if (typeof text !== "string" || typeof pattern !== "string") return null;
  let source = "";
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index] ?? "";
    if (character === escape) source += literally(pattern[++index] ?? "");
    else source += character === "%" ? ".*" : character === "_" ? "." : literally(character);
  }
  return new RegExp(`^${source}$`, "s").test(text);
}

const literally = (character: string): string => character.replace(/[\\^$.*+?()[\]{}|/-]/, "\\$&");
