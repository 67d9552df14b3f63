import { DEFAULT_PORT, integerOf, readArguments, runCommand, UsageError } from "./command-line.ts";
import { DEFAULT_SERVICE, startEnvironment } from "./environment.ts";

// `npm start`: all of pgdms on this machine, until Ctrl-C.

const usage = `npm start -- [--port N] [--data DIR] [--workers N] [--service NAME]

  --port N        of the REST API and the portal (default ${DEFAULT_PORT}; 0 takes a free one)
  --data DIR      what is remembered between runs (default .pgdms)
  --workers N     worker processes for each service (default 1)
  --service NAME  the service that has its workers at once (default ${DEFAULT_SERVICE}); others get theirs when they are made`;

const options = {
  port: { type: "string", default: String(DEFAULT_PORT) },
  data: { type: "string", default: ".pgdms" },
  workers: { type: "string", default: "1" },
  service: { type: "string", default: DEFAULT_SERVICE },
  help: { type: "boolean", default: false },
} as const;

const serviceName = /^[A-Za-z0-9][A-Za-z0-9._-]{1,61}$/; // the rule of the resource's name

async function start(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (!serviceName.test(values.service)) throw new UsageError(`--service must be 2 to 62 letters, digits, ".", "_" or "-".`);
  const environment = await startEnvironment({
    port: integerOf("--port", values.port, 0, 65_535),
    dataDir: values.data,
    workers: integerOf("--workers", values.workers, 1, 16),
    service: values.service,
    signal,
    say: (line) => console.log(line),
  });
  console.log(`portal       ${environment.url}/portal/`);
  console.log(`Service Bus  ${environment.serviceBusConnection}`);
  console.log(`data, logs   ${environment.dataDir}`);
  console.log(`pgdms is ready at ${environment.url}`);
  const stopped = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
  const failure = signal.aborted ? undefined : await Promise.race([environment.failed, stopped]);
  console.log(failure ? failure.message : "\nstopping: running migrations go on at the next start");
  await environment.stop();
  return failure ? 1 : 0;
}

runCommand(start);
