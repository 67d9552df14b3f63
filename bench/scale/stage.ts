import { setMaxListeners } from "node:events";
import { Teardown } from "../../local/environment/teardown.ts";
import { type Metered, processesOf } from "../engine/meter.ts";
import { Pgdms } from "../engine/pgdms.ts";
import { type ServerPair, startPair } from "../engine/servers.ts";
import { countBus } from "./bus-count.ts";
import { type Counting, Counts } from "./counts.ts";
import { countStorage } from "./storage-count.ts";

/** Room for a fleet: each database has several sessions and a slot, which a pair for one migration need not have. */
const SERVER_SETTINGS = {
  max_connections: "500",
  max_replication_slots: "60",
  max_wal_senders: "60",
  max_worker_processes: "8",
  shared_buffers: "256MB",
};

/** As in Azure; on one machine it looks more often. */
const FUNCTIONS_SETTINGS = { WATCHDOG_CRON: "0 */1 * * * *" };

/** All that a measurement needs: servers, pgdms with one worker, and counters on every line between its parts. */
export interface Stage {
  readonly pair: ServerPair;
  readonly pgdms: Pgdms;
  readonly counts: Counts;
  /** The Functions host with the control plane in it. */
  readonly functions: Metered;
  readonly signal: AbortSignal;
}

/** Sets all up; the teardown ends it. */
export async function startStage(teardown: Teardown): Promise<Stage> {
  setMaxListeners(0, teardown.signal); // each writer and each wait of a fleet ends with it
  const counts = new Counts();
  const pair = await teardown.start(
    () => startPair("embedded", SERVER_SETTINGS),
    (started) => started.stop(),
  );
  // They go after the parts that speak through them, and so begin before them.
  const lines = await teardown.start(
    () => Promise.resolve(new Teardown()),
    (started) => started.stop(),
  );
  const pgdms = await teardown.start(
    () =>
      Pgdms.start(teardown.signal, {
        workerSettings: { MAX_TASKS: "100" },
        functionsSettings: FUNCTIONS_SETTINGS,
        between: {
          tables: (text) => replacePort(text, /(TableEndpoint=http:\/\/127\.0\.0\.1:)(\d+)/, (port) => countStorage(port, counts), lines),
          serviceBus: (text, part) => replacePort(text, /(sb:\/\/127\.0\.0\.1:)(\d+)/, (port) => countBus(port, part, counts), lines),
        },
      }),
    (started) => started.stop(),
  );
  const [, functionsPid = 0] = pgdms.environment.pids;
  return { pair, pgdms, counts, functions: processesOf("functions", () => [functionsPid]), signal: teardown.signal };
}

async function replacePort(
  connectionString: string,
  pattern: RegExp,
  start: (port: number) => Promise<Counting>,
  lines: Teardown,
): Promise<string> {
  const port = Number(pattern.exec(connectionString)?.[2]);
  const counting = await lines.start(
    () => start(port),
    (started) => started.close(),
  );
  return connectionString.replace(pattern, `$1${counting.port}`);
}
