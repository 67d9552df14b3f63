import { type Log } from "../log.ts";
import { type Preconditions } from "./etag.ts";

export type Method = "GET" | "PUT" | "PATCH" | "POST" | "DELETE";

/** What a caller must be allowed to do. `anyone`: no check at all. */
export type Right = "Migration.Read" | "Migration.Write" | "anyone";

/** One request, after everything that is the same for all of them has been checked. */
export interface Call {
  /** Route parameters, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** A query parameter, whatever the case of its name. */
  query(name: string): string | undefined;
  /** The JSON body, not yet parsed by a schema. */
  body(): Promise<unknown>;
  readonly preconditions: Preconditions;
  /** Address by which the caller reached us: scheme, host, prefix. */
  readonly base: string;
  /** Path of this request below `base`. */
  readonly path: string;
  readonly apiVersion: string;
  /** W3C trace context to hand on. */
  readonly traceparent: string | undefined;
  readonly log: Log;
}

export interface Answer {
  readonly status: number;
  readonly body?: object;
  /** The resource's revision: becomes the ETag header and the body's `etag`. */
  readonly etag?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One route with one method. */
export interface Endpoint {
  /** Name of the function; unique. */
  readonly name: string;
  readonly method: Method;
  readonly route: string;
  /** Default: `Migration.Read` for GET, `Migration.Write` for all others. */
  readonly right?: Right;
  /** Default: true. */
  readonly needsApiVersion?: boolean;
  handle(call: Call): Promise<Answer>;
}
