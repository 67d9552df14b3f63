import { type HttpRequest } from "@azure/functions";
import { ApiError } from "./api-error.ts";

/** A request body may have this much. */
export const BODY_BYTES_MAX = 1_048_576;

export const bodyTooLarge = (): ApiError => new ApiError("PayloadTooLarge", { detail: "Its body is over 1 MiB." });

/** Strict: a password in another encoding must not be kept as one with other characters. Takes a byte order mark away. */
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The JSON of a request.
 * @throws ApiError 413 when it is too large, 415 when it is said to be something else, 400 when it is empty or no JSON
 */
export async function readJson(request: HttpRequest): Promise<unknown> {
  if (Number(request.headers.get("content-length") ?? 0) > BODY_BYTES_MAX) throw bodyTooLarge();
  const bytes = Buffer.from(await request.arrayBuffer());
  if (bytes.length > BODY_BYTES_MAX) throw bodyTooLarge();
  if (bytes.length === 0)
    throw new ApiError("InvalidRequest", {
      detail: "The request has no body.",
      remedy: "Send JSON, with a Content-Length: the Functions host drops chunked bodies.",
    });
  const type = request.headers.get("content-type");
  if (type !== null && !/^\s*application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type))
    throw new ApiError("UnsupportedMediaType", { detail: `It is ${type}.` });
  try {
    return JSON.parse(utf8.decode(bytes)) as unknown;
  } catch {
    throw new ApiError("InvalidRequest", { detail: "The request body is not JSON in UTF-8." });
  }
}
