import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { interruptionOf } from "../../worker/incremental-sync/sync-progress.ts";
import { differences, startEngine } from "../fidelity/engine.ts";
import { createPair } from "../setup/databases.ts";

let pair: Awaited<ReturnType<typeof createPair>>;
beforeEach(async () => (pair = await createPair()));
afterEach(() => pair.drop());

test.each([
  ["disk_full", "53100"],
  ["read_only_sql_transaction", "25006"],
])("a target that says %s is waited for, told as the target's trouble, and nothing is lost", async (condition, sqlState) => {
  for (const side of [pair.source, pair.target]) await side.query("CREATE TABLE t (id int PRIMARY KEY)");
  const engine = await startEngine(pair, { plugin: "pgoutput" });
  try {
    await pair.target.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now' USING ERRCODE = '${condition}'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION refuse();
      ALTER TABLE t ENABLE ALWAYS TRIGGER refuse`);
    await pair.source.query("INSERT INTO t SELECT generate_series(1, 100)");
    await vi.waitUntil(() => engine.interruptions.length > 0, { timeout: 30_000 });
    expect(interruptionOf(engine.interruptions[0])).toMatchObject({ code: "PG1216", severity: "warning", sqlState });
    expect(interruptionOf(engine.interruptions[0]).message).toContain("not now");
    await pair.target.query("DROP FUNCTION refuse() CASCADE");
    await engine.drain();
    expect(await differences(pair, ["t"])).toEqual([]);
  } finally {
    await engine.stop();
  }
});
