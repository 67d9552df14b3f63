import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../local/postgres.ts";
import { createDatabase } from "../setup/databases.ts";
import { differences, type Engine, type Pair, startEngine } from "./engine.ts";

/** Tables in every state of their replica identity; what they are called says which. Each has a, b and c, and rows 1 to 4. */
const IDENTITIES = {
  key: "CREATE TABLE t (a int PRIMARY KEY, b int, c text)",
  no_key: "CREATE TABLE t (a int, b int, c text)",
  key_deferrable: "CREATE TABLE t (a int PRIMARY KEY DEFERRABLE, b int, c text)",
  nothing: "CREATE TABLE t (a int PRIMARY KEY, b int, c text); ALTER TABLE t REPLICA IDENTITY NOTHING",
  full: "CREATE TABLE t (a int PRIMARY KEY, b int, c text); ALTER TABLE t REPLICA IDENTITY FULL",
  full_no_key: "CREATE TABLE t (a int, b int, c text); ALTER TABLE t REPLICA IDENTITY FULL",
  index: "CREATE TABLE t (a int NOT NULL, b int, c text); CREATE UNIQUE INDEX t_i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX t_i",
  index_dropped:
    "CREATE TABLE t (a int NOT NULL, b int, c text); CREATE UNIQUE INDEX t_i ON t (a); ALTER TABLE t REPLICA IDENTITY USING INDEX t_i; DROP INDEX t_i",
  index_with_key:
    "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL, c text); CREATE UNIQUE INDEX t_i ON t (b); ALTER TABLE t REPLICA IDENTITY USING INDEX t_i",
  index_with_key_dropped:
    "CREATE TABLE t (a int PRIMARY KEY, b int NOT NULL, c text); CREATE UNIQUE INDEX t_i ON t (b); ALTER TABLE t REPLICA IDENTITY USING INDEX t_i; DROP INDEX t_i",
  only_partial_index: "CREATE TABLE t (a int NOT NULL, b int, c text); CREATE UNIQUE INDEX ON t (a) WHERE a > 0",
  only_nullable_index: "CREATE TABLE t (a int UNIQUE, b int, c text)",
  key_including: "CREATE TABLE t (a int, b int, c text, PRIMARY KEY (a) INCLUDE (b))",
  full_generated: "CREATE TABLE t (a int, b int, c text, g int GENERATED ALWAYS AS (a * 2) STORED); ALTER TABLE t REPLICA IDENTITY FULL",
  no_key_generated: "CREATE TABLE t (a int, b int, c text, g int GENERATED ALWAYS AS (a * 2) STORED)",
  key_generated: "CREATE TABLE t (a int, b int, c text, g int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)",
  key_beside_generated: "CREATE TABLE t (a int PRIMARY KEY, b int, c text, g int GENERATED ALWAYS AS (a * 2) STORED)",
} as const;

const SINCE_18 = {
  key_beside_virtual: "CREATE TABLE t (a int PRIMARY KEY, b int, c text, g int GENERATED ALWAYS AS (a * 2) VIRTUAL)",
  no_key_virtual: "CREATE TABLE t (a int, b int, c text, g int GENERATED ALWAYS AS (a * 2) VIRTUAL)",
} as const;

let server: PostgresServer;
beforeAll(async () => void (server = await startPostgres({ version: "18" })));
afterAll(() => server.stop());

let engine: Engine | undefined;
let pair: Pair | undefined;
afterEach(async () => {
  await engine?.stop();
  await Promise.all([pair?.source.drop(), pair?.target.drop()]);
  engine = pair = undefined;
});

describe.each(["13", "18"] as const)("a source of PostgreSQL %s", (version) => {
  const tables: Readonly<Record<string, string>> = version === "18" ? { ...IDENTITIES, ...SINCE_18 } : IDENTITIES;

  test.each([
    ["pgoutput", "replicaIdentityFull"],
    ["pgoutput", "insertsOnly"],
    ["test_decoding", "replicaIdentityFull"],
  ] as const)(
    "goes on updating and deleting in tables of every identity, by %s with %s (pgcopydb-operator)",
    async (plugin, tablesWithoutKey) => {
      const port = version === "18" ? server.port : inject("postgres13Port");
      pair = {
        source: await createDatabase("source", port),
        target: await createDatabase("target", version === "18" ? port : inject("postgres17Port")),
      };
      const names = Object.keys(tables).map((name) => `t_${name}`);
      const sql = names.map((name) => tables[name.slice(2)]?.replaceAll(/\bt(?=_i| |;)/g, name)).join(";\n");
      for (const { query } of [pair.source, pair.target].map((database) => ({ query: (text: string) => database.query(text) })))
        await query(sql);
      const each = (text: (name: string) => string): Promise<unknown> =>
        pair?.source.query(names.map(text).join("; ")) ?? Promise.resolve();
      await each((name) => `INSERT INTO ${name} (a, b, c) VALUES (1, 1, 'x'), (2, 2, 'y'), (3, 3, NULL), (4, 4, 'z')`);
      engine = await startEngine(pair, { plugin, tablesWithoutKey });
      // Must not fail in the application, whatever is published.
      await each((name) => `UPDATE ${name} SET c = 'new' WHERE a = 2`);
      await each((name) => `DELETE FROM ${name} WHERE a = 3`);
      await each((name) => `UPDATE ${name} SET a = 9, b = 9 WHERE a = 4; INSERT INTO ${name} (a, b, c) VALUES (5, 5, 'five')`);
      await engine.drain();
      const unlike = (await differences(pair, names)).map((text) => text.split(":")[0]);
      // Their updates are not followed, and that was said.
      const unfollowed = names.filter((name) =>
        (tablesWithoutKey === "insertsOnly" ? WITHOUT_IDENTITY : plugin === "pgoutput" ? REFUSED : NONE).has(name.slice(2)),
      );
      expect(unlike).toEqual(unfollowed);
    },
  );
});

const NONE = new Set<string>();

/** The check refuses them with pgoutput; here they show that nothing breaks on the source even so. */
const REFUSED = new Set(["no_key_virtual"]);

const WITHOUT_IDENTITY = new Set([
  "no_key",
  "key_deferrable",
  "nothing",
  "index_dropped",
  "index_with_key_dropped",
  "only_partial_index",
  "only_nullable_index",
  "no_key_generated",
  "no_key_virtual",
  "key_generated",
]);
