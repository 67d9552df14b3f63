import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../local/postgres.ts";
import { compareTables } from "../../worker/cutover/compare.ts";
import { createDatabase } from "../setup/databases.ts";
import { differences, type Engine, type Pair, startEngine } from "./engine.ts";

// What is peculiar to PostgreSQL 10, the oldest server that runs here.

let server: PostgresServer;
beforeAll(async () => void (server = await startPostgres({ version: "10" })));
afterAll(() => server.stop());

let engine: Engine | undefined;
let pair: Pair | undefined;
afterEach(async () => {
  await engine?.stop();
  await Promise.all([pair?.source.drop(), pair?.target.drop()]);
  engine = pair = undefined;
});

describe.each(["pgoutput", "test_decoding"] as const)("a source of PostgreSQL 10 by %s", (plugin) => {
  async function start(sql: string): Promise<Pair> {
    pair = { source: await createDatabase("source", server.port), target: await createDatabase("target", inject("postgres17Port")) };
    await Promise.all([pair.source.query(sql), pair.target.query(sql)]);
    await pair.source.query(
      "INSERT INTO t SELECT g, g FROM generate_series(1, 30) g; INSERT INTO other SELECT g, g FROM generate_series(1, 30) g",
    );
    engine = await startEngine(pair, { plugin });
    return pair;
  }
  const SCHEMA = "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE other (id int PRIMARY KEY, n int)";

  test("TRUNCATE is not in its stream, and the cutover's comparison names the table", async () => {
    const { source, target } = await start(SCHEMA);
    await source.query("TRUNCATE t; UPDATE other SET n = 0");
    await engine?.drain();
    const different: string[] = [];
    await compareTables({
      source: source.server,
      target: target.server,
      tables: ["t", "other"].map((name) => ({
        schema: "public",
        name,
        target: { schema: "public", name },
        columns: [{ name: "id" }, { name: "n" }],
      })),
      mode: "count",
      connections: 1,
      signal: new AbortController().signal,
      onTable: ({ name }, { equal }) => void (equal || different.push(name)),
    });
    expect(different).toEqual(["t"]);
  });

  test("a rewrite of a table, whose new rows are in its stream under another name, is no change of rows", async () => {
    const { source, target } = await start(SCHEMA);
    await source.query("UPDATE t SET n = 1 WHERE id < 5");
    await source.query("VACUUM FULL t");
    await source.query("ALTER TABLE t SET (fillfactor = 50); CLUSTER t USING t_pkey; ALTER TABLE t ALTER n TYPE int USING n + 0");
    await source.query("UPDATE t SET n = 2 WHERE id > 20; DELETE FROM t WHERE id = 7");
    await engine?.drain();
    expect(await differences({ source, target }, ["t", "other"])).toEqual([]);
  });
});
