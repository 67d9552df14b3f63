import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { parseEmulatorConfig } from "./emulator-config.ts";
import { pgdmsEntities } from "./entities.ts";
import { startBroker } from "./server.ts";

/*
 * The broker as a process of its own:
 *   main.ts [--port 5672] [--data DIR] [--config FILE] [--health-port N] [--lock-seconds N]
 * Locks last as the entities say, or as long as --lock-seconds says, for all of them.
 * Without a configuration file it has the entities of pgdms. Prints one line when it is ready; ends on SIGTERM and SIGINT.
 */

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "5672" },
    data: { type: "string" },
    config: { type: "string" },
    "health-port": { type: "string" },
    "lock-seconds": { type: "string" },
  },
});

const broker = await startBroker({
  port: portOf("--port", values.port),
  config: values.config === undefined ? pgdmsEntities([]) : parseEmulatorConfig(readFileSync(values.config, "utf8")),
  dataDir: values.data,
  lockDurationOverrideMs: values["lock-seconds"] === undefined ? undefined : Number(values["lock-seconds"]) * 1000,
  healthPort: values["health-port"] === undefined ? undefined : portOf("--health-port", values["health-port"]),
});
console.log(`broker ready on 127.0.0.1:${broker.port}`);

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => void broker.stop().then(() => process.exit(0)));
}

function portOf(option: string, text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new Error(`${option} must be a port from 0 to 65535 (0 takes a free one), but is "${text}".`);
}
