import { z } from "zod";
import { type FunctionMetadata } from "./core-types.ts";
import { type Answer } from "./http-data.ts";

/** Answers the paths that the host keeps for itself. `readText` reads the body. */
export type Admin = (method: string, path: string, contentType: string, readText: () => Promise<string>) => Promise<Answer>;

export interface AdminOptions {
  readonly functions: readonly { readonly metadata: FunctionMetadata; readonly isDisabled: boolean }[];
  /** Starts a function that is not triggered by HTTP; undefined when there is none of that name. */
  readonly start: (functionName: string, input: string | undefined) => "started" | "httpFunction" | undefined;
}

const Input = z.looseObject({ input: z.string().optional() });

const json = (status: number, content: unknown): Answer => ({
  status,
  headers: { "content-type": "application/json" },
  body: Buffer.from(JSON.stringify(content)),
});

/** `/admin/host/status`, `/admin/functions`, `/admin/functions/{name}`; keys are not asked for, as in the vendor's local tools. */
export function createAdmin(options: AdminOptions): Admin {
  return async (method, path, contentType, readText) => {
    const [, area = "", what = "", name, ...rest] = path.replace(/\/$/, "").split("/").slice(1).map(decoded);
    const key = `${method} ${area}/${what}`.toLowerCase();
    if (path.split("/")[1]?.toLowerCase() !== "admin" || rest.length > 0) return { status: 404 };
    if (key === "get host/status" && name === undefined) return json(200, { id: "pgdms-local", state: "Running", version: "4.0.0-local" });
    if (area.toLowerCase() !== "functions" || what === "") {
      return key === "get functions/" ? json(200, options.functions.map(describe)) : { status: 404 };
    }
    if (name !== undefined) return { status: 404 };
    if (method === "GET") return describeOne(options, what);
    return method === "POST" ? startOne(options, what, contentType, await readText()) : { status: 404 };
  };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const describe = ({ metadata, isDisabled }: AdminOptions["functions"][number]) => ({
  name: metadata.name,
  isDisabled,
  config: { bindings: Object.entries(metadata.bindings).map(([name, binding]) => ({ name, ...binding })) },
});

function describeOne({ functions }: AdminOptions, name: string): Answer {
  const found = functions.find(({ metadata }) => metadata.name.toLowerCase() === name.toLowerCase());
  return found ? json(200, describe(found)) : { status: 404 };
}

/** Only JSON by its content type: a page in a browser cannot send that to us without asking first, and we never allow it. */
function startOne({ start }: AdminOptions, name: string, contentType: string, text: string): Answer {
  if (!/^application\/json\b/i.test(contentType)) return json(415, { error: "Content-Type must be application/json" });
  const input = parseInput(text);
  if (!input) return json(400, { error: 'the body must be JSON: {"input": "…"}' });
  const outcome = start(name, input.input);
  if (outcome === "httpFunction") return json(400, { error: `"${name}" is an HTTP function: call its route` });
  return { status: outcome === undefined ? 404 : 202 };
}

function parseInput(text: string): z.output<typeof Input> | undefined {
  try {
    return Input.parse(text === "" ? {} : JSON.parse(text));
  } catch {
    return undefined;
  }
}
