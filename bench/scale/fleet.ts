import { setTimeout as sleep } from "node:timers/promises";
import { type Client } from "../../local/client.ts";
import { type BenchServer } from "../engine/servers.ts";
import { type Stage } from "./stage.ts";
import { makeDatabases, putTask, reportsArrive, ROWS, stateOf } from "./small-databases.ts";
import { type Figures, whole, window } from "./window.ts";

/** A service carries as many migrations at once as it has vCores. */
const TASKS_A_SERVICE = 4;

/** Until all has begun that begins after the load: statistics are sent, heaps have come to rest. */
const SETTLE_MS = 10_000;

export interface FleetOptions {
  /** How many databases are followed at each step, rising. */
  readonly sizes: readonly number[];
  /** How long each state is measured. */
  readonly seconds: number;
  /** Transactions a second in each database, of three changes each, when it is not idle. */
  readonly rate: number;
  /** Whether each database has a task of its own, or all of them share one. */
  readonly tasks: "own" | "shared";
  readonly say: (line: string) => void;
}

/** The figures of one size of the fleet. */
export interface FleetStep {
  readonly databases: number;
  readonly idle: Figures;
  readonly busy: Figures;
}

export interface FleetResult {
  readonly steps: readonly FleetStep[];
  /** All databases of the last step began at once, or those that it had more than the step before. */
  readonly start: Figures & { readonly databases: number };
  /** All databases were cut over at once. */
  readonly cutover: Figures & { readonly databases: number };
}

interface Member {
  readonly database: string;
  readonly taskId: string;
  readonly task: string;
  readonly client: Client;
}

/** Lets a fleet of small databases grow on one worker, measures it idle and busy at each size, and cuts all of it over at once. */
export async function measureFleet(stage: Stage, options: FleetOptions): Promise<FleetResult> {
  const { sizes, seconds, rate, say } = options;
  const fleet: Member[] = [];
  const steps: FleetStep[] = [];
  let start: FleetResult["start"] = { databases: 0 };
  for (const size of sizes) {
    const names = Array.from({ length: size - fleet.length }, (_, n) => `${options.tasks}_${fleet.length + n + 1}`);
    await makeDatabases(stage, names);
    const begun = await whole(stage, async () => void fleet.push(...(await begin(stage, names, fleet.length, options))));
    start = { databases: names.length, ...begun };
    await sleep(SETTLE_MS, undefined, { signal: stage.signal });
    const idle = await window(stage, seconds);
    const writing = startWriting(stage.pair.source, fleet, rate, stage.signal);
    await sleep(SETTLE_MS / 2, undefined, { signal: stage.signal });
    const busy = await window(stage, seconds);
    await writing.stop();
    say(`${size} databases, ${options.tasks === "own" ? "each in a task of its own" : "all in one task"}: measured`);
    steps.push({ databases: size, idle, busy });
  }
  const cutover = await whole(stage, () => cutOverAll(stage, fleet));
  return { steps, start, cutover: { databases: fleet.length, ...cutover } };
}

/** Starts migrations of databases, all at once, and waits until they follow the changes; nobody asks the API for that. */
async function begin(stage: Stage, names: readonly string[], before: number, { tasks }: FleetOptions): Promise<Member[]> {
  const shared = tasks === "shared" ? [names] : names.map((name) => [name]);
  const members = await Promise.all(
    shared.map(async (databases, n) => {
      const group = `${tasks}-${Math.floor((before + n) / TASKS_A_SERVICE)}`;
      const client = await clientOf(stage, group);
      const taskId = await putTask(stage, client, databases);
      return databases.map((database): Member => ({ database, taskId, task: databases[0] ?? "", client }));
    }),
  );
  await Promise.all(members.flat().map((member) => stateOf(stage, member, "READY_TO_COMPLETE")));
  return members.flat();
}

const clients = new WeakMap<Stage, Map<string, Promise<Client>>>();

function clientOf(stage: Stage, group: string): Promise<Client> {
  const known = clients.get(stage) ?? new Map<string, Promise<Client>>();
  clients.set(stage, known);
  const client = known.get(group) ?? stage.pgdms.clientOf(group, stage.signal);
  known.set(group, client);
  return client;
}

async function cutOverAll(stage: Stage, fleet: readonly Member[]): Promise<void> {
  await reportsArrive(stage);
  await Promise.all(fleet.map(({ client, task, database }) => client.cutOver(task, database)));
  const ended = [...new Set(fleet.map(({ taskId }) => taskId))].map((taskId) =>
    stage.pgdms.logged((each) => each.taskId === taskId && each.event === "task.ended"),
  );
  await Promise.all(ended);
}

/** Changes every database at the same rate, in many small transactions. */
function startWriting(source: BenchServer, fleet: readonly Member[], rate: number, signal: AbortSignal): { stop(): Promise<void> } {
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  const writers = fleet.map(({ database }, n) => write(source, database, { rate, delayMs: (n * 1_000) / rate / fleet.length }, either));
  return {
    stop: async () => {
      over.abort();
      await Promise.all(writers);
    },
  };
}

async function write(
  source: BenchServer,
  database: string,
  { rate, delayMs }: { readonly rate: number; readonly delayMs: number },
  signal: AbortSignal,
): Promise<void> {
  const client = await source.connect(database);
  await sleep(delayMs, undefined, { signal }).catch(() => undefined);
  for (let made = 0; !signal.aborted; made++) {
    const id = 1 + (made % ROWS);
    await client.query(
      `BEGIN; UPDATE t1 SET amount = amount + 1 WHERE id = ${id}; INSERT INTO t2 (amount, note) VALUES (1, 'new');
       DELETE FROM t2 WHERE id = (SELECT min(id) FROM t2); COMMIT`,
    );
    await sleep(1_000 / rate, undefined, { signal }).catch(() => undefined);
  }
  await client.end();
}
