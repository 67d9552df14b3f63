import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { connect, versionNum } from "../../../worker/postgres/connect.ts";
import { readTables, type TableDefinition } from "../../../worker/source/catalog.ts";
import { readTableFacts, stepsToFit } from "../../../worker/schema/table-facts.ts";
import { freshDatabase } from "../validation/databases.ts";

describe.each(["10", "17"] as const)("the catalog of PostgreSQL %s", (version) => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await startPostgres({ version });
  });
  afterAll(() => postgres.stop());

  test("a column that takes NULL is only an addition where the source tells that no old row got a value with it", async () => {
    const database = await freshDatabase(postgres, "source");
    await database.query(
      "CREATE TABLE here (a int)",
      "ALTER TABLE here ADD b int",
      "ALTER TABLE here ADD c int DEFAULT 7, ALTER a SET DEFAULT 1",
    );
    await database.query("ALTER TABLE here ALTER c DROP DEFAULT", "CREATE TABLE there (a int)");
    const client = await connect(database.server, { purpose: "test" });
    const found = await versionNum(client);
    const table = { schema: "public", name: "there" };
    const [source, target] = [
      await readTableFacts(client, found, { schema: "public", name: "here" }),
      await readTableFacts(client, found, table),
    ];
    await client.end();
    const steps = source && target && stepsToFit({ source, target, table, pinned: ["a"] });
    expect(steps?.map(({ isAddition }) => isAddition)).toEqual(version === "10" ? [false, false] : [true, false]);
  });

  async function tablesOf(...statements: string[]): Promise<TableDefinition[]> {
    const database = await freshDatabase(postgres, "source");
    await database.query(...statements);
    const client = await connect(database.server, { purpose: "test" });
    return readTables(client, await versionNum(client)).finally(() => client.end());
  }

  test("a partition knows its topmost table and those between, an inheriting table has none", async () => {
    const tables = await tablesOf(
      "CREATE SCHEMA deep",
      "CREATE TABLE log (a int, b int) PARTITION BY RANGE (a)",
      "CREATE TABLE deep.log_1 PARTITION OF log FOR VALUES FROM (1) TO (2) PARTITION BY RANGE (b)",
      "CREATE TABLE log_1_1 PARTITION OF deep.log_1 FOR VALUES FROM (1) TO (2)",
      "CREATE TABLE deep.log_1_2 PARTITION OF deep.log_1 FOR VALUES FROM (2) TO (3) PARTITION BY LIST (b)",
      "CREATE TABLE log_1_2_1 PARTITION OF deep.log_1_2 FOR VALUES IN (2)",
      "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2) TO (3)",
      "CREATE TABLE base (a int)",
      "CREATE TABLE derived () INHERITS (base)",
    );
    const root = { schema: "public", name: "log" };
    const between = (...names: string[]): object[] => names.map((name) => ({ schema: "deep", name }));
    expect(tables.map(({ name, partitionRoot, partitionAncestors }) => [name, partitionRoot, partitionAncestors])).toEqual([
      ["base", undefined, undefined],
      ["derived", undefined, undefined],
      ["log_1_1", root, between("log_1")],
      ["log_1_2_1", root, between("log_1", "log_1_2")],
      ["log_2", root, undefined],
    ]);
  });

  test("what PostgreSQL logs of an old row is the replica identity: not a deferrable key, not an index that is gone", async () => {
    const tables = await tablesOf(
      "CREATE TABLE a_key (b int, a int, PRIMARY KEY (a, b))",
      "CREATE TABLE b_deferrable (a int PRIMARY KEY DEFERRABLE)",
      "CREATE TABLE c_full (a int)",
      "ALTER TABLE c_full REPLICA IDENTITY FULL",
      "CREATE TABLE d_index (a int PRIMARY KEY, b int NOT NULL CONSTRAINT d_unique UNIQUE)",
      "ALTER TABLE d_index REPLICA IDENTITY USING INDEX d_unique",
      "CREATE TABLE e_gone (a int PRIMARY KEY, b int NOT NULL CONSTRAINT e_unique UNIQUE)",
      "ALTER TABLE e_gone REPLICA IDENTITY USING INDEX e_unique",
      "ALTER TABLE e_gone DROP CONSTRAINT e_unique",
      "CREATE TABLE f_nothing (a int PRIMARY KEY)",
      "ALTER TABLE f_nothing REPLICA IDENTITY NOTHING",
    );
    expect(tables.map(({ name, identity }) => [name, identity])).toEqual([
      ["a_key", { kind: "key", columns: ["a", "b"] }],
      ["b_deferrable", { kind: "nothing" }],
      ["c_full", { kind: "full" }],
      ["d_index", { kind: "key", columns: ["b"] }],
      ["e_gone", { kind: "nothing" }],
      ["f_nothing", { kind: "nothing" }],
    ]);
  });
});
