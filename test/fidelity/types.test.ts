import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../local/postgres.ts";
import { compareTables } from "../../worker/cutover/compare.ts";
import { createDatabase, type TestDatabase } from "../setup/databases.ts";
import { type Engine, type Plugin, startEngine } from "./engine.ts";
import { TYPE_CASES, type TypeCase, typesNeeded } from "./literals.ts";

const PAIRS = [
  ["10", "18"],
  ["13", "17"],
  ["18", "18"],
] as const;

/** Far fewer than a table of each type would take: what differs is still named by its column. */
const COLUMNS_PER_TABLE = 12;

describe.each(PAIRS)("every type from PostgreSQL %s to %s", (from, to) => {
  const servers = new Map<string, PostgresServer>();
  let source: TestDatabase;
  let target: TestDatabase;
  let engine: Engine | undefined;

  const port = async (version: "10" | "13" | "17" | "18"): Promise<number> => {
    if (version === "13") return inject("postgres13Port");
    if (version === "17") return inject("postgres17Port");
    const server = servers.get(version) ?? (await startPostgres({ version }));
    servers.set(version, server);
    return server.port;
  };

  beforeEach(async () => {
    source = await createDatabase("source", await port(from));
    target = await createDatabase("target", await port(to));
  }, 150_000);
  afterEach(async () => {
    await engine?.stop();
    engine = undefined;
    await Promise.all([source.drop(), target.drop()]);
    for (const server of servers.values()) await server.stop();
    servers.clear();
  }, 150_000);

  test.each(["pgoutput", "test_decoding"] as const)(
    "arrives as it was by load and by %s",
    async (plugin: Plugin) => {
      const versionNum = Number(from) * 10_000;
      const cases = TYPE_CASES.filter(({ since = 0 }) => since <= versionNum).map((each) =>
        (each.arraySince ?? 0) > versionNum ? { ...each, noArray: true as const } : each,
      );
      const tables = chunks(cases, COLUMNS_PER_TABLE);
      const schema = `${typesNeeded(versionNum)}; ${tables.map(createSql).join("; ")}`;
      await Promise.all([source.query(schema), target.query(schema)]);
      for (const [n, columns] of tables.entries()) await source.query(insertSql(columns, n, "loaded"));
      engine = await startEngine({ source, target }, { plugin });
      for (const [n, columns] of tables.entries()) {
        await source.query(insertSql(columns, n, "followed"));
        await source.query(
          `UPDATE t${n} SET ${columns.map((_, c) => `c${c} = (SELECT c${c} FROM t${n} o WHERE o.origin = 'loaded' AND o.n = 0)`).join(", ")} WHERE n = 1 AND origin = 'followed'`,
        );
      }
      await engine.drain();
      const found = await Promise.all(tables.map((columns, n) => differing(columns, n)));
      expect(found.flat()).toEqual([]);
      const compared: string[] = [];
      await compareTables({
        source: source.server,
        target: target.server,
        tables: tables.map((columns, n) => ({
          schema: "public",
          name: `t${n}`,
          target: { schema: "public", name: `t${n}` },
          columns: columns.map((_, c) => ({ name: `c${c}` })),
        })),
        mode: "checksum",
        connections: 2,
        signal: new AbortController().signal,
        onTable: ({ name }, { equal }) => compared.push(`${name}: ${equal}`),
      });
      expect(compared.sort()).toEqual(tables.map((_, n) => `t${n}: true`));
    },
    150_000,
  );

  /** Columns whose values differ; read back as text with the most exact settings, floats by their bits where the text changed in 12. */
  async function differing(columns: readonly TypeCase[], n: number): Promise<string[]> {
    const read = async (database: TestDatabase): Promise<Record<string, unknown>[]> => {
      await database.query("SET extra_float_digits = 3; SET TimeZone = 'UTC'; SET search_path = pg_catalog");
      const values = columns.map(({ type }, c) => `${exact(type, `c${c}`)} AS c${c}`).join(", ");
      const { rows } = await database.query(`SELECT origin, n, ${values} FROM public.t${n} ORDER BY origin, n`);
      await database.query("RESET search_path");
      return rows;
    };
    const [ours, theirs] = [await read(source), await read(target)];
    expect(theirs.length).toBe(ours.length);
    return columns.flatMap(({ type }, c) =>
      ours.flatMap((row, at) => {
        const [here, there] = [row[`c${c}`], theirs[at]?.[`c${c}`]];
        return here === there ? [] : [`${type} (${String(row["origin"])}): ${String(here)} became ${String(there)}`];
      }),
    );
  }
});

const FLOATS = /^(real|double precision|point|line|lseg|box|path|polygon|circle)$/;
const SENDS: Readonly<Record<string, string>> = { real: "float4send", "double precision": "float8send", polygon: "poly_send" };

/** xml is told apart as its output function writes it, which every copy of a database goes through (it leaves a plain declaration out). */
const exact = (type: string, column: string): string =>
  type === "xml"
    ? `textin(xml_out(${column}))`
    : FLOATS.test(type)
      ? `encode(${SENDS[type] ?? `${type}_send`}(${column}), 'hex')`
      : `${column}::text`;

function chunks<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

const createSql = (columns: readonly TypeCase[], n: number): string =>
  `CREATE TABLE t${n} (origin text, n int, PRIMARY KEY (origin, n), ${columns.flatMap(({ type, noArray }, c) => [`c${c} ${type}`, ...(noArray ? [] : [`a${c} ${type}[]`])]).join(", ")})`;

/** A row for each value, with the arrays of them; short columns are NULL further down, and the last row is all NULL. */
function insertSql(columns: readonly TypeCase[], n: number, origin: string): string {
  const count = Math.max(...columns.map(({ values }) => values.length)) + 1;
  const rows = Array.from({ length: count }, (_, row) => {
    const values = columns.flatMap(({ type, values, noArray }) => {
      const value = values[row] === undefined ? "NULL" : `'${values[row].replaceAll("'", "''")}'::${type}`;
      const pair =
        values[row] === undefined
          ? "NULL"
          : row % 2 === 0
            ? `ARRAY[[${value}, NULL], [NULL, ${value}]]::${type}[]`
            : `ARRAY[NULL, ${value}]::${type}[]`;
      return noArray ? [value] : [value, pair];
    });
    return `('${origin}', ${row}, ${values.join(", ")})`;
  });
  return `INSERT INTO t${n} VALUES ${rows.join(", ")}`;
}
