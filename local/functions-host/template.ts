import { makeConstraint, type Constraint } from "./constraints.ts";

/** A route template, parsed: the segments between the slashes, each a row of literals and parameters. */
export type Template = readonly Segment[];
export type Segment = readonly Part[];
type Part = string | Parameter;

export interface Parameter {
  readonly name: string;
  readonly catchAll: boolean;
  readonly optional: boolean;
  readonly defaultValue?: string;
  readonly constraints: readonly Constraint[];
}

/**
 * Parses an ASP.NET Core route template: `a/{b}`, `{b:int:min(1)}`, `{b?}`, `{b=1}`, `{*rest}`, `a{b}.json`.
 * Throws an error that names the template and what is wrong with it.
 */
export function parseTemplate(template: string): Template {
  const fail = (problem: string): never => {
    throw new Error(`the route "${template}" is not valid: ${problem}`);
  };
  if (template.startsWith("/")) fail("it must not begin with a slash");
  if (template === "") return [];
  try {
    const segments = splitOutsideBraces(template).map(parseSegment);
    assertNames(segments);
    return segments;
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** At slashes, but not at those inside `{…}`: a regular expression may hold some. */
function splitOutsideBraces(template: string): string[] {
  const segments = [""];
  let depth = 0;
  for (const character of template) {
    if (character === "{") depth++;
    if (character === "}") depth--;
    if (depth < 0) throw new Error("a brace is closed that was not opened");
    if (character === "/" && depth === 0) segments.push("");
    else segments[segments.length - 1] += character;
  }
  if (depth !== 0) throw new Error("a brace is not closed");
  if (segments.includes("")) throw new Error("it must not have an empty segment");
  return segments;
}

function parseSegment(text: string): Segment {
  const parts: Part[] = [];
  for (let rest = text; rest !== "";) {
    const open = rest.indexOf("{");
    if (open !== 0) parts.push(open < 0 ? rest : rest.slice(0, open));
    if (open < 0) break;
    const close = closingBrace(rest, open);
    parts.push(parseParameter(rest.slice(open + 1, close)));
    rest = rest.slice(close + 1);
  }
  if (parts.length > 1 && parts.some((part) => typeof part !== "string" && (part.catchAll || part.optional))) {
    throw new Error(`an optional or catch-all parameter must be a segment of its own, unlike "${text}"`);
  }
  return parts;
}

/** Doubled braces are escapes of a regular expression's own. */
function closingBrace(text: string, open: number): number {
  for (let index = open + 1; index < text.length; index++) {
    const character = text[index];
    if ((character === "{" || character === "}") && text[index + 1] === character) index++;
    else if (character === "}") return index;
  }
  throw new Error("a brace is not closed");
}

function parseParameter(text: string): Parameter {
  const [, stars = "", name = ""] = /^(\*{0,2})([\w.-]+)/.exec(text) ?? [];
  if (name === "") throw new Error(`"{${text}}" has no parameter name`);
  const constraints: Constraint[] = [];
  let rest = text.slice(stars.length + name.length);
  while (rest.startsWith(":")) {
    const { constraint, length } = parseConstraint(rest.slice(1));
    constraints.push(constraint);
    rest = rest.slice(1 + length);
  }
  const parameter = { name, catchAll: stars !== "", optional: rest === "?", constraints };
  if (rest === "" || rest === "?") return parameter;
  if (rest.startsWith("=") && !rest.endsWith("?")) return { ...parameter, defaultValue: rest.slice(1) };
  throw new Error(`"{${text}}" is not a parameter`);
}

function parseConstraint(text: string): { constraint: Constraint; length: number } {
  const [name = ""] = /^[a-z]+/i.exec(text) ?? [];
  if (text[name.length] !== "(") return { constraint: makeConstraint(name, ""), length: name.length };
  let depth = 0;
  for (let index = name.length; index < text.length; index++) {
    if (text[index] === "(") depth++;
    if (text[index] === ")") depth--;
    if (depth > 0) continue;
    const argument = text
      .slice(name.length + 1, index)
      .replaceAll("{{", "{")
      .replaceAll("}}", "}");
    return { constraint: makeConstraint(name, argument), length: index + 1 };
  }
  throw new Error(`the parenthesis after "${name}" is not closed`);
}

function assertNames(segments: Template): void {
  const parameters = segments.flat().filter((part) => typeof part !== "string");
  const names = parameters.map(({ name }) => name.toLowerCase());
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`the parameter "${twice}" appears twice`);
  const isLast = (parameter: Parameter): boolean => segments.at(-1)?.includes(parameter) === true;
  if (parameters.some((parameter) => parameter.catchAll && !isLast(parameter)))
    throw new Error("a catch-all parameter must be the last segment");
}
