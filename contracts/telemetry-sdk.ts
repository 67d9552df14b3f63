import { type TokenCredential } from "@azure/identity";
import { AzureMonitorMetricExporter, AzureMonitorTraceExporter } from "@azure/monitor-opentelemetry-exporter";
import { context, diag, DiagLogLevel, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader, type PushMetricExporter } from "@opentelemetry/sdk-metrics";
import { AlwaysOnSampler, BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import { z } from "zod";
import { type TelemetryTarget } from "./telemetry.ts";

/** Built into a file of its own: whoever has telemetry off never reads it. */

export interface SdkOptions {
  readonly target: TelemetryTarget;
  readonly serviceName: string;
  readonly serviceVersion: string;
  readonly instanceId: string;
  /** Tokens for Azure Monitor, when keys are off there. */
  readonly credential: (clientId: string | undefined) => TokenCredential;
  /** What could not be exported. Never an attribute's value. */
  readonly onProblem: (message: string) => void;
}

export interface RunningTelemetry {
  /** Sends what is left, then ends. Bounded by the exporters' own timeouts; the caller sets a shorter one. */
  stop(): Promise<void>;
}

/** Starts to record and export. Registers itself with the API, for the whole process. */
export function startSdk(options: SdkOptions): RunningTelemetry {
  const { target, onProblem } = options;
  diag.setLogger(
    {
      error: (message, ...details) => onProblem(sayProblem(message, details)),
      warn: () => undefined,
      info: () => undefined,
      debug: () => undefined,
      verbose: () => undefined,
    },
    DiagLogLevel.ERROR,
  );
  const resource = resourceFromAttributes({
    "service.name": options.serviceName,
    "service.version": options.serviceVersion,
    "service.instance.id": options.instanceId,
    "service.namespace": "pgdms",
  }).merge(detectResources({ detectors: [envDetector] }));
  const tracerProvider = new BasicTracerProvider({
    resource,
    // A migration is rare and its spans are few: all are kept, whatever the caller samples, unless the operator says otherwise.
    ...(process.env["OTEL_TRACES_SAMPLER"] ? {} : { sampler: new AlwaysOnSampler() }),
    spanProcessors: spanExporters(options).map((exporter) => new BatchSpanProcessor(exporter)),
  });
  const meterProvider = new MeterProvider({
    resource,
    readers: metricExporters(options).map(
      (exporter) =>
        new PeriodicExportingMetricReader({
          exporter,
          exportIntervalMillis: target.metricIntervalMs,
          exportTimeoutMillis: Math.min(target.metricIntervalMs, EXPORT_TIMEOUT_MS),
        }),
    ),
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(tracerProvider);
  metrics.setGlobalMeterProvider(meterProvider);
  return {
    stop: async () => {
      await Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]);
    },
  };
}

const EXPORT_TIMEOUT_MS = 30_000;
const PROBLEM_CHARS_MAX = 300;

const LoggedError = z.object({ message: z.string() });

/** The libraries log errors as JSON with a stack in it, or in pieces. */
function sayProblem(message: string, details: readonly unknown[]): string {
  const said = [message, ...details].map((part) => {
    if (part instanceof Error) return part.message;
    if (typeof part !== "string") return "";
    try {
      return LoggedError.parse(JSON.parse(part)).message;
    } catch {
      return part;
    }
  });
  return said.filter(Boolean).join(" ").slice(0, PROBLEM_CHARS_MAX);
}

function spanExporters(options: SdkOptions): SpanExporter[] {
  const { azure, otlp } = options.target;
  // The exporter would tell its maker how it is used: another address, other timers, which nobody asked for.
  process.env["APPLICATION_INSIGHTS_NO_STATSBEAT"] ??= "true";
  return [...(azure ? [new AzureMonitorTraceExporter(azureOptions(options))] : []), ...(otlp?.traces ? [new OTLPTraceExporter()] : [])];
}

function metricExporters(options: SdkOptions): PushMetricExporter[] {
  const { azure, otlp } = options.target;
  return [...(azure ? [new AzureMonitorMetricExporter(azureOptions(options))] : []), ...(otlp?.metrics ? [new OTLPMetricExporter()] : [])];
}

function azureOptions({ target: { azure }, credential }: SdkOptions): ConstructorParameters<typeof AzureMonitorTraceExporter>[0] {
  if (!azure) return {};
  return {
    connectionString: azure.connectionString,
    // Nothing is written where the file system may be read-only; what cannot be sent is let go.
    disableOfflineStorage: true,
    ...(azure.useIdentity ? { credential: credential(azure.identityClientId) } : {}),
  };
}
