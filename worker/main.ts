import { readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import { startTelemetry } from "./telemetry.ts";
import { startWorker } from "./worker.ts";

const config = readConfig(process.env);
const log = createLogger(config.LOG_LEVEL, config.WORKER_ID);
const stopTelemetry = await startTelemetry(process.env, config, log);
const worker = startWorker(config, log);

let isStopping = false;
function stop(signal: string): void {
  if (isStopping) return;
  isStopping = true;
  log.info({ event: "worker.stopping", signal }, "stopping: tasks are handed back");
  worker
    .stop()
    .then(stopTelemetry)
    .then(
      () => process.exit(0),
      (thrown: unknown) => {
        log.error({ event: "worker.stop.failed", err: thrown }, "the worker could not stop in order");
        process.exit(1);
      },
    );
}
process.on("SIGTERM", () => stop("SIGTERM"));
process.on("SIGINT", () => stop("SIGINT"));
