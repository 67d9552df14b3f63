import { type Counter, metrics } from "@opentelemetry/api";
import { azureIdentity } from "../contracts/identity.ts";
import { SCOPE, telemetryTarget, type TelemetrySdk } from "../contracts/telemetry.ts";
import { type Config } from "./config.ts";
import { observeFigures } from "./figures.ts";
import { type Logger } from "./log.ts";
import { SOFTWARE_VERSION } from "./version.ts";

// Switches traces and metrics on. All of it runs on the main thread: the threads of databases tell it what happened.

/** The SDK is given so long to send what is left; a stopping worker has little time. */
const STOP_TIMEOUT_MS = 2_000;

let retries: Counter | undefined;

/** Counts that something went wrong for the moment and is tried again. `what` is one of few words. */
export function countRetry(what: string): void {
  retries?.add(1, { "pgdms.retry.of": what });
}

/**
 * Switches telemetry on when the environment names a place for it; reads the SDK's file only then. Never throws: a migration
 * is worth more than its telemetry.
 * @returns what sends the rest and ends it
 */
export async function startTelemetry(env: NodeJS.ProcessEnv, config: Config, log: Logger): Promise<() => Promise<void>> {
  const target = telemetryTarget(env);
  if (!target) return () => Promise.resolve();
  try {
    // The worker always runs as built: the SDK's bundle lies beside the main one.
    const { startSdk } = (await import(new URL("./telemetry-sdk.js", import.meta.url).href)) as TelemetrySdk;
    const sdk = startSdk({
      target,
      serviceName: "pgdms-worker",
      serviceVersion: SOFTWARE_VERSION,
      instanceId: config.WORKER_ID,
      credential: (clientId = config.AZURE_CLIENT_ID) => azureIdentity(clientId),
      onProblem: (problem) => log.warn({ event: "telemetry.failed", problem }, "telemetry could not be sent"),
    });
    const meter = metrics.getMeter(SCOPE, SOFTWARE_VERSION);
    retries = meter.createCounter("pgdms.retries", { unit: "{retry}", description: "Something failed for the moment and is tried again." });
    observeFigures(meter, config.PGDMS_SERVICE);
    log.info({ event: "telemetry.started", azure: target.azure !== undefined, otlp: target.otlp !== undefined }, "telemetry is on");
    return () => Promise.race([sdk.stop(), new Promise<void>((resolve) => setTimeout(resolve, STOP_TIMEOUT_MS))]);
  } catch (thrown) {
    log.error({ event: "telemetry.start.failed", err: thrown }, "telemetry stays off");
    return () => Promise.resolve();
  }
}
