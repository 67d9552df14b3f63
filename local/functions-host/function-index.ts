import { z } from "zod";
import { type RegisteredFunction, type Registrations } from "./core.ts";
import { triggerOf } from "./invoke.ts";
import { compareNames, makeRoutes, type HttpRegistration, type Route } from "./routes.ts";
import { isDisabled } from "./settings.ts";
import { type Timer } from "./timers.ts";
import { makeQueueTrigger, makeTimer, type QueueTrigger, type TriggerHost } from "./triggers.ts";

/** What the registered functions come to: how each is reached, and which cannot run. */
export interface FunctionIndex {
  readonly routes: readonly Route[];
  readonly timers: ReadonlyMap<string, Timer>;
  readonly queues: ReadonlyMap<string, QueueTrigger>;
  /** One sentence per function that is left out. */
  readonly errors: readonly string[];
}

const HttpOptions = z.looseObject({ route: z.string().optional(), methods: z.array(z.string()).default([]) });

/** A function that cannot run is named in `errors`; the others run. */
export function indexFunctions({ functions }: Registrations, host: TriggerHost): FunctionIndex {
  const http: HttpRegistration[] = [];
  const timers = new Map<string, Timer>();
  const queues = new Map<string, QueueTrigger>();
  const errors: string[] = [];
  const sorted = [...functions.values()].sort((a, b) => compareNames(a.metadata.name, b.metadata.name));
  for (const [index, registered] of sorted.entries()) {
    const { name } = registered.metadata;
    try {
      assertSupported(registered, sorted[index - 1]);
      if (isDisabled(name, host.settings)) continue;
      const { type, options } = triggerOf(registered.metadata);
      if (type === "httptrigger") http.push(httpRegistration(name, options));
      else if (type === "timertrigger") timers.set(name, makeTimer(registered, host));
      else if (type === "servicebustrigger") queues.set(name, makeQueueTrigger(registered, host));
      else throw new Error(`triggers of the type "${type}" are not supported here`);
    } catch (error) {
      errors.push(`function "${name}": ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const mapped = makeRoutes(http, host.hostJson.extensions.http.routePrefix);
  return { routes: mapped.routes, timers, queues, errors: [...errors, ...mapped.errors] };
}

function httpRegistration(functionName: string, options: Readonly<Record<string, unknown>>): HttpRegistration {
  const { route = functionName, methods } = HttpOptions.parse(options);
  return { functionName, route, methods };
}

function assertSupported({ metadata }: RegisteredFunction, before: RegisteredFunction | undefined): void {
  const { name, bindings } = metadata;
  if (!/^[a-z][a-z0-9_-]{0,127}$/i.test(name) || name.toLowerCase() === "host") {
    throw new Error('the name must begin with a letter, have only letters, digits, "-" and "_", at most 128 of them, and not be "host"');
  }
  if (before && before.metadata.name.toLowerCase() === name.toLowerCase()) {
    throw new Error(`the name differs from that of "${before.metadata.name}" only in upper and lower case`);
  }
  for (const [bindingName, { type, direction }] of Object.entries(bindings)) {
    if (/trigger$/i.test(type) || (direction === "out" && type.toLowerCase() === "http")) continue;
    throw new Error(`the ${direction}put binding "${bindingName}" of the type "${type}" is not supported here: use the service's SDK`);
  }
}
