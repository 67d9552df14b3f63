import { errors, MigrationError, type ErrorKind } from "../../contracts/errors.ts";
import { type ErrorBody, type ErrorDetail } from "../../contracts/wire.ts";

interface Refusal {
  /** What exactly is wrong in this case. */
  readonly detail?: string;
  /** Replaces the list's remedy. */
  readonly remedy?: string;
  readonly details?: readonly ErrorDetail[];
  readonly cause?: unknown;
}

/** A request that is refused: an error of the closed list, and the fields that it is about. */
export class ApiError extends MigrationError {
  readonly details: readonly ErrorDetail[];

  constructor(kind: ErrorKind, { details = [], ...refusal }: Refusal = {}) {
    super(kind, refusal);
    this.name = "ApiError";
    this.details = details;
  }
}

/** One field that is wrong. */
export const invalid = (target: string, message: string): ApiError =>
  new ApiError("InvalidRequest", {
    details: [{ code: "InvalidValue", message: `${target}: ${message.replace(/[^.!?]$/, "$&.")}`, target }],
  });

export const notFound = (type: string, names: readonly string[], resourceGroup: string): ApiError =>
  new ApiError("ResourceNotFound", { detail: missing(type, names, resourceGroup) });

export const parentNotFound = (type: string, names: readonly string[], resourceGroup: string): ApiError =>
  new ApiError("ParentResourceNotFound", { detail: missing(type, names, resourceGroup) });

const missing = (type: string, names: readonly string[], resourceGroup: string): string =>
  `The Resource '${type}/${names.join("/")}' under resource group '${resourceGroup}' was not found.`;

const statuses: Partial<Record<ErrorKind, number>> = {
  ResourceNotFound: 404,
  ParentResourceNotFound: 404,
  Conflict: 409,
  PreconditionFailed: 412,
  PayloadTooLarge: 413,
  UnsupportedMediaType: 415,
  Unauthorized: 401,
  Forbidden: 403,
  TooManyRequests: 429,
  Internal: 500,
};

/** The HTTP status of an error of the list; what it does not name is the caller's mistake. */
export const statusOf = (kind: ErrorKind): number => statuses[kind] ?? 400;

/** Resource Manager's error body: what happened, this case (or its first field), and the remedy in one message. */
export function errorBody(error: MigrationError): ErrorBody {
  const { code, remedy } = errors[error.kind];
  const details = error instanceof ApiError ? error.details : [];
  const first = error.detail.detail === undefined ? details[0]?.message : undefined;
  const message = [error.message, first, error.detail.remedy ?? remedy].filter((part) => part !== undefined).join(" ");
  return { error: { code, message, ...(details.length > 0 ? { details } : {}) } };
}
