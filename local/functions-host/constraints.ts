/** Whether a parameter's value satisfies a constraint such as `int` or `length(3,5)`. */
export type Constraint = (value: string) => boolean;

const int64Max = 2n ** 63n - 1n;

/** An integer within limits. The limits are parsed when the route is made: a wrong one is the route's fault, not the request's. */
const between =
  (min: bigint, max: bigint): Constraint =>
  (value) => {
    if (!/^[+-]?\d+$/.test(value)) return false;
    const number = BigInt(value.replace(/^\+/, ""));
    return number >= min && number <= max;
  };
const hasLength =
  (min: number, max: number): Constraint =>
  (value) =>
    value.length >= min && value.length <= max;
const isNumber = (value: string): boolean => value.trim() !== "" && Number.isFinite(Number(value));

/** Those of ASP.NET Core, by name. The argument is the text between the parentheses. */
const constraints: Readonly<Record<string, (argument: string) => Constraint>> = {
  int: () => between(-(2n ** 31n), 2n ** 31n - 1n),
  long: () => between(-int64Max - 1n, int64Max),
  bool: () => (value) => /^(true|false)$/i.test(value),
  guid: () => (value) => /^[({]?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}[)}]?$/i.test(value),
  alpha: () => (value) => /^[a-z]*$/i.test(value),
  datetime: () => (value) => !Number.isNaN(Date.parse(value)),
  decimal: () => isNumber,
  double: () => isNumber,
  float: () => isNumber,
  required: () => (value) => value !== "",
  min: (limit) => between(BigInt(limit), int64Max),
  max: (limit) => between(-int64Max - 1n, BigInt(limit)),
  range: (limits) => between(...pair(limits)),
  minlength: (limit) => hasLength(integer(limit), Infinity),
  maxlength: (limit) => hasLength(0, integer(limit)),
  length: (limits) => {
    const [min = 0, max = min] = limits.split(",").map(integer);
    return hasLength(min, max);
  },
  regex: (pattern) => {
    const expression = new RegExp(pattern, "i");
    return (value) => expression.test(value);
  },
};

/** Throws when the name is not one of ASP.NET Core's, or the argument does not fit. */
export function makeConstraint(name: string, argument: string): Constraint {
  const make = constraints[name.toLowerCase()];
  if (!make) throw new Error(`unknown constraint "${name}": known are ${Object.keys(constraints).join(", ")}`);
  return make(argument);
}

function pair(text: string): [bigint, bigint] {
  const [first, second, ...rest] = text.split(",");
  if (first === undefined || second === undefined || rest.length > 0) throw new Error(`a range needs two numbers, not "${text}"`);
  return [BigInt(first.trim()), BigInt(second.trim())];
}

function integer(text: string): number {
  if (!/^\s*\d+\s*$/.test(text)) throw new Error(`a length must be a number, not "${text}"`);
  return Number(text);
}
