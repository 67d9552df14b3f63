import { randomUUID } from "node:crypto";
import { type HttpRequest, type HttpResponseInit, type InvocationContext } from "@azure/functions";
import { errors } from "../../contracts/errors.ts";
import { DEFAULT_API_VERSION } from "../../contracts/wire.ts";
import { ApiError, errorBody } from "./api-error.ts";
import { requireApiVersion } from "./api-version.ts";
import { type Authorize } from "./auth.ts";
import { readJson } from "./body.ts";
import { type Answer, type Call, type Endpoint } from "./endpoint.ts";
import { preconditionsOf } from "./etag.ts";
import { ownPath, publicBase } from "./links.ts";
import { stackOf } from "../log.ts";
import { invocationLog } from "./invocation-log.ts";
import { currentTraceparent, tracedRequest } from "../telemetry.ts";
import { refusalOf } from "./refusal.ts";

/** Makes the handler of one endpoint: what every request has in common, and errors as Resource Manager's answers. */
export function handlerOf(endpoint: Endpoint, authorize: Authorize) {
  const handle = async (request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> => {
    const requestId = randomUUID();
    try {
      const url = new URL(request.url);
      const { headers } = request as { headers: Headers };
      await authorize(url, headers, endpoint.right ?? (endpoint.method === "GET" ? "Migration.Read" : "Migration.Write"));
      return response(await endpoint.handle(callOf(endpoint, request, url, context)), request, requestId);
    } catch (error) {
      return response(refusal(error, endpoint, requestId, context), request, requestId);
    }
  };
  if (endpoint.right === "anyone") return handle; // probes: they would bury the rest
  return (request: HttpRequest, context: InvocationContext): Promise<HttpResponseInit> =>
    tracedRequest(endpoint, request, context, () => handle(request, context));
}

function callOf(endpoint: Endpoint, request: HttpRequest, url: URL, context: InvocationContext): Call {
  const headers = request.headers;
  const query = (name: string): string | undefined => {
    for (const [key, value] of url.searchParams) if (key.toLowerCase() === name.toLowerCase()) return value;
    return undefined;
  };
  let body: Promise<unknown> | undefined; // a request that lost a race is decided again; its body can be read only once
  const needsVersion = endpoint.needsApiVersion ?? true;
  return {
    params: request.params,
    query,
    body: () => (body ??= readJson(request)),
    preconditions: preconditionsOf(headers),
    base: publicBase(url, headers),
    path: ownPath(url),
    apiVersion: needsVersion ? requireApiVersion(query("api-version")) : DEFAULT_API_VERSION,
    traceparent: currentTraceparent() ?? headers.get("traceparent") ?? undefined,
    log: invocationLog(context),
  };
}

function refusal(error: unknown, endpoint: Endpoint, requestId: string, context: InvocationContext): Answer {
  const refused = refusalOf(error);
  if (refused) return refused;
  invocationLog(context).error({ event: "http.failed", requestId, error: stackOf(error) }, `${endpoint.name} failed`);
  return {
    status: 500,
    body: errorBody(new ApiError("Internal", { detail: `Request id: ${requestId}.`, remedy: errors.Internal.remedy })),
  };
}

/** An id that a caller made up may be anything; only what is safe in a header goes back. */
const CLIENT_REQUEST_ID = /^[\x21-\x7e]{1,128}$/;

function response({ status, body, etag, headers }: Answer, request: HttpRequest, requestId: string): HttpResponseInit {
  const clientRequestId = request.headers.get("x-ms-client-request-id");
  return {
    status,
    headers: {
      "x-ms-request-id": requestId,
      ...(clientRequestId !== null && CLIENT_REQUEST_ID.test(clientRequestId) ? { "x-ms-client-request-id": clientRequestId } : {}),
      "cache-control": "no-store",
      ...(etag === undefined ? {} : { etag: `"${etag}"` }),
      ...(body === undefined ? {} : { "content-type": "application/json; charset=utf-8" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(etag === undefined ? body : { ...body, etag }) }),
  };
}
