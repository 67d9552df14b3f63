import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestDatabase } from "../setup/databases.ts";
import { cleanDump } from "../../worker/schema/dump-text.ts";
import { findWasmDump, runWasmDump } from "../../worker/schema/wasm-dump.ts";

/** A sample schema for servers of one version: made and filled, and changed while it is migrated. */
export interface SampleSchema {
  readonly setup: string;
  readonly changes: string;
}

export const SAMPLES = ["film-rental", "music-store", "shop", "nasty"] as const;

/** Reads a file of test/scenarios/schemas for a server of the version. */
export async function readSample(name: (typeof SAMPLES)[number], version: number): Promise<SampleSchema> {
  const text = await readFile(join(import.meta.dirname, "schemas", `${name}.sql`), "utf8");
  const fitting = text.replaceAll(/^-- (since|before) (\d+)\n([^]*?)^-- end\n/gm, (_all, word: string, than: string, body: string) =>
    (word === "since") === version >= Number(than) ? body : "",
  );
  const [setup = "", changes = ""] = fitting.split("-- during the sync\n");
  if (changes === "") throw new Error(`${name}.sql changes nothing during the sync`);
  return { setup, changes };
}

/** Without owners and rights, which are not migrated (docs/schema.md). */
const DUMP_ARGUMENTS = ["--schema-only", "--no-owner", "--no-privileges"];

/** In the words of pg_dump 18 for all sides, whatever their version. */
export async function dumpDefinitions({ server }: TestDatabase): Promise<string> {
  const modulePath = findWasmDump();
  if (modulePath === undefined) throw new Error("pg_dump in WebAssembly is not installed");
  return runWasmDump(modulePath, server, DUMP_ARGUMENTS, AbortSignal.timeout(120_000));
}

/** As the tutorial has it: what pg_dump -s said of the source, into the target. */
export async function bringSchema(dump: string, target: TestDatabase, targetVersion: number): Promise<void> {
  const client = await target.connect(); // the dump changes settings of its session
  try {
    await client.query(cleanDump(dump, targetVersion * 10_000));
  } finally {
    await client.end();
  }
}

/**
 * The objects of a dump, sorted: pg_dump orders what has the same name by oid. What versions of the server say in other
 * words is made alike, and nothing else; the list is in docs/schema.md.
 */
export function dumpedObjects(text: string): string[] {
  return text
    .replace(/\n--\n-- PostgreSQL database dump complete[^]*/, "")
    .replaceAll(/^SET default_(tablespace = ''|table_access_method = heap);\n/gm, "") // for the tables that follow; see below
    .split("\n--\n-- Name: ")
    .slice(1)
    .map((object) => sameWords(object.trim()))
    .filter((object) => !object.endsWith("-- *not* creating schema, since initdb creates it")) // public, before 15
    .sort();
}

function sameWords(object: string): string {
  const type = /; Type: ([A-Z ]+);/.exec(object)?.[1];
  switch (type) {
    // 11 and later write FUNCTION where all took PROCEDURE before; both are read alike.
    case "TRIGGER":
      return object.replace(/ EXECUTE PROCEDURE /, " EXECUTE FUNCTION ");
    // 16 and later leave the table's name before a column out where only one table is read.
    case "VIEW":
    case "MATERIALIZED VIEW":
      return object.replaceAll(/(?<=[\s(])(?:"(?:[^"]|"")*"|\w+)\.(?=["\w]+(?:[\s,)]|$))/gm, "");
    // NOT NULL constraints have names since 18.
    case "TABLE":
      return object.replaceAll(/ CONSTRAINT "[^"]*_not_null" NOT NULL/g, " NOT NULL");
    default:
      return object;
  }
}

/** Every row of every table as text, sorted, by table. */
export async function allRows(database: TestDatabase): Promise<Map<string, string[]>> {
  const tables = await database.query(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'pgdms') ORDER BY 1`,
  );
  const rows = new Map<string, string[]>();
  for (const { name } of tables.rows as { name: string }[]) {
    const result = await database.query(`SELECT t::text AS row FROM ONLY ${name} t ORDER BY 1`);
    rows.set(
      name,
      result.rows.map(({ row }) => String(row)),
    );
  }
  return rows;
}
