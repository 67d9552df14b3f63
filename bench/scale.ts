import { writeFile } from "node:fs/promises";
import { cpus, loadavg, totalmem } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { integerOf, readArguments, runCommand, UsageError } from "../local/command-line.ts";
import { Teardown } from "../local/environment/teardown.ts";
import { chosenOf } from "./engine/choice.ts";
import { type FleetOptions, measureFleet } from "./scale/fleet.ts";
import { measureLifecycle } from "./scale/lifecycle.ts";
import { fleetTable, tablesTable, wholeTable } from "./scale/print.ts";
import { type Stage, startStage } from "./scale/stage.ts";
import { measureTables } from "./scale/tables.ts";

// `npm run bench:scale`: what each database more costs, and each table more: the figures that docs/scale.md counts with.

const PARTS = ["lifecycle", "own", "shared", "tables"] as const;
type Part = (typeof PARTS)[number];

const usage = `npm run bench:scale [-- options]

  --quick            fewer databases, 1,000 tables, short measurements: under ten minutes
  --only A,B         of ${PARTS.join(", ")}; default: all
  --databases A,B    sizes of the fleet, rising; default 1,5,10,20, with --quick 1,5
  --seconds N        how long each state is measured; default 60, with --quick 20
  --rate N           transactions a second in each database that is written to, of three changes each; default 2
  --tables N         default 10000 (half an hour: Azurite is slow with so many rows), with --quick 1000
  --json FILE        writes all figures

lifecycle: one small database from the request to COMPLETE. own: a fleet of small databases on one worker, each in a task of
its own. shared: the largest of these fleets in one task. tables: one database of very many tables. Counted are CPU, memory,
sessions, messages and requests to storage, on the lines between the real parts; storage is Azurite's.`;

const options = {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  databases: { type: "string" },
  seconds: { type: "string" },
  rate: { type: "string" },
  tables: { type: "string" },
  json: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

interface Plan {
  readonly sizes: readonly number[];
  readonly seconds: number;
  readonly rate: number;
  readonly tables: number;
  readonly say: (line: string) => void;
}

async function scale(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const startedMs = Date.now();
  const plan: Plan = {
    sizes: sizesOf(values.databases ?? (values.quick ? "1,5" : "1,5,10,20")),
    seconds: integerOf("--seconds", values.seconds ?? (values.quick ? "20" : "60"), 5, 3_600),
    rate: integerOf("--rate", values.rate ?? "2", 1, 1_000),
    tables: integerOf("--tables", values.tables ?? (values.quick ? "1000" : "10000"), 1, 100_000),
    say: (line) => console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${line}`),
  };
  const results: Partial<Record<Part, unknown>> = {};
  for (const part of chosenOf("--only", PARTS, values.only)) results[part] = await onStage(signal, (stage) => runPart(part, stage, plan));
  if (values.json !== undefined) await writeFile(values.json, JSON.stringify({ ...facts(), ...plan, results }, undefined, 2));
  return 0;
}

/** Each part has parts of pgdms of its own: a worker keeps the memory that it once had. */
async function onStage<T>(signal: AbortSignal, work: (stage: Stage) => Promise<T>): Promise<T> {
  const teardown = new Teardown();
  const stop = (): void => void teardown.stop().catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await work(await startStage(teardown));
  } finally {
    signal.removeEventListener("abort", stop);
    await teardown.stop();
  }
}

async function runPart(part: Part, stage: Stage, plan: Plan): Promise<unknown> {
  await sleep(3_000, undefined, { signal: stage.signal }); // what starts has started
  if (part === "lifecycle") return told(await measureLifecycle(stage, plan), (result) => result.flatMap(lifecycleTable).join("\n"));
  if (part === "tables") return told(await measureTables(stage, plan), tablesTable);
  const sizes = part === "own" ? plan.sizes : plan.sizes.slice(-1);
  const fleet: FleetOptions = { ...plan, sizes, tasks: part };
  const title = part === "own" ? "A fleet, each database in a task of its own" : "A fleet, all databases in one task";
  return told(await measureFleet(stage, fleet), (result) => fleetTable(title, result));
}

const lifecycleTable = ({ title, figures }: Awaited<ReturnType<typeof measureLifecycle>>[number]): string[] => wholeTable(title, figures);

function told<T>(result: T, tableOf: (result: T) => string): T {
  console.log(tableOf(result));
  return result;
}

/** @throws UsageError when they do not rise */
function sizesOf(text: string): number[] {
  const sizes = text.split(",").map((size) => integerOf("--databases", size, 1, 50));
  if (sizes.some((size, n) => n > 0 && size <= (sizes[n - 1] ?? 0))) throw new UsageError(`--databases must rise, but is "${text}".`);
  return sizes;
}

const facts = (): object => ({
  madeOn: new Date().toISOString(),
  machine: { cores: cpus().length, model: cpus()[0]?.model ?? "", memoryMB: Math.round(totalmem() / 1_048_576), node: process.version },
  load: loadavg(),
});

runCommand(scale);
