import { type Context, isSpanContextValid, ROOT_CONTEXT, trace, TraceFlags } from "@opentelemetry/api";
import { z } from "zod";
import { optionalText } from "./environment.ts";
import type * as telemetrySdk from "./telemetry-sdk.ts";

/** What both halves know of OpenTelemetry while it is off: its tiny API, which then does nothing, and when to switch it on. */

/** Where telemetry goes; each may be absent. */
export interface TelemetryTarget {
  readonly azure?: { readonly connectionString: string; readonly useIdentity: boolean; readonly identityClientId: string | undefined };
  readonly otlp?: { readonly traces: boolean; readonly metrics: boolean };
  readonly metricIntervalMs: number;
}

/** The SDK as a file of its own beside the bundle: it is read only when telemetry is on. */
export type TelemetrySdk = typeof telemetrySdk;

const Environment = z.object({
  OTEL_SDK_DISABLED: optionalText,
  OTEL_EXPORTER_OTLP_ENDPOINT: optionalText,
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: optionalText,
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: optionalText,
  OTEL_TRACES_EXPORTER: optionalText,
  OTEL_METRICS_EXPORTER: optionalText,
  OTEL_METRIC_EXPORT_INTERVAL: z.coerce.number().int().min(100).max(3_600_000).catch(60_000),
  APPLICATIONINSIGHTS_CONNECTION_STRING: optionalText,
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: optionalText,
});

/**
 * Where the environment wants telemetry to go, by the standard variables of OpenTelemetry and Application Insights.
 * @returns undefined when it says nothing: telemetry is off
 */
export function telemetryTarget(environment: NodeJS.ProcessEnv): TelemetryTarget | undefined {
  const env = Environment.parse(environment);
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === "true") return undefined;
  const otlp = {
    traces: env.OTEL_TRACES_EXPORTER !== "none" && Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_ENDPOINT),
    metrics: env.OTEL_METRICS_EXPORTER !== "none" && Boolean(env.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_ENDPOINT),
  };
  const connectionString = env.APPLICATIONINSIGHTS_CONNECTION_STRING;
  if (connectionString === undefined && !otlp.traces && !otlp.metrics) return undefined;
  const authentication = env.APPLICATIONINSIGHTS_AUTHENTICATION_STRING ?? "";
  return {
    ...(connectionString === undefined
      ? {}
      : {
          azure: {
            connectionString,
            useIdentity: /(^|;)\s*Authorization\s*=\s*AAD\s*(;|$)/i.test(authentication),
            identityClientId: /(?:^|;)\s*ClientId\s*=\s*([^;\s]+)/i.exec(authentication)?.[1],
          },
        }),
    ...(otlp.traces || otlp.metrics ? { otlp } : {}),
    metricIntervalMs: env.OTEL_METRIC_EXPORT_INTERVAL,
  };
}

const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})/;

/** The context that a W3C `traceparent` stands for; nothing's child when it is missing or malformed. */
export function contextOf(traceparent: string | undefined): Context {
  const [, traceId = "", spanId = "", flags = ""] = TRACEPARENT.exec(traceparent ?? "") ?? [];
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return isSpanContextValid(spanContext) ? trace.setSpanContext(ROOT_CONTEXT, spanContext) : ROOT_CONTEXT;
}

/** The `traceparent` of a context's span, or undefined when it has none. Off: that of the caller goes through. */
export function traceparentOf(context: Context): string | undefined {
  const span = trace.getSpanContext(context);
  if (!span || !isSpanContextValid(span)) return undefined;
  return `00-${span.traceId}-${span.spanId}-0${span.traceFlags & TraceFlags.SAMPLED}`;
}

/** The name of the instrumentation scope of all our spans and metrics. */
export const SCOPE = "pgdms";
