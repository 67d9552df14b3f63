import { invalid } from "./api-error.ts";
import { type Call } from "./endpoint.ts";

/** A query parameter that is true or false. @throws ApiError (400) when it is neither */
export function flag(call: Call, name: string): boolean {
  const text = call.query(name)?.toLowerCase() ?? "";
  if (text !== "" && text !== "true" && text !== "false") throw invalid(name, 'give "true" or "false"');
  return text === "true";
}
