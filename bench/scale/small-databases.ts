import { setTimeout as sleep } from "node:timers/promises";
import { type Client } from "../../local/client.ts";
import { type BenchServer } from "../engine/servers.ts";
import { type Counts, sumOf } from "./counts.ts";
import { type Stage } from "./stage.ts";

/** What a small database has. */
const TABLES = 5;
export const ROWS = 100;

/** What a worker knows is sent within this time. */
const REPORTED_MS = 2_000;

/** The control plane has written down what it read when it asked storage for nothing so long. */
const FOLDED_MS = 2_000;

/** Makes databases on both ends; the target's tables are empty. */
export async function makeDatabases({ pair }: Stage, names: readonly string[]): Promise<void> {
  const tables = Array.from(
    { length: TABLES },
    (_, n) => `CREATE TABLE t${n + 1} (id bigserial PRIMARY KEY, amount int NOT NULL, note text)`,
  );
  const rows = Array.from(
    { length: TABLES },
    (_, n) => `INSERT INTO t${n + 1} (amount, note) SELECT 0, repeat('x', 60) FROM generate_series(1, ${ROWS})`,
  );
  for (const name of names)
    for (const server of [pair.source, pair.target]) {
      await server.run("postgres", `CREATE DATABASE ${name}`);
      await server.run(name, ...tables, ...(server === pair.source ? rows : []));
    }
}

/** Asks for one migration of databases, and does not wait for it. @returns the task's id */
export async function putTask({ pair }: Stage, client: Client, databases: readonly string[]): Promise<string> {
  const connection = (server: BenchServer) => ({
    serverName: "127.0.0.1",
    port: server.port,
    userName: "postgres",
    encryptConnection: false,
  });
  const task = await client.putMigration(databases[0] ?? "", {
    sourceConnectionInfo: connection(pair.source),
    targetConnectionInfo: connection(pair.target),
    selectedDatabases: databases.map((name) => ({ name, targetDatabaseName: name })),
  });
  return task.properties.taskId;
}

/** Waits for a state of a database, by the worker's log. @throws Error when the task ends otherwise */
export async function stateOf(
  { pgdms }: Stage,
  { taskId, database }: { readonly taskId: string; readonly database: string },
  state: string,
): Promise<void> {
  const line = await pgdms.logged(
    (each) =>
      each.taskId === taskId &&
      (each.event === "task.ended" || (each.event === "database.state" && each.to === state && each.databaseName === database)),
  );
  if (line.event === "task.ended") throw new Error(`the migration of ${database} ended before it was ${state}`);
}

/** Waits until the control plane has taken in what the worker has reported so far, without asking it. */
export async function reportsArrive({ counts, signal }: Stage): Promise<void> {
  await sleep(REPORTED_MS, undefined, { signal });
  const sent = sumOf(counts.totals(), /^worker sent reports$/);
  while (sumOf(counts.totals(), /^functions received reports$/) < sent) await sleep(50, undefined, { signal });
  for (let requests = -1, now = requestsOf(counts); now !== requests; now = requestsOf(counts)) {
    requests = now;
    await sleep(FOLDED_MS, undefined, { signal });
  }
}

const requestsOf = (counts: Counts): number => sumOf(counts.totals(), /^storage \w+ (get|query|write|batch)$/);
