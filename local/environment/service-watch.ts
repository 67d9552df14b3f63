import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import type * as storeModule from "../../functions/store/store.ts";
import { type WorkerPool } from "./workers.ts";

/** So many services get workers of their own; a machine has only so much memory. */
const SERVICES_MAX = 5;
const intervalMs = 1_000;

/** Every service there is. The REST API lists those of one subscription only, and here any subscription's name will do. */
const allServices = "PartitionKey ge ' '";

export interface ServiceWatchOptions {
  readonly tablesConnection: string;
  readonly pool: WorkerPool;
  /** Served whether it exists or not. */
  readonly always: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** Gives each service its workers for as long as it is there and not stopped: what the platform's scaler does in Azure. */
export async function watchServices({ tablesConnection, pool, always, signal, say }: ServiceWatchOptions): Promise<void> {
  // As one file, and only now: the hundreds of files behind it took half of the time until a command begins.
  const { openStore } = createRequire(import.meta.url)("../../dist/local/store.cjs") as typeof storeModule;
  const { services } = openStore({ connectionString: tablesConnection }, () => {
    throw new Error("table storage on this machine needs no identity");
  });
  const refused = new Set<string>();
  while (!signal.aborted) {
    try {
      const rows = (await services.list(allServices)).map(({ value }) => value);
      const running = rows.filter((row) => row.state !== "Stopped").map((row) => row.path.service.toLowerCase());
      const { serve, leave, refuse } = decide(new Set([always, ...running]), pool.services);
      for (const name of refuse.filter((service) => !refused.has(service))) {
        refused.add(name);
        say(`service ${name} gets no worker: ${SERVICES_MAX} services have theirs. Delete or stop one of them.`);
      }
      await Promise.all([...serve.map((name) => pool.serve(name)), ...leave.map((name) => pool.leave(name))]);
    } catch (error) {
      if (!signal.aborted) say(`services could not be watched: ${error instanceof Error ? error.message : String(error)}`);
    }
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

/** Which services get workers, which lose theirs, and for which there is no room. */
export function decide(
  wanted: ReadonlySet<string>,
  served: ReadonlySet<string>,
): { readonly serve: string[]; readonly leave: string[]; readonly refuse: string[] } {
  const leave = [...served].filter((name) => !wanted.has(name));
  const fresh = [...wanted].filter((name) => !served.has(name));
  const room = Math.max(0, SERVICES_MAX - (served.size - leave.length));
  return { serve: fresh.slice(0, room), leave, refuse: fresh.slice(room) };
}
