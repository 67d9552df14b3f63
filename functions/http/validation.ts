import { type z } from "zod";
import { type ErrorDetail } from "../../contracts/wire.ts";
import { ApiError } from "./api-error.ts";

/** An answer names at most this many wrong fields. */
export const DETAILS_MAX = 50;

/**
 * Parses a part of a request body.
 * @param at where the part stands in the body, in front of every path that is named
 * @throws ApiError (400) that names every field that is wrong, what is wrong and what is allowed
 */
export function parsed<T extends z.ZodType>(schema: T, value: unknown, at: readonly PropertyKey[] = []): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new ApiError("InvalidRequest", { details: result.error.issues.slice(0, DETAILS_MAX).map((issue) => detailOf(issue, at)) });
}

function detailOf(issue: z.core.$ZodIssue, at: readonly PropertyKey[]): ErrorDetail {
  const target = fieldPath([...at, ...issue.path]);
  const missing = issue.code === "invalid_type" && / received undefined$/.test(issue.message);
  const message = missing
    ? `is required (${issue.message.replace("Invalid input: ", "").replace(", received undefined", "")})`
    : words(issue);
  return { code: missing ? "ValueRequired" : "InvalidValue", message: `${target || "The body"}: ${message}.`, target };
}

function words(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_value") return `not allowed; give ${issue.values.map((value) => `"${String(value)}"`).join(" or ")}`;
  return issue.message.replace("Invalid input: ", "");
}

/** `properties.input.selectedDatabases[0].name` */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}
