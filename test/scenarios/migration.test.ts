import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { contents, leftOnSource, leftOnTarget, World } from "./world.ts";

type Pair = Awaited<ReturnType<typeof createPair>>;

const SCHEMA = `
  CREATE TYPE mood AS ENUM ('calm', 'busy');
  CREATE TABLE lists (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, mood mood DEFAULT 'calm', tags text[], settings jsonb);
  CREATE TABLE items (id serial PRIMARY KEY, list_id bigint NOT NULL REFERENCES lists, place int, note text, price numeric(12,2), UNIQUE (list_id, place));
  CREATE INDEX items_note ON items (md5(note));
  CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
  CREATE TRIGGER items_touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();`;

const fill = (rows: number) => `
  INSERT INTO lists (title, tags, settings) SELECT 'list ' || g, ARRAY['a', g::text], jsonb_build_object('n', g) FROM generate_series(1, 1000) g;
  INSERT INTO items (list_id, place, note, price) SELECT 1 + g % 1000, g / 1000, repeat(md5(g::text), 4), g * 0.01 FROM generate_series(1, ${rows}) g;`;

/** The load is under way for a second or two, so that something can happen to it. */
const SLOWLY = { maxLoadMBps: "2" };

/** Keeps writing until it is stopped; returns how many rounds it made. */
function startWriter(pair: Pair): { stop(): Promise<number> } {
  let isOver = false;
  const rounds = (async () => {
    const client = await pair.source.connect();
    let round = 0;
    for (; !isOver; round++) {
      await client.query("INSERT INTO items (list_id, place, note) VALUES (1, -$1::int, 'written while migrating')", [round + 1]);
      await client.query("UPDATE items SET note = 'again', price = coalesce(price, 0) + 1 WHERE id = 1 + $1::int % 500", [round * 7]);
      await client.query("DELETE FROM items WHERE id = (SELECT min(id) + 10000 + $1::int FROM items)", [round]);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await client.end();
    return round;
  })();
  return {
    stop: async () => {
      isOver = true;
      return rounds;
    },
  };
}

describe("a migration through the whole of pgdms", () => {
  let world: World;
  let pair: Pair;
  beforeAll(async () => {
    world = await World.start({ workers: 1 });
  });
  afterAll(() => world.stop());
  beforeEach(async () => {
    pair = await createPair();
  });
  afterEach(() => pair.drop());

  async function expectEqual() {
    for (const table of ["lists", "items"]) expect(await contents(pair.target, table)).toEqual(await contents(pair.source, table));
  }

  async function expectNothingLeft() {
    expect(await leftOnSource(pair.source)).toEqual([]);
    expect(await leftOnTarget(pair.target)).toEqual([]);
  }

  test("rows written before, during and after the load are on the target after the cutover, and nothing is left behind", async () => {
    await pair.source.query(SCHEMA + fill(12_000));
    const writer = startWriter(pair);
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    expect(await writer.stop()).toBeGreaterThan(10);
    await migration.cutover(pair.source.name);
    const { output } = await migration.ended("Succeeded");
    await expectEqual();
    await expectNothingLeft();
    expect(output.find((item) => item.resultType === "DatabaseLevelOutput")).toMatchObject({
      migrationState: "COMPLETE",
      initializationCompleted: true,
    });
    await pair.target.query("INSERT INTO items (list_id, place, note) VALUES (1, 5000000, 'first of the new home')");
    expect((await pair.target.query("SELECT max(id) = lastval() AS next FROM items")).rows).toEqual([{ next: true }]);
    await expect(pair.target.query("INSERT INTO items (list_id) VALUES (-1)")).rejects.toMatchObject({ code: "23503" });
    await expect(pair.target.query("INSERT INTO lists (id, title) VALUES (5, 'x')")).rejects.toMatchObject({ code: "428C9" });
  });

  test("a schema that was restored by hand is taken as it is and comes back as it was", async () => {
    await pair.source.query(SCHEMA + fill(2_000));
    await pair.target.query(SCHEMA);
    const migration = await world.migrate([pair]);
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    await expectEqual();
    const definitions = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1";
    expect((await pair.target.query(definitions)).rows).toEqual((await pair.source.query(definitions)).rows);
    await expectNothingLeft();
  });

  test("a cancel during the load leaves no slot, no publication and no bookkeeping", async () => {
    await pair.source.query(SCHEMA + fill(12_000));
    const migration = await world.migrate([pair], { migrateSchema: "true", fullLoadStreams: "1" }, SLOWLY);
    const release = await migration.heldInLoad(pair, "lists");
    await migration.until(({ output }) => output.some((item) => item.resultType === "TableLevelOutput" && item.state !== "BEFORE_LOAD"));
    await migration.cancel();
    await release();
    await migration.ended("Canceled");
    await expectNothingLeft();
  });

  test("a load whose sessions are all cut on the source goes on under a new snapshot", async () => {
    await pair.source.query(SCHEMA + fill(12_000));
    const writer = startWriter(pair);
    const migration = await world.migrate([pair], { migrateSchema: "true", fullLoadStreams: "1", largeTablePartMB: "1" }, SLOWLY);
    const release = await migration.heldInLoad(pair, "lists");
    await migration.until(({ output }) => output.some((item) => item.resultType === "TableLevelOutput" && item.state !== "BEFORE_LOAD"));
    await pair.source.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdms:%' AND datname = current_database()",
    );
    await release();
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await writer.stop();
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    await expectEqual();
    await expectNothingLeft();
  });

  test("a cancel during the sync leaves no slot, no publication and no bookkeeping", async () => {
    await pair.source.query(SCHEMA + fill(1_000));
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await migration.cancel();
    await migration.ended("Canceled");
    await expectNothingLeft();
  });

  test("a cutover while the application still writes is refused by name, and succeeds once the writes have stopped", async () => {
    await pair.source.query(SCHEMA + fill(5_000));
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    const writer = startWriter(pair);
    await migration.cutover(pair.source.name);
    await migration.until(({ output }) => JSON.stringify(output).includes("PG1209"));
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await writer.stop();
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    await expectEqual();
    await expectNothingLeft();
  });

  test("a difference that something else made on the target fails the cutover with the table named", async () => {
    await pair.source.query(SCHEMA + fill(1_000));
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await pair.target.query("UPDATE lists SET title = 'not ours' WHERE id = 17");
    await migration.cutover(pair.source.name);
    const { output } = await migration.until((task) => JSON.stringify(task.output).includes("PG1208"));
    expect(JSON.stringify(output)).toContain("public.lists");
    await migration.cancel();
    await migration.ended("Canceled");
  });

  test("a partition that was added on the way refuses the cutover with its name, and detached it does not", async () => {
    await pair.source.query(`${SCHEMA}${fill(100)} CREATE TABLE logs (id int, day date) PARTITION BY RANGE (day);
      CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); ALTER TABLE logs ADD PRIMARY KEY (id, day)`);
    const migration = await world.migrate([pair], { migrateSchema: "true" });
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await pair.source.query(`CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
      INSERT INTO logs VALUES (1, '2026-01-05'), (2, '2026-02-05')`);
    await migration.cutover(pair.source.name);
    const { output } = await migration.until((task) => JSON.stringify(task.output).includes("PG1220"));
    expect(JSON.stringify(output)).toContain("public.logs_2");
    await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
    await pair.source.query("ALTER TABLE logs DETACH PARTITION logs_2");
    await migration.cutover(pair.source.name);
    await migration.ended("Succeeded");
    expect(await contents(pair.target, "logs")).toEqual(await contents(pair.source, "logs"));
  });

  test("two databases of one task are cut over one after the other", async () => {
    const other = await createPair();
    try {
      await pair.source.query(SCHEMA + fill(2_000));
      await other.source.query(SCHEMA + fill(3_000));
      const migration = await world.migrate([pair, other], { migrateSchema: "true" });
      await migration.reaches(pair.source.name, "READY_TO_COMPLETE");
      await migration.reaches(other.source.name, "READY_TO_COMPLETE");
      await migration.cutover(pair.source.name);
      await migration.reaches(pair.source.name, "COMPLETE");
      await other.source.query("UPDATE items SET note = 'still followed' WHERE id < 100");
      await migration.cutover(other.source.name);
      await migration.ended("Succeeded");
      expect(await contents(other.target, "items")).toEqual(await contents(other.source, "items"));
      expect(await leftOnSource(other.source)).toEqual([]);
      await expectEqual();
    } finally {
      await other.drop();
    }
  });
});
