import type { ErrorBody, ErrorDetail } from "../../contracts/wire.ts";
import type { Session } from "../auth/session.ts";

/** An answer that is no success. `status` 0: there was no answer at all (offline, or the server is gone). */
export class ApiError extends Error {
  readonly status: number;
  readonly detail: ErrorDetail;

  constructor(status: number, detail: ErrorDetail) {
    super(detail.message);
    this.name = "ApiError";
    this.status = status;
    this.detail = detail;
  }

  get isOffline(): boolean {
    return this.status === 0;
  }
}

/** One request may take this long; then the page says that the service does not answer. */
const requestTimeoutMs = 30_000;

interface ApiRequest {
  readonly method: "GET" | "PUT" | "PATCH" | "POST" | "DELETE";
  /** Below the API's root, without a leading slash and without the query. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

export interface ApiClient {
  send(request: ApiRequest): Promise<ApiAnswer>;
  /** Follows an absolute address that the API gave (`nextLink`, `Azure-AsyncOperation`). */
  follow(address: string, signal?: AbortSignal): Promise<ApiAnswer>;
}

/** The newest version of the API that has all that the page shows. */
const apiVersion = "2022-03-30-preview";

/**
 * A client of the REST API at `root` (it ends in a slash).
 * Its calls throw ApiError for every answer that is no success; an aborted signal throws the signal's reason.
 */
export function createApiClient(root: URL, session: Session): ApiClient {
  const call = async (url: URL, init: RequestInit, signal: AbortSignal | undefined): Promise<ApiAnswer> => {
    const authorization = await session.authorization();
    const headers = {
      accept: "application/json",
      ...(init.body === undefined ? {} : { "content-type": "application/json" }),
      ...(authorization ? { authorization } : {}),
    };
    const response = await answerOf(url, { ...init, headers, cache: "no-store" }, signal);
    const body = await bodyOf(response);
    if (!response.ok) throw new ApiError(response.status, errorOf(body, response));
    return { status: response.status, headers: response.headers, body };
  };
  return {
    send({ method, path, query, body, signal }) {
      const url = new URL(path, root);
      for (const [name, value] of Object.entries(query ?? {})) url.searchParams.set(name, value);
      url.searchParams.set("api-version", apiVersion);
      return call(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }, signal);
    },
    follow: (address, signal) => call(sameOrigin(address, root), { method: "GET" }, signal),
  };
}

/** Behind a proxy that hides the host the API may name another one: the page may speak to its own origin only. */
function sameOrigin(address: string, root: URL): URL {
  const url = new URL(address, root);
  return url.origin === root.origin ? url : new URL(url.pathname + url.search, root.origin);
}

async function answerOf(url: URL, init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
  const timeout = AbortSignal.timeout(requestTimeoutMs);
  try {
    return await fetch(url, { ...init, signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  } catch (error) {
    signal?.throwIfAborted();
    throw new ApiError(0, { code: "Offline", message: error instanceof Error ? error.message : String(error) });
  }
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (text === "") return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // a proxy's own page; the status says enough
  }
}

function errorOf(body: unknown, response: Response): ErrorDetail {
  const error = (body as Partial<ErrorBody> | undefined)?.error;
  return {
    code: error?.code ?? `HTTP${response.status}`,
    message: error?.message ?? `${response.status} ${response.statusText}`.trim(),
    ...(error?.details ? { details: error.details } : {}),
  };
}
