import { type Endpoint } from "../http/endpoint.ts";

/**
 * Finds the parameters of a route in a resource's id. Fixed words compare without regard to case; the words with which a
 * route ends (`/cancel`, or the `/tasks` of a list) are no part of the id.
 * @returns undefined when the id is of another kind of resource
 */
export function parametersOf({ route }: Pick<Endpoint, "route">, resourceId: string): Record<string, string> | undefined {
  const template = route.split("/");
  const words = template.slice(0, template.findLastIndex(isParameter) + 1);
  const parts = resourceId.replace(/^\//, "").split("/");
  if (parts.length !== words.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [at, word] of words.entries()) {
    const part = parts[at] ?? "";
    if (isParameter(word)) parameters[word.slice(1, -1)] = part;
    else if (word.toLowerCase() !== part.toLowerCase()) return undefined;
  }
  return parameters;
}

/** What an id for this route looks like. */
export function idTemplate({ route }: Pick<Endpoint, "route">): string {
  const template = route.split("/");
  return `/${template.slice(0, template.findLastIndex(isParameter) + 1).join("/")}`;
}

const isParameter = (word: string): boolean => word.startsWith("{");
