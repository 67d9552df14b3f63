import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type HttpRequest, type HttpResponseInit, type InvocationContext } from "@azure/functions";
import { context, type Histogram, metrics, type Span, SpanKind, SpanStatusCode, trace, type Tracer } from "@opentelemetry/api";
import packageJson from "../package.json" with { type: "json" };
import { type Command, commandsQueue } from "../contracts/commands.ts";
import { azureIdentity } from "../contracts/identity.ts";
import { type TaskReport } from "../contracts/reports.ts";
import { contextOf, SCOPE, telemetryTarget, traceparentOf, type TelemetrySdk } from "../contracts/telemetry.ts";

// Traces and metrics of the control plane. Until startTelemetry has switched the SDK on, every call here does nothing.

const tracer = (): Tracer => trace.getTracer(SCOPE, packageJson.version);

/** In Azure the host tells Application Insights of each request itself: ours is a part of it, not another request. */
const hostReportsRequests = (): boolean => Boolean(process.env["APPLICATIONINSIGHTS_CONNECTION_STRING"]);

let reportAge: Histogram | undefined;

/** The SDK is given so long to send what is left; the platform waits no longer for an instance to end. */
const STOP_TIMEOUT_MS = 3_000;

/**
 * Switches telemetry on when the environment names a place for it. Reads the SDK's file only then.
 * @returns what sends the rest and ends it
 */
export async function startTelemetry(
  env: NodeJS.ProcessEnv,
  { identityClientId, onProblem }: { identityClientId: string | undefined; onProblem: (message: string) => void },
): Promise<() => Promise<void>> {
  const target = telemetryTarget(env);
  if (!target) return () => Promise.resolve();
  try {
    const { startSdk } = (await import(pathToFileURL(join(__dirname, "telemetry-sdk.cjs")).href)) as TelemetrySdk;
    const sdk = startSdk({
      target,
      serviceName: "pgdms-control-plane",
      serviceVersion: packageJson.version,
      instanceId: env["WEBSITE_INSTANCE_ID"] ?? String(process.pid),
      credential: (clientId = identityClientId) => azureIdentity(clientId),
      onProblem,
    });
    reportAge = metrics.getMeter(SCOPE, packageJson.version).createHistogram("pgdms.report.age", {
      unit: "s",
      description: "From the sending of a worker's report to its arrival in the control plane.",
      advice: { explicitBucketBoundaries: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900] },
    });
    return () => Promise.race([sdk.stop(), new Promise<void>((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS).unref())]);
  } catch (error) {
    onProblem(`telemetry stays off: ${error instanceof Error ? error.message : String(error)}`);
    return () => Promise.resolve();
  }
}

/** Runs the handler of a request in a span. The name is the route's, never a path: paths hold names of the user's things. */
export async function tracedRequest(
  { method, route }: { readonly method: string; readonly route: string },
  request: HttpRequest,
  invocation: InvocationContext,
  handle: () => Promise<HttpResponseInit>,
): Promise<HttpResponseInit> {
  const isInner = hostReportsRequests();
  const parent = contextOf((isInner ? invocation.traceContext?.traceParent : undefined) ?? request.headers.get("traceparent") ?? undefined);
  const attributes = { "http.request.method": method, "http.route": `/${route}` };
  const options = { kind: isInner ? SpanKind.INTERNAL : SpanKind.SERVER, attributes };
  return tracer().startActiveSpan(`${method} /${route}`, options, parent, async (span) => {
    try {
      const response = await handle();
      span.setAttribute("http.response.status_code", response.status ?? 200);
      if ((response.status ?? 200) >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      return response;
    } finally {
      span.end();
    }
  });
}

/** The `traceparent` of what is going on, to be handed on. */
export const currentTraceparent = (): string | undefined => traceparentOf(context.active());

/**
 * Sends a command in a span of its own, which the worker's spans become children of: below what caused the command, the
 * request now or the one that made the task.
 */
export async function tracedSend(serviceName: string, command: Command, send: (command: Command) => Promise<void>): Promise<void> {
  const parent = command.traceparent === undefined ? context.active() : contextOf(command.traceparent);
  const attributes = {
    "messaging.system": "servicebus",
    "messaging.destination.name": commandsQueue(serviceName),
    "messaging.operation.type": "send",
    "pgdms.task.id": command.taskId,
    "pgdms.command": command.type,
  };
  await tracer().startActiveSpan(`send ${command.type}`, { kind: SpanKind.PRODUCER, attributes }, parent, async (span) => {
    const traceparent = traceparentOf(trace.setSpan(context.active(), span));
    await ended(span, () => send(traceparent === undefined ? command : { ...command, traceparent }));
  });
}

/** Takes a report in: its age always, and a span when it tells of something rare (such reports carry a trace). */
export async function tracedReport(report: TaskReport, fold: () => Promise<void>): Promise<void> {
  const ageSeconds = Math.max(0, Date.now() - Date.parse(report.sentAt)) / 1000;
  reportAge?.record(ageSeconds);
  if (report.traceparent === undefined) return fold();
  const events = report.items.flatMap((item) => (item.kind === "task" ? [item.event] : item.kind === "command" ? [item.state] : []));
  const attributes = { "pgdms.task.id": report.taskId, "pgdms.epoch": report.epoch, "pgdms.report.events": events };
  const options = { kind: SpanKind.CONSUMER, attributes };
  await tracer().startActiveSpan("take report", options, contextOf(report.traceparent), (span) => ended(span, fold));
}

async function ended(span: Span, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : "unknown" });
    throw error;
  } finally {
    span.end();
  }
}
