/**
 * Whether the text of a value fits a type's modifier without being rounded, cut or padded. For values of test_decoding, which
 * names types without modifiers: a numeric(10,2) that becomes a numeric(10,4) on the source shows only in its values, and the
 * target would round them without a word. What the target itself refuses (a varchar that is too long) needs no check here.
 * @returns undefined for types that have no modifier, or one that the target enforces.
 */
export function modifierCheck(typeName: string, encoding: string): ((value: Buffer) => boolean) | undefined {
  const isArray = typeName.endsWith("[]");
  const [, base = "", modifier = ""] =
    /^([a-z][a-z ]*?)(?:\((-?[\d]+(?:,-?\d+)?)\))?(?: (?:with|without) time zone)?(?:\[\])*$/.exec(typeName) ?? [];
  const [length, scale = 0] = modifier.split(",").map(Number) as [number, number | undefined];
  if (base.startsWith("interval")) return intervalCheck(base, modifier === "" ? undefined : length);
  if (modifier === "") return undefined;
  if (base === "numeric") return numericCheck(scale);
  if (base === "timestamp" || base === "time") return (value) => decimals(value) <= length;
  if (!countsCharacters(encoding)) return undefined;
  const lengthFits = LENGTHS[base];
  if (lengthFits === undefined) return undefined;
  if (isArray) return (value) => elements(value, encoding).every((element) => lengthFits([...element].length, length));
  const isFilled = base === "character";
  return (value) => (!isFilled && value.length <= length) || lengthFits(characters(value, encoding), length);
}

/**
 * Blanks at the end are cut off where they are too many, and that is no error (manual, 8.3); a `character` that is shorter
 * is filled with them.
 */
const LENGTHS: Readonly<Record<string, (count: number, length: number) => boolean>> = {
  character: (count, length) => count === length,
  "character varying": (count, length) => count <= length,
};

/** Where an array's bounds are not those of every day, they stand before it. */
const BOUNDS = /^\[[^\]=]*\](?:\[[^\]=]*\])*=/;

/** The elements of an array's text (arrays.c, array_out), NULLs left out. */
function elements(value: Buffer, encoding: string): string[] {
  const text = value.toString(encoding === "UTF8" ? "utf8" : "latin1").replace(BOUNDS, "");
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|[^{},"]+/gs)].flatMap(([plain, quoted]) => {
    if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
    return plain === "NULL" ? [] : plain;
  });
}

/**
 * A numeric is written with all the digits of its scale: with fewer or more it is not of this type. A negative scale
 * (since 15) rounds before the point, so that as many zeros stand there.
 */
function numericCheck(scale: number): (value: Buffer) => boolean {
  const number = scale > 0 ? new RegExp(`^\\d+\\.\\d{${scale}}$`) : new RegExp(`^(?:\\d*0{${-scale}}|0)$`);
  return (value) => numbers(value).every((text) => number.test(text));
}

const numbers = (value: Buffer): readonly string[] =>
  value
    .toString("latin1")
    .replace(BOUNDS, "")
    .match(/[\d.]+/g) ?? [];

/** The most digits behind a point of any number in the text. */
function decimals(value: Buffer): number {
  let most = 0;
  for (let at = value.indexOf(POINT); at >= 0; at = value.indexOf(POINT, at + 1)) {
    let end = at + 1;
    while (isDigit(value[end])) end++;
    most = Math.max(most, end - at - 1);
    at = end - 1;
  }
  return most;
}

const POINT = 0x2e;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

/** What an interval with fewer fields leaves out, in the style `postgres`: `1 year 2 mons 3 days 04:05:06`. */
const FINER: Readonly<Record<string, RegExp>> = {
  year: /mon|day|:/,
  month: /day|:/,
  day: /:/,
  hour: /:[0-5]?[1-9]|:[1-5]0/,
  minute: /:\d\d:(?!00(?:[^.\d]|$))/,
};

function intervalCheck(base: string, precision: number | undefined): ((value: Buffer) => boolean) | undefined {
  const finer = FINER[base.split(" ").at(-1) ?? ""];
  if (finer) return (value) => !finer.test(value.toString("latin1"));
  return precision === undefined ? undefined : (value) => decimals(value) <= precision;
}

const SINGLE_BYTE = /^(LATIN|WIN|KOI8|ISO_8859|SQL_ASCII)/;
const countsCharacters = (encoding: string): boolean => encoding === "UTF8" || SINGLE_BYTE.test(encoding);

function characters(value: Buffer, encoding: string): number {
  if (encoding !== "UTF8") return value.length;
  let count = 0;
  for (const byte of value) if ((byte & 0xc0) !== 0x80) count++;
  return count;
}
