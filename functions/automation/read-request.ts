import { DEFAULT_API_VERSION } from "../../contracts/wire.ts";
import { type ControlPlane } from "../control-plane.ts";
import { ApiError, invalid } from "../http/api-error.ts";
import { BODY_BYTES_MAX, bodyTooLarge } from "../http/body.ts";
import { type Call, type Endpoint } from "../http/endpoint.ts";
import { parsed } from "../http/validation.ts";
import { type Log } from "../log.ts";
import { RequestMessage } from "./messages.ts";
import { idTemplate, parametersOf } from "./resource-address.ts";

/** A message that can be run: what it asks for, and the endpoint that does it. */
export interface Request {
  readonly message: RequestMessage;
  readonly endpoint: Endpoint;
  readonly params: Readonly<Record<string, string>>;
}

/**
 * Reads a message of the queue `requests`.
 * @throws ApiError that names every field that is wrong: sending it again would not help
 */
export function readRequest(endpoints: readonly Endpoint[], text: unknown): Request {
  if (typeof text === "string") throw new ApiError("InvalidRequest", { detail: "The message is not JSON." });
  const message = parsed(RequestMessage, text);
  const endpoint = endpoints.find(({ name }) => name === message.operation);
  if (endpoint === undefined) throw new Error(`no endpoint does ${message.operation}`);
  const params = parametersOf(endpoint, message.resourceId);
  if (params === undefined) throw invalid("resourceId", `${message.operation} takes an id like ${idTemplate(endpoint)}`);
  return { message, endpoint, params };
}

/** The message as the call that the REST API would have made of it. */
export function callOf({ publicUrl }: Pick<ControlPlane, "publicUrl">, { message, endpoint, params }: Request, log: Log): Call {
  const parameters = new Map(Object.entries(message.parameters ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]));
  const path = endpoint.route.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  return {
    params,
    query: (name) => parameters.get(name.toLowerCase()),
    body: () => (message.body === undefined ? Promise.reject(bodyMissing(message.operation)) : Promise.resolve(sized(message.body))),
    preconditions: { ifMatch: message.ifMatch, ifNoneMatch: message.ifNoneMatch },
    base: publicUrl,
    path: `/${path}`,
    apiVersion: DEFAULT_API_VERSION,
    traceparent: message.traceparent,
    log,
  };
}

const bodyMissing = (operation: string): ApiError =>
  new ApiError("InvalidRequest", { details: [{ code: "ValueRequired", message: `body: is required by ${operation}.`, target: "body" }] });

function sized(body: object): object {
  if (Buffer.byteLength(JSON.stringify(body)) > BODY_BYTES_MAX) throw bodyTooLarge();
  return body;
}
