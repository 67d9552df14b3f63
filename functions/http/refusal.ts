import { MigrationError } from "../../contracts/errors.ts";
import { RowTooLarge } from "../store/document.ts";
import { LostRace } from "../store/races.ts";
import { ApiError, errorBody, statusOf } from "./api-error.ts";
import { type Answer } from "./endpoint.ts";

/** The answer to a request that is refused; undefined when the error is ours and not the caller's. */
export function refusalOf(error: unknown): Answer | undefined {
  if (error instanceof MigrationError && statusOf(error.kind) < 500) {
    const headers: Record<string, string> = error.kind === "Unauthorized" ? { "www-authenticate": "Bearer" } : {};
    return { status: statusOf(error.kind), body: errorBody(error), headers };
  }
  if (error instanceof RowTooLarge)
    return { status: 413, body: errorBody(new ApiError("PayloadTooLarge", { detail: "It does not fit into a row." })) };
  if (error instanceof LostRace)
    return {
      status: 409,
      body: errorBody(new ApiError("Conflict", { detail: "Others change it at the same time.", remedy: "Try again." })),
    };
  return undefined;
}
