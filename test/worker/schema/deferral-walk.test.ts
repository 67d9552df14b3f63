import type pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type TableName } from "../../../contracts/tables.ts";
import { connect, versionNum } from "../../../worker/postgres/connect.ts";
import { deferDefinitions } from "../../../worker/schema/deferral.ts";
import { definitionQueries } from "../../../worker/schema/definition-queries.ts";
import { restoreEverything, restoreLoadStage, restoreSyncStage } from "../../../worker/schema/restore.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { dumpDefinitions } from "../../scenarios/schemas.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

// The engine is killed before each durable write of taking definitions away and of bringing them back. Whatever it did since the
// last one is rolled back by the server, so these are all the states that a crash can leave.

const ownership = { taskId: "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f", epoch: 1 };
const signal = new AbortController().signal;
const tables: TableName[] = ["good", "sale", "measure_1"].map((name) => ({ schema: "public", name }));

const schema = `
  CREATE EXTENSION btree_gist;
  CREATE TABLE good (id int GENERATED ALWAYS AS IDENTITY CONSTRAINT "the ""key""" PRIMARY KEY, code text NOT NULL, span int4range,
    CONSTRAINT once UNIQUE (code) DEFERRABLE, CONSTRAINT apart EXCLUDE USING gist (span WITH &&));
  CREATE UNIQUE INDEX by_code ON good (code);
  ALTER TABLE good REPLICA IDENTITY USING INDEX by_code;
  ALTER TABLE good CLUSTER ON by_code;
  COMMENT ON INDEX by_code IS 'it''s a comment';
  CREATE TABLE sale (id int PRIMARY KEY, good int CONSTRAINT sold REFERENCES good ON DELETE CASCADE, amount int);
  ALTER TABLE sale ADD CONSTRAINT sane CHECK (amount > 0) NOT VALID;
  CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER noting BEFORE INSERT ON sale FOR EACH ROW EXECUTE FUNCTION note();
  ALTER TABLE sale ENABLE ALWAYS TRIGGER noting;
  CREATE TABLE measure (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
  CREATE TABLE measure_1 PARTITION OF measure FOR VALUES FROM (0) TO (100);
  INSERT INTO good (code) VALUES ('a'), ('b');
  INSERT INTO sale VALUES (1, 1, 5)`;

let target: TestDatabase;
let judge: pg.Client;
let before: string;
let dumped: string;

beforeAll(async () => {
  target = await createDatabase("target", inject("postgres17Port"));
  await target.query(schema);
  judge = await connect(target.server, { purpose: "judge" });
  await takeOver(judge, ownership.epoch, {
    taskId: ownership.taskId,
    sourceDatabase: "x",
    slot: "s",
    publication: "p",
    plugin: "pgoutput",
  });
  [before, dumped] = [await definitions(), await dumpDefinitions(target)];
}, 60_000);
afterAll(async () => {
  await judge.end();
  await target.drop();
});

/** All that the catalogs say. */
async function definitions(): Promise<string> {
  const version = await versionNum(judge);
  const lines: string[] = [];
  const scope = { versionNum: version, floor: version, withInvalidIndexes: true, withReplicaIdentity: true };
  for (const { kind, sql } of definitionQueries(scope)) {
    const { rows } = await judge.query<{ name: string; definition: string }>(`SELECT name, definition FROM (${sql}) o ORDER BY 1`);
    lines.push(...rows.map(({ name, definition }) => `${kind} ${name}: ${definition}`));
  }
  return lines.join("\n");
}

class Killed extends Error {}

/** A worker that dies before its n-th COMMIT: its sessions break, and it opens no more. Infinity: one that lives. */
class Worker {
  commits = 0;
  private readonly diesAt: number;
  private readonly clients: pg.Client[] = [];

  constructor(diesAt: number) {
    this.diesAt = diesAt;
  }

