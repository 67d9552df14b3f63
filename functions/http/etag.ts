import { randomBytes } from "node:crypto";
import { ApiError } from "./api-error.ts";

/** `If-Match` and `If-None-Match` of a request: an addition of ours, the classic service ignores them. */
export interface Preconditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

/** A new revision of a resource; never the same twice, also after the resource was deleted and made again. */
export const newRevision = (): string => randomBytes(9).toString("base64url");

export const preconditionsOf = (headers: Headers): Preconditions => ({
  ifMatch: headers.get("if-match") ?? undefined,
  ifNoneMatch: headers.get("if-none-match") ?? undefined,
});

const names = (header: string, revision: string): boolean =>
  header.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "").replaceAll('"', "") === revision);

/**
 * Holds a write against the resource as it is now.
 * @param revision of the resource; undefined when there is none
 * @throws ApiError (412)
 */
export function checkPreconditions({ ifMatch, ifNoneMatch }: Preconditions, revision: string | undefined): void {
  if (ifMatch !== undefined && (revision === undefined || !names(ifMatch, revision))) throw new ApiError("PreconditionFailed");
  if (ifNoneMatch !== undefined && revision !== undefined && names(ifNoneMatch, revision)) {
    throw new ApiError("PreconditionFailed", { detail: "It exists, and If-None-Match says that it must not." });
  }
}
