import { type IncomingMessage, type ServerResponse } from "node:http";
import { type RpcHttpData, type RpcNullable } from "./core-types.ts";
import { toSetCookie } from "./cookies.ts";

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Uint8Array;
}

export class BodyTooLargeError extends Error {}

/**
 * Reads a request body of at most `sizeBytesMax`; throws BodyTooLargeError beyond that.
 *
 * The runtime hands only bodies with a Content-Length to a function: a chunked one arrives empty
 * (github.com/Azure/azure-functions-host/issues/4926, open since 2019). So it does here: read to its end, and dropped.
 */
export async function readBody(request: IncomingMessage, sizeBytesMax: number): Promise<{ bytes: Buffer; dropped: boolean }> {
  if (Number(request.headers["content-length"] ?? 0) > sizeBytesMax) throw new BodyTooLargeError();
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeBytesMax) throw new BodyTooLargeError();
    chunks.push(chunk);
  }
  const dropped = request.headers["content-length"] === undefined && sizeBytes > 0;
  return { bytes: dropped ? Buffer.alloc(0) : Buffer.concat(chunks), dropped };
}

/** A request in the form in which the runtime hands it to the library: values wrapped, header names in lower case. */
export function toRpcRequest(request: IncomingMessage, url: URL, params: Readonly<Record<string, string>>, body: Buffer): RpcHttpData {
  const headers = Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]);
  const query = [...new Set(url.searchParams.keys())].map((name) => [name, url.searchParams.getAll(name).join(",")]);
  return {
    url: url.href,
    method: request.method ?? "GET",
    nullableHeaders: wrapped(headers),
    nullableQuery: wrapped(query),
    nullableParams: wrapped(Object.entries(params)),
    body: body.length > 0 ? { bytes: body } : null,
  };
}

const wrapped = (entries: readonly (readonly string[])[]): Record<string, RpcNullable<string>> =>
  Object.fromEntries(entries.map(([name = "", value = ""]) => [name, { value }]));

/** What the library made of a function's result. A function that returned nothing has answered 204. */
export function toAnswer(http: RpcHttpData | undefined): Answer {
  if (!http) return { status: 204 };
  const cookies = (http.cookies ?? []).map(toSetCookie);
  return {
    status: Number(http.statusCode ?? 200),
    headers: { ...http.headers, ...(cookies.length > 0 ? { "set-cookie": cookies } : {}) },
    body: http.body?.bytes,
  };
}

/** Statuses that never have a body (RFC 9110). */
const withoutBody = new Set([204, 205, 304]);

export function writeAnswer(response: ServerResponse, { status, headers = {}, body = new Uint8Array() }: Answer): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name.toLowerCase(), value);
  if (!withoutBody.has(status)) response.setHeader("content-length", body.length);
  response.statusCode = status;
  response.end(withoutBody.has(status) ? undefined : body);
}