  readonly connectTarget = async (): Promise<pg.Client> => {
    this.requireAlive();
    const client = await connect(target.server, { purpose: "walk" });
    this.clients.push(client);
    const query = client.query.bind(client) as (...call: unknown[]) => Promise<unknown>;
    const counted = async (...call: unknown[]): Promise<unknown> => {
      this.requireAlive();
      if (call[0] === "COMMIT" && ++this.commits === this.diesAt) {
        for (const each of this.clients) (each as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
        this.requireAlive();
      }
      return query(...call);
    };
    return Object.assign(client, { query: counted });
  };

  private requireAlive(): void {
    if (this.commits >= this.diesAt) throw new Killed();
  }

  private readonly restoreOptions = () => ({
    connectTarget: this.connectTarget,
    ownership,
    indexBuilders: 1,
    maintenanceWorkMemMB: 16,
    largeTableMB: 1024,
    signal,
  });

  defer(): Promise<unknown> {
    return deferDefinitions({
      connectTarget: this.connectTarget,
      ownership,
      tables,
      deferIndexes: true,
      locksPerTransaction: 1,
      signal,
    });
  }

  /** As a migration that goes on: stage by stage. */
  async resume(): Promise<void> {
    await this.defer();
    await restoreLoadStage(this.restoreOptions());
    await restoreSyncStage(this.restoreOptions());
    await this.cancel();
  }

  /** As a cancel: everything at once. */
  async cancel(): Promise<void> {
    const { failures } = await restoreEverything(this.restoreOptions());
    expect(failures).toEqual([]);
  }
}

const afterwards = [
  ["resumed", (worker: Worker) => worker.resume()],
  ["cancelled", (worker: Worker) => worker.cancel()],
] as const;

/** @returns at which commits the worker was killed */
async function walk(begin: (worker: Worker) => Promise<unknown>, goOn: (worker: Worker) => Promise<void>): Promise<number> {
  for (let n = 1; ; n++) {
    const worker = new Worker(n);
    const wasKilled = await begin(worker).then(
      () => false,
      (thrown: unknown) => (thrown instanceof Killed ? true : Promise.reject(thrown as Error)),
    );
    await goOn(new Worker(Infinity));
    expect(await definitions(), `killed before commit ${n}`).toBe(before);
    const { rowCount } = await judge.query("SELECT FROM pgdms.deferred_ddl WHERE NOT is_restored");
    expect(rowCount, `killed before commit ${n}: owed`).toBe(0);
    await judge.query("TRUNCATE pgdms.deferred_ddl"); // what came back is not taken away twice; the next round begins anew
    if (!wasKilled) return n - 1;
  }
}

test.each(afterwards)(
  "killed at every step of taking away, then %s: every definition is back",
  { timeout: 180_000 },
  async (_way, goOn) => {
    expect(await walk((worker) => worker.defer(), goOn)).toBeGreaterThan(8);
    expect(await dumpDefinitions(target)).toBe(dumped);
  },
);

test.each(afterwards)(
  "killed at every step of bringing back, then %s: every definition is back",
  { timeout: 180_000 },
  async (_way, goOn) => {
    const steps = await walk(async (worker) => {
      await new Worker(Infinity).defer();
      await worker.cancel();
    }, goOn);
    expect(steps).toBeGreaterThan(12);
    expect(await dumpDefinitions(target)).toBe(dumped);
  },
);

test("an event trigger that refuses DDL stands in nobody's way", async () => {
  await judge.query(`
    CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here'; END $$;
    CREATE EVENT TRIGGER refuse_ddl ON ddl_command_start EXECUTE FUNCTION refuse()`);
  try {
    await expect(judge.query("CREATE INDEX refused ON sale (amount)")).rejects.toThrow("no DDL here");
    const guarded = await definitions();
    const worker = new Worker(Infinity);
    await worker.defer();
    expect(await definitions()).not.toBe(guarded);
    await worker.resume();
    expect(await definitions()).toBe(guarded);
  } finally {
    await judge.query(
      "SET session_replication_role = replica; DROP EVENT TRIGGER refuse_ddl; DROP FUNCTION refuse(); RESET session_replication_role",
    );
  }
});
