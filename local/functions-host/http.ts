import { createServer, type IncomingMessage, type Server } from "node:http";
import { type Admin } from "./admin.ts";
import { type InvocationResponse } from "./core-types.ts";
import { BodyTooLargeError, readBody, toAnswer, toRpcRequest, writeAnswer, type Answer } from "./http-data.ts";
import { type InvocationInput } from "./invoke.ts";
import { type HostLog } from "./log.ts";
import { findRoute, type Route } from "./routes.ts";

export interface HttpOptions {
  readonly routes: readonly Route[];
  /** On every answer, also those of the host itself. */
  readonly customHeaders: Readonly<Record<string, string>>;
  readonly bodySizeBytesMax: number;
  readonly hasHomepage: boolean;
  readonly admin: Admin;
  readonly log: HostLog;
  readonly run: (functionName: string, input: InvocationInput) => Promise<InvocationResponse>;
}

/** As Azure's front end keeps an idle connection. Node's own five seconds close it under a client that asks every five seconds. */
const KEEP_ALIVE_MS = 230_000;

/** An HTTP server that answers as the runtime does: by the first route that fits, 404 without a body for none, 500 without a body for an error. */
export function createHttpServer(options: HttpOptions): Server {
  return createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    void answer(request, options).then((result) => {
      // Nobody reads the rest of a body that was refused.
      const refused: Answer["headers"] = request.complete ? {} : { connection: "close" };
      try {
        writeAnswer(response, { ...result, headers: { ...options.customHeaders, ...result.headers, ...refused } });
      } catch (error) {
        options.log({ level: "error", category: "system", message: `the answer to ${request.method} cannot be sent: ${String(error)}` });
        response.destroy();
      }
    });
  });
}

async function answer(request: IncomingMessage, options: HttpOptions): Promise<Answer> {
  const url = absoluteUrl(request);
  if (!url) return { status: 400 };
  try {
    if (/^\/(admin|runtime)(\/|$)/i.test(url.pathname)) {
      return await options.admin(request.method ?? "GET", url.pathname, request.headers["content-type"] ?? "", async () =>
        (await readBody(request, options.bodySizeBytesMax)).bytes.toString("utf8"),
      );
    }
    const found = findRoute(options.routes, request.method ?? "GET", url.pathname);
    if (!found) return url.pathname === "/" ? homepage(options.hasHomepage) : { status: 404 };
    return await runFunction(request, url, found, options);
  } catch (error) {
    return { status: error instanceof BodyTooLargeError ? 413 : 500 }; // the invocation has been logged
  }
}

/** Not `new URL(request.url, base)`: a path that begins with two slashes would be taken for a host. */
function absoluteUrl(request: IncomingMessage): URL | undefined {
  const target = request.url ?? "/";
  const text = target.startsWith("/") ? `http://${request.headers.host ?? "127.0.0.1"}${target}` : target;
  return URL.canParse(text) ? new URL(text) : undefined;
}

function homepage(hasHomepage: boolean): Answer {
  if (!hasHomepage) return { status: 204 };
  const text = "<!doctype html><title>Functions</title><p>Your functions host is up and running.</p>";
  return { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: Buffer.from(text) };
}

async function runFunction(
  request: IncomingMessage,
  url: URL,
  { functionName, params }: { functionName: string; params: Record<string, string> },
  { run, log, bodySizeBytesMax }: HttpOptions,
): Promise<Answer> {
  const { bytes, dropped } = await readBody(request, bodySizeBytesMax);
  if (dropped) {
    const message = `${request.method} ${url.pathname}: a body without Content-Length was dropped, as Azure does`;
    log({ level: "warning", category: "system", message, functionName });
  }
  const { traceparent, tracestate } = request.headers;
  const { returnValue } = await run(functionName, {
    data: { http: toRpcRequest(request, url, params, bytes) },
    triggerMetadata: {},
    traceParent: typeof traceparent === "string" ? traceparent : undefined,
    traceState: typeof tracestate === "string" ? tracestate : undefined,
  });
  return toAnswer(returnValue?.http);
}
