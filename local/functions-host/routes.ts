import { parseTemplate, type Parameter, type Segment, type Template } from "./template.ts";

export interface Route {
  readonly functionName: string;
  /** With the prefix of host.json, as registered. */
  readonly template: string;
  /** Upper case. Empty: any. */
  readonly methods: readonly string[];
  readonly segments: Template;
}

export interface HttpRegistration {
  readonly functionName: string;
  readonly route: string;
  readonly methods: readonly string[];
}

/**
 * The routes of all HTTP functions, in the order in which they are tried: by function name, ordinal, ignoring case. There is no ranking
 * by specificity. A function with a reserved, malformed or repeated route is left out and named in `errors`, the others stay.
 */
export function makeRoutes(registrations: readonly HttpRegistration[], prefix: string): { routes: Route[]; errors: string[] } {
  const routes: Route[] = [];
  const errors: string[] = [];
  for (const registration of [...registrations].sort((a, b) => compareNames(a.functionName, b.functionName))) {
    try {
      const route = makeRoute(registration, prefix);
      const same = routes.find((each) => clashes(each, route));
      if (same) throw new Error(`the route "${route.template}" conflicts with that of the function "${same.functionName}"`);
      routes.push(route);
    } catch (error) {
      errors.push(`function "${registration.functionName}": ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { routes, errors };
}

export const compareNames = (a: string, b: string): number => {
  const [first, second] = [a.toUpperCase(), b.toUpperCase()];
  return first < second ? -1 : first > second ? 1 : 0;
};

function makeRoute({ functionName, route, methods }: HttpRegistration, prefix: string): Route {
  // Even as the beginning of a longer word, and whatever the prefix.
  if (/^(admin|runtime)/i.test(route)) throw new Error(`the route "${route}" begins with a word that the runtime keeps for itself`);
  const template = prefix === "" ? route : `${prefix}/${route}`;
  return { functionName, template, methods: methods.map((method) => method.toUpperCase()), segments: parseTemplate(template) };
}

/** The runtime compares the text only: `x/{id}` and `x/{name}` do not clash, the first simply wins. */
function clashes(a: Route, b: Route): boolean {
  if (a.template.toLowerCase() !== b.template.toLowerCase()) return false;
  return a.methods.length === 0 || b.methods.length === 0 || a.methods.some((method) => b.methods.includes(method));
}

/** The first route that fits, and its parameters. A route that fits but not its method counts as no route (404, not 405). */
export function findRoute(
  routes: readonly Route[],
  method: string,
  path: string,
): { functionName: string; params: Record<string, string> } | undefined {
  const segments = pathSegments(path);
  for (const { functionName, methods, segments: template } of routes) {
    if (methods.length > 0 && !methods.includes(method.toUpperCase())) continue;
    const params = matchTemplate(template, segments);
    if (params) return { functionName, params };
  }
  return undefined;
}

/** Splits first and decodes then, so that an encoded slash never makes a segment. One slash at the end is ignored. */
function pathSegments(path: string): string[] {
  const trimmed = path.replace(/^\//, "").replace(/\/$/, "");
  return trimmed === "" ? [] : trimmed.split("/").map(decodeSegment);
}

/** Percent-decodes all but `%2F`; what is not valid stays as it is. */
function decodeSegment(raw: string): string {
  const parts = raw.split(/(%2f)/i).map((part) => {
    if (/^%2f$/i.test(part)) return part;
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return parts.join("");
}

function matchTemplate(template: Template, segments: readonly string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  const last = template.at(-1)?.[0];
  const catchAll = typeof last === "object" && last.catchAll ? last : undefined;
  if (segments.length > template.length && !catchAll) return undefined;
  for (const [index, segment] of template.entries()) {
    const only = segment.length === 1 && typeof segment[0] === "object" ? segment[0] : undefined;
    const value = only?.catchAll ? segments.slice(index).join("/") : segments[index];
    const fits = only ? matchParameter(only, value || undefined, params) : value !== undefined && matchMixed(segment, value, params);
    if (!fits) return undefined;
  }
  return params;
}

function matchParameter(parameter: Parameter, value: string | undefined, params: Record<string, string>): boolean {
  const { name, optional, catchAll, defaultValue, constraints } = parameter;
  if (value === undefined) {
    if (defaultValue !== undefined) params[name] = defaultValue;
    return optional || catchAll || defaultValue !== undefined;
  }
  params[name] = value;
  return constraints.every((constraint) => constraint(value));
}

/** A literal, or literals and parameters in one segment, such as `{name}.json`. Literals ignore case. */
function matchMixed(segment: Segment, value: string, params: Record<string, string>): boolean {
  const source = segment.map((part) => (typeof part === "string" ? escapeRegExp(part) : "(.+?)")).join("");
  const match = new RegExp(`^${source}$`, "is").exec(value);
  if (!match) return false;
  const parameters = segment.filter((part) => typeof part === "object");
  return parameters.every((parameter, index) => matchParameter(parameter, match[index + 1], params));
}

const escapeRegExp = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
