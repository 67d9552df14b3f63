import { setTimeout as sleep } from "node:timers/promises";
import { smallTablesRows, smallTablesSchema } from "../engine/data.ts";
import { reportsArrive, stateOf } from "./small-databases.ts";
import { type Stage } from "./stage.ts";
import { type Figures, whole, window } from "./window.ts";

const ROWS_A_TABLE = 5;
const TASK = "tables";

/** How long it waits until what changed everywhere was reported. */
const SETTLE_MS = 10_000;

export interface TablesOptions {
  readonly tables: number;
  readonly seconds: number;
  readonly say: (line: string) => void;
}

/** One database of very many tables, from the request to the end. */
export interface TablesResult {
  readonly tables: number;
  /** The most that the worker process ever had. */
  readonly peakMB: { readonly untilReady: number; readonly sync: number; readonly cutover: number };
  /** Seconds of each phase, by the worker's log. */
  readonly phases: Readonly<Record<string, number>>;
  /** From the request until it follows the changes. */
  readonly untilReady: Figures;
  /** Nothing changes. */
  readonly idle: Figures;
  /** Every table is changed once, in one transaction of each 500. */
  readonly touched: Figures;
  readonly cutover: Figures;
}

/** Migrates a database of many small tables, its schema included, and takes what each part of it costs. */
export async function measureTables(stage: Stage, { tables, seconds, say }: TablesOptions): Promise<TablesResult> {
  const { pair, pgdms } = stage;
  const name = `tables_${tables}`;
  say(`making ${tables} tables`);
  await pair.source.run("postgres", `CREATE DATABASE ${name}`);
  await pair.target.run("postgres", `CREATE DATABASE ${name}`);
  await pair.source.run(name, ...smallTablesSchema(tables), ...smallTablesRows(tables, ROWS_A_TABLE));
  pgdms.forgetPeak();
  let taskId = "";
  const untilReady = await whole(stage, async () => {
    const migration = await pgdms.migrate(
      pair,
      { task: TASK, source: name, target: name },
      { migrationSetting: { migrateSchema: "true" } },
    );
    taskId = migration.taskId;
    await stateOf(stage, { taskId, database: name }, "READY_TO_COMPLETE");
  });
  const peaks = { untilReady: pgdms.peakMB() };
  say("it follows the changes");
  await sleep(SETTLE_MS, undefined, { signal: stage.signal });
  pgdms.forgetPeak();
  const idle = await window(stage, seconds);
  const touched = await whole(stage, () => touchAll(stage, name, tables));
  const sync = pgdms.peakMB();
  pgdms.forgetPeak();
  const cutover = await whole(stage, async () => {
    await reportsArrive(stage);
    await pgdms.client.cutOver(TASK, name);
    await stateOf(stage, { taskId, database: name }, "COMPLETE");
  });
  return {
    tables,
    peakMB: { ...peaks, sync, cutover: pgdms.peakMB() },
    phases: phasesOf(stage, taskId),
    untilReady,
    idle,
    touched,
    cutover,
  };
}

async function touchAll({ pair, signal }: Stage, name: string, tables: number): Promise<void> {
  const steps = Array.from({ length: Math.ceil(tables / 500) }, (_, n) => n * 500 + 1);
  for (const from of steps)
    await pair.source.run(
      name,
      `DO $$ BEGIN FOR i IN ${from}..${Math.min(tables, from + 499)} LOOP
         EXECUTE format('UPDATE small_%s SET b = 0 WHERE id = 1', i);
       END LOOP; END $$`,
    );
  const target = await pair.target.connect(name);
  try {
    while ((await target.query(`SELECT FROM small_${tables} WHERE id = 1 AND b = 0`)).rowCount === 0)
      await sleep(100, undefined, { signal });
  } finally {
    await target.end();
  }
  await sleep(SETTLE_MS, undefined, { signal });
}

function phasesOf({ pgdms }: Stage, taskId: string): Record<string, number> {
  const phases = pgdms.linesOf(taskId).filter(({ event }) => event === "phase.ended");
  return Object.fromEntries(phases.map(({ phase = "", durationMs = 0 }) => [phase, durationMs / 1_000]));
}
