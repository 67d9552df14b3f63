import { smallTablesRows, smallTablesSchema } from "./data.ts";
import { type Contestant, pgdmsLoad, runRounds, type SuiteOptions } from "./load.ts";
import { client, dumpAndRestore, pgcopydbClone } from "./peers.ts";
import { measured, newWork, type Work } from "./run.ts";

const ROWS_A_TABLE = 50;

/** Very many small tables: what counts is the work for each table, not the bytes. */
export async function benchSmallTables(options: SuiteOptions): Promise<Work[]> {
  const { pair, isQuick } = options;
  const few = await loadOf(options, isQuick ? 500 : 2_000);
  if (isQuick) return [few];
  const many = await loadOf({ ...options, rounds: 1, tools: { ...options.tools, pgcopydb: undefined, pgDump: undefined } }, 10_000);
  many.notes.push("one round, pgdms alone: what counts is the worker's memory");
  await pair.source.run("postgres", "CHECKPOINT");
  return [few, many];
}

async function loadOf(options: SuiteOptions, tables: number): Promise<Work> {
  const { pair, tools, say } = options;
  const source = `small_${tables}`;
  say(`small-tables: making ${tables} tables`);
  await pair.source.run("postgres", `CREATE DATABASE ${source}`);
  await pair.source.run(source, ...smallTablesSchema(tables), ...smallTablesRows(tables, ROWS_A_TABLE));
  const work = newWork(
    "small-tables",
    `${tables} small tables`,
    [{ of: "pgdms", against: ["pgcopydb clone"], ratioMax: 1 }],
    [`${ROWS_A_TABLE} rows, a key and an index each`],
  );
  const byClock =
    (run: (names: { source: string; target: string }) => Promise<void>): Contestant =>
    (names, parts) =>
      measured([...parts, client], () => run(names));
  await runRounds(options, work, source, "template0", {
    pgdms: pgdmsLoad(options, { migrateSchema: "true" }),
    ...(tools.pgcopydb ? { "pgcopydb clone": byClock((names) => pgcopydbClone(tools, pair, names)) } : {}),
    ...(tools.pgDump && tools.pgRestore
      ? { "pg_dump | pg_restore -j2": byClock((names) => dumpAndRestore(tools, pair, names, "all")) }
      : {}),
  });
  await pair.source.run("postgres", `DROP DATABASE ${source}`);
  return work;
}
