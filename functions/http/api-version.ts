import { API_VERSIONS } from "../../contracts/wire.ts";
import { ApiError } from "./api-error.ts";

/** @throws ApiError (400) when the version is missing or none of the provider's */
export function requireApiVersion(version: string | undefined): string {
  if (version === undefined || version === "") throw new ApiError("MissingApiVersion");
  const known = API_VERSIONS.find((candidate) => candidate === version.toLowerCase());
  if (known === undefined) throw new ApiError("InvalidApiVersion", { detail: `Known versions: ${API_VERSIONS.join(", ")}.` });
  return known;
}
