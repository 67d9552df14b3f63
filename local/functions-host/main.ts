import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { createHost } from "./host.ts";
import { mergeSettings, readLocalSettings } from "./settings.ts";

// The functions host as a process: tsx local/functions-host/main.ts [--root DIR] [--settings FILE] [--port N]

const defaultPort = 7071; // that of the vendor's local tools
const stopTimeoutMs = 15_000;

async function main(): Promise<void> {
  const { values: flags } = parseArgs({ options: { root: { type: "string" }, settings: { type: "string" }, port: { type: "string" } } });
  const root = resolve(flags.root ?? ".");
  const local = flags.settings === undefined ? { values: {} } : readLocalSettings(resolve(flags.settings));
  const port = portOf(flags.port) ?? local.localHttpPort ?? defaultPort;
  const host = createHost({ root, settings: mergeSettings(local.values, process.env) });
  stopOnSignals(() => host.stop());
  await host.start(port).catch((error: unknown) => {
    throw isTaken(error) ? new Error(`port ${port} of 127.0.0.1 is taken: choose another one with --port`) : error;
  });
  if (host.errors.length > 0) {
    await host.stop();
    throw new Error(host.errors.join("\n"));
  }
  console.log(`functions host ready at ${host.url}`);
}

function portOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new Error(`--port must be a number from 0 to 65535, not "${text}"`);
  return port;
}

const isTaken = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "EADDRINUSE";

/** The first signal stops in order, a second one at once. */
function stopOnSignals(stop: () => Promise<void>): void {
  let stopping = false;
  const onSignal = (): void => {
    if (stopping) process.exit(1);
    stopping = true;
    setTimeout(() => process.exit(1), stopTimeoutMs).unref();
    stop().then(
      () => process.exit(0), // a pump's last poll may still be open: nothing to wait for
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

process.setSourceMapsEnabled(true);
main().catch((error: unknown) => {
  console.error(`functions host: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
