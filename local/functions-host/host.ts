import { type HostLog } from "./log.ts";
import { startHost, type StartedHost } from "./lifecycle.ts";
import { type QueueMessage } from "./queue-message.ts";
import { type Route } from "./routes.ts";
import { type AppSettings } from "./settings.ts";
import { type Clock } from "./timers.ts";

export interface HostOptions {
  /** The folder of host.json and package.json. */
  readonly root: string;
  /** The built file of the application, absolute or from `root`. Default: `main` of package.json. */
  readonly main?: string;
  /** Default: read from `root`. */
  readonly hostJson?: unknown;
  /** App settings. They stand in `process.env` from start() to stop(), as the platform puts them there. */
  readonly settings: AppSettings;
  /** For the timers. */
  readonly clock?: Clock;
  /** Gets what passes `logging.logLevel` of host.json. Default: standard error. */
  readonly log?: HostLog;
  /** False: nothing is received from queues, functions get only what deliver() gives them. Default: true. */
  readonly pumps?: boolean;
}

export interface FunctionsHost {
  /** Loads the application and begins to listen and to receive. Port 0 or none: a free one. A host is started once. */
  start(port?: number): Promise<void>;
  /** Stops timers and pumps, waits for running invocations, and frees the port. May be called twice. */
  stop(): Promise<void>;
  /** `http://127.0.0.1:<port>`, once started. */
  readonly url: string;
  /** In the order in which they are tried. */
  readonly routes: readonly Route[];
  /** One sentence for each function that cannot run. */
  readonly errors: readonly string[];
  /** Runs the function triggered by the queue with this message; rejects as the function does. No broker is asked. */
  deliver(queueName: string, message: QueueMessage): Promise<void>;
  /** Runs a timer function now; rejects as the function does. */
  fireTimer(functionName: string, options?: { readonly isPastDue?: boolean }): Promise<void>;
}

/**
 * A small Azure Functions host for Node, for one machine: it loads the unmodified registrations of `@azure/functions` 4.16 and runs HTTP, timer and Service Bus queue
 * triggers as the real host does. Function keys are not asked for. It binds 127.0.0.1.
 */
export function createHost(options: HostOptions): FunctionsHost {
  let host: StartedHost | undefined;
  const started = (): StartedHost => {
    if (!host) throw new Error("the functions host has not been started");
    return host;
  };
  return {
    async start(port = 0) {
      if (host) throw new Error("a functions host is started once: create another one");
      host = await startHost(options, port);
    },
    stop: async () => host?.stop(),
    get url() {
      return started().url;
    },
    get routes() {
      return started().index.routes;
    },
    get errors() {
      return started().index.errors;
    },
    async deliver(queueName, message) {
      const found = [...started().index.queues.values()].find((queue) => queue.queueName.toLowerCase() === queueName.toLowerCase());
      if (!found) throw new Error(`no function is triggered by the queue "${queueName}"`);
      await found.deliver(message);
    },
    async fireTimer(functionName, { isPastDue = false } = {}) {
      const timer = started().index.timers.get(functionName);
      if (!timer) throw new Error(`there is no timer function "${functionName}"`);
      await timer.fire(isPastDue);
    },
  };
}
