import { type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdmin } from "./admin.ts";
import { newRegistrations, type Registrations } from "./core.ts";
import { type InvocationResponse } from "./core-types.ts";
import { setEnvironment } from "./environment.ts";
import { indexFunctions, type FunctionIndex } from "./function-index.ts";
import { type HostOptions } from "./host.ts";
import { createHttpServer } from "./http.ts";
import { invoke, type InvocationInput } from "./invoke.ts";
import { entryOf, loadApplication } from "./load.ts";
import { logToStderr, passes, type HostLog } from "./log.ts";
import { type Pump } from "./pump.ts";
import { countRunning, type Running } from "./running.ts";
import { isDisabled, parseHostJson, readHostJson, type AppSettings, type HostJson } from "./settings.ts";
import { systemClock } from "./timers.ts";

const stopTimeoutMs = 10_000;
/** For an answer whose invocation has ended to get onto the wire. */
const answerTimeoutMs = 200;
const defaultBodySizeBytesMax = 100 * 1024 * 1024; // the platform's

export interface StartedHost {
  readonly url: string;
  readonly index: FunctionIndex;
  stop(): Promise<void>;
}

/**
 * Starts in the order of the platform: settings, application, index of functions, appStart hooks, HTTP, timers and pumps. What was started is stopped
 * in reverse, also when a later step fails.
 */
export async function startHost(options: HostOptions, port: number): Promise<StartedHost> {
  const { root, settings, clock = systemClock, pumps: hasPumps = true, log: sink = logToStderr } = options;
  const hostJson = options.hostJson === undefined ? readHostJson(join(root, "host.json")) : parseHostJson(options.hostJson);
  const log: HostLog = (entry) => {
    if (passes(entry, hostJson.logging.logLevel)) sink(entry);
  };
  const app = newRegistrations(log);
  const restoreEnvironment = setEnvironment(settings);
  const undo: (() => unknown)[] = [restoreEnvironment];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    await loadApplication(entryOf(root, options.main), app);
    app.locked = true;
    await app.model?.getCapabilities({});
    const running = countRunning();
    const run = runner(app, running, hostJson.functionTimeout);
    const index = indexFunctions(app, { settings, hostJson, clock, log, run, pumps: hasPumps });
    await runHooks(app, "appStart", root);
    undo.push(() => runHooks(app, "appTerminate", root));
    const server = await listen(httpServer(app, index, { settings, hostJson, log, run }), port);
    undo.push(() => close(server, running));
    for (const timer of index.timers.values()) timer.start();
    const pumps = hasPumps ? [...index.queues.values()].map((queue) => queue.startPump()) : [];
    undo.push(() => stopTriggers(index, pumps));
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, index, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Run = (functionName: string, input: InvocationInput) => Promise<InvocationResponse>;

function runner(app: Registrations, running: Running, timeoutMs: number): Run {
  return (functionName, input) => {
    const registered = app.functions.get(functionName);
    if (!registered) return Promise.reject(new Error(`there is no function "${functionName}"`));
    return running.track(invoke(app, registered, input, timeoutMs));
  };
}

interface HttpSurroundings {
  readonly settings: AppSettings;
  readonly hostJson: HostJson;
  readonly log: HostLog;
  readonly run: Run;
}

function httpServer(app: Registrations, index: FunctionIndex, { settings, hostJson, log, run }: HttpSurroundings): Server {
  const functions = [...app.functions.values()].map(({ metadata }) => ({ metadata, isDisabled: isDisabled(metadata.name, settings) }));
  return createHttpServer({
    routes: index.routes,
    customHeaders: hostJson.extensions.http.customHeaders,
    bodySizeBytesMax: Number(settings["FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"] ?? defaultBodySizeBytesMax),
    hasHomepage: !/^(true|1)$/i.test(settings["AzureWebJobsDisableHomepage"] ?? ""),
    admin: createAdmin({ functions, start: (name, input) => startByName(index, name, input) }),
    log,
    run,
  });
}

/** What the admin endpoint starts goes on after its answer; the invocation logs how it ends. */
function startByName(index: FunctionIndex, name: string, input = ""): "started" | "httpFunction" | undefined {
  const isSame = (each: string): boolean => each.toLowerCase() === name.toLowerCase();
  const timer = [...index.timers].find(([functionName]) => isSame(functionName))?.[1];
  const queue = [...index.queues].find(([functionName]) => isSame(functionName))?.[1];
  if (!timer && !queue) return index.routes.some(({ functionName }) => isSame(functionName)) ? "httpFunction" : undefined;
  (timer ? timer.fire(false) : (queue?.deliver({ body: input }) ?? Promise.resolve())).catch(() => undefined);
  return "started";
}

async function stopTriggers({ timers }: FunctionIndex, pumps: readonly Pump[]): Promise<void> {
  for (const timer of timers.values()) timer.stop();
  await Promise.all(pumps.map((pump) => pump.stop()));
}

async function runHooks(app: Registrations, name: "appStart" | "appTerminate", functionAppDirectory: string): Promise<void> {
  for (const hook of app.hooks[name]) await hook({ hookData: {}, appHookData: {}, functionAppDirectory });
}

function listen(server: Server, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(server.off("error", reject)));
  });
}

/** Takes no more connections, waits for running invocations, and cuts what is left: idle connections, and clients that do not read. */
async function close(server: Server, running: Running): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  await running.settled(stopTimeoutMs);
  await Promise.race([closed, sleep(answerTimeoutMs)]);
  server.closeAllConnections();
  await closed;
}
