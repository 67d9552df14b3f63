import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CleanUpCommand, TASK_TYPES } from "../../../contracts/commands.ts";
import { requireSettings } from "../../../contracts/settings.ts";
import { cleanUp, finishEnded } from "../../../worker/cutover/ending.ts";
import { cleanUpLater } from "../../../worker/cutover/late-clean-up.ts";
import { leftOnSource } from "../../../worker/cutover/source-clean-up.ts";
import { createLogger } from "../../../worker/log.ts";
import { type Migration } from "../../../worker/migration.ts";
import { Orders } from "../../../worker/orders.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { type Server } from "../../../worker/postgres/server.ts";
import { LoadPace } from "../../../worker/source/pace.ts";
import { ProgressBoard } from "../../../worker/progress-board.ts";
import { deferDefinitions } from "../../../worker/schema/deferral.ts";
import { snapshotSlot } from "../../../worker/source/slot.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { objectName } from "../../../worker/target/prepare.ts";
import { leftOnSource as leftOnSourceNow } from "../../scenarios/world.ts";
import { createPair } from "../../setup/databases.ts";

const taskId = "6f2f6b3c-3b0e-4a52-9a3d-0a1b2c3d4e5f";
const ownership = { taskId, epoch: 1 };

let pair: Awaited<ReturnType<typeof createPair>>;
beforeEach(async () => {
  pair = await createPair();
});
afterEach(() => pair.drop());

/** A migration whose definitions are set aside, as a cancel or a failure finds it. */
async function underWay(): Promise<void> {
  await pair.target.query(
    "CREATE TABLE mother (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, mother int REFERENCES mother)",
  );
  const connectTarget = () => connect(pair.target.server, { purpose: "test" });
  const client = await connectTarget();
  await takeOver(client, 1, { taskId, sourceDatabase: pair.source.name, slot: "s", publication: "p", plugin: "pgoutput" });
  await client.end();
  const tables = ["mother", "child"].map((name) => ({ schema: "public", name }));
  await deferDefinitions({ connectTarget, ownership, tables, deferIndexes: true, signal: new AbortController().signal });
  expect(await keys()).toEqual([]);
}

function migration(target: Server = pair.target.server): Migration & { readonly messages: string[]; readonly resolved: string[] } {
  const selected = { name: pair.source.name, targetDatabaseName: pair.target.name, selectedTables: [], migrationSetting: {} };
  const log = createLogger("silent", "test");
  const messages: string[] = [];
  const resolved: string[] = [];
  const board = new ProgressBoard({
    databaseName: pair.source.name,
    targetDatabaseName: pair.target.name,
    send: (items) => {
      for (const item of items) {
        if (item.kind !== "finding") continue;
        if (item.resolved) resolved.push(item.error.code);
        else messages.push(item.error.message);
      }
    },
    log,
  });
  const orders = new Orders();
  return {
    job: {
      taskId,
      epoch: 1,
      workerId: "test",
      logLevel: "silent",
      source: pair.source.reference,
      target: pair.target.reference,
      selected: { ...selected, sourceSetting: {}, targetSetting: {} },
      earlierTaskIds: [],
      secrets: {},
      pgDumpPath: undefined,
      ended: undefined,
    },
    source: pair.source.server,
    target,
    settings: requireSettings(selected),
    ownership,
    board,
    orders,
    signal: orders.signal,
    log,
    tell: () => undefined,
    pace: new LoadPace(1, 0),
    endRecorded: Promise.resolve(),
    messages,
    resolved,
  };
}

async function keys(): Promise<string[]> {
  const { rows } = await pair.target.query(
    "SELECT conname FROM pg_constraint WHERE contype IN ('p', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1",
  );
  return rows.map(({ conname }) => String(conname));
}

const hasBookkeeping = async (): Promise<boolean> =>
  (await pair.target.query("SELECT FROM pg_namespace WHERE nspname = 'pgdms'")).rowCount === 1;

const ALL = ["child_mother_fkey", "child_pkey", "mother_pkey"];

test("a target that does not answer for a moment when the migration is cancelled still gets its definitions back", async () => {
  await underWay();
  let refusals = 2;
  const password = (): Promise<undefined> =>
    refusals-- > 0 ? Promise.reject(Object.assign(new Error("no answer"), { code: "ECONNREFUSED" })) : Promise.resolve(undefined);
  const cancelled = migration({ ...pair.target.server, password });
  cancelled.board.event("validationBegan");
  await cleanUp(cancelled, "CANCELLED");
  cancelled.board.close();
  expect(await keys()).toEqual(ALL);
  await finishEnded(cancelled, "CANCELLED");
  expect(await hasBookkeeping()).toBe(false);
});

test.each(["CANCELLED", "FAILED"] as const)("%s: what could not be brought back keeps its only record", async (end) => {
  await underWay();
  const ended = migration();
  ended.board.close();
  await finishEnded(ended, end); // nothing was brought back: another worker ended between the end and the clean-up
  expect(await hasBookkeeping()).toBe(true);
  expect((await pair.target.query("SELECT FROM pgdms.deferred_ddl WHERE NOT is_restored")).rowCount).toBeGreaterThan(3);
});

test("after a cancel a foreign key that half the rows break is there, NOT VALID, named, and no bookkeeping is left", async () => {
  await underWay();
  await pair.target.query("INSERT INTO child VALUES (1, 42)");
  const cancelled = migration();
  cancelled.board.event("validationBegan");
  await cleanUp(cancelled, "CANCELLED");
  await finishEnded(cancelled, "CANCELLED");
  cancelled.board.close();
  expect(await keys()).toEqual(ALL);
  expect(cancelled.messages.join()).toContain("The foreign key child_mother_fkey is back, but NOT VALID");
  expect(await hasBookkeeping()).toBe(false);
});

test("a target that does not answer for a moment at the end still tells which identities the source gets back", async () => {
  await underWay();
  await pair.source.query("CREATE TABLE keyless (note text); ALTER TABLE keyless REPLICA IDENTITY FULL");
  await pair.target.query(
    "INSERT INTO pgdms.table_sync (schema_name, table_name, had_no_identity, is_insert_only) VALUES ('public', 'keyless', true, false)",
  );
  let refusals = 2;
  const password = (): Promise<undefined> =>
    refusals-- > 0 ? Promise.reject(Object.assign(new Error("no answer"), { code: "ECONNREFUSED" })) : Promise.resolve(undefined);
  const complete = migration({ ...pair.target.server, password });
  await cleanUp(complete, "COMPLETE");
  complete.board.close();
  expect((await pair.source.query("SELECT relreplident FROM pg_class WHERE relname = 'keyless'")).rows).toEqual([{ relreplident: "d" }]);
});

describe("what the bookkeeping alone knows of the source", () => {
  const identity = async (): Promise<unknown> =>
    (await pair.source.query("SELECT relreplident FROM pg_class WHERE relname = 'keyless'")).rows[0]?.["relreplident"];
  const refusing = (server: Server): Server => ({ ...server, password: () => Promise.reject(new Error("the vault is closed")) });

  beforeEach(async () => {
    await underWay();
    await pair.target.query("DELETE FROM pgdms.deferred_ddl");
    await pair.source.query("CREATE TABLE keyless (note text); ALTER TABLE keyless REPLICA IDENTITY FULL");
    await pair.target.query(
      "INSERT INTO pgdms.table_sync (schema_name, table_name, had_no_identity, is_insert_only) VALUES ('public', 'keyless', true, false)",
    );
  });

  test("a target that cannot be read at the end is told, and once it can be the source gets back what it is owed", async () => {
    const complete = migration(refusing(pair.target.server));
    await cleanUp(complete, "COMPLETE");
    complete.board.flush();
    expect(complete.messages.join()).toContain("stands on the target, which cannot be read: the vault is closed");
    expect(await identity()).toBe("f");
    const later = migration();
    await finishEnded(later, "COMPLETE");
    expect([await identity(), await hasBookkeeping(), later.resolved]).toEqual(["d", false, ["PG1212"]]);
  });

  /** The target fails with this SQLSTATE, so many times, when it is to note that the source has got its identities back. */
  const failNoting = (sqlState: string, times: number): Promise<unknown> =>
    pair.target.query(`
      CREATE SEQUENCE failures;
      CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF nextval('public.failures') <= ${times} THEN RAISE 'no noting now' USING ERRCODE = '${sqlState}'; END IF; RETURN NULL; END $$;
      CREATE TRIGGER fail AFTER UPDATE ON pgdms.table_sync FOR EACH STATEMENT EXECUTE FUNCTION fail()`);

  test("a target that cannot note for a moment that the source has it back notes it then", async () => {
    await failNoting("57014", 2);
    const complete = migration();
    await cleanUp(complete, "COMPLETE");
    await finishEnded(complete, "COMPLETE");
    complete.board.close();
    expect([await identity(), await hasBookkeeping(), complete.messages]).toEqual(["d", false, []]);
  });

  test("a target that never can is told: it is tried again later, until then the bookkeeping stays", async () => {
    await failNoting("42501", 2);
    const complete = migration();
    await cleanUp(complete, "COMPLETE");
    await finishEnded(complete, "COMPLETE");
    complete.board.flush();
    expect([await identity(), await hasBookkeeping(), complete.resolved]).toEqual(["d", true, []]);
    expect(complete.messages.join()).toContain("which the target could not note: no noting now");
    await finishEnded(complete, "COMPLETE");
    complete.board.close();
    expect([await hasBookkeeping(), complete.resolved]).toEqual([false, ["PG1212"]]);
  });

  test("a source that is away at the end and after it gets it back later: until then the bookkeeping stays", async () => {
    const complete = { ...migration(), source: refusing(pair.source.server) };
    await cleanUp(complete, "COMPLETE");
    await finishEnded(complete, "COMPLETE");
    complete.board.close();
    expect([await identity(), await hasBookkeeping(), complete.resolved]).toEqual(["f", true, []]);
    const { source, target, selected } = complete.job;
    const work = { taskType: TASK_TYPES.migrate, source, target, selectedDatabases: [selected] };
    const command = {
      version: 1,
      type: "cleanUp",
      taskId,
      attempt: 1,
      afterEpoch: 1,
      work,
      databases: [{ name: selected.name, end: "COMPLETE" }],
    };
    const [finding] = await cleanUpLater(CleanUpCommand.parse(command), {}, complete.log);
    expect(finding).toMatchObject({ resolved: true });
    expect([await identity(), await hasBookkeeping()]).toEqual(["d", false]);
  });
});

test("the statements for a source that could not be cleaned up clean it up, with a snapshot's session still there", async () => {
  const { job } = migration();
  const slot = objectName(taskId, pair.source.name);
  await pair.source.query("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", [slot]);
  await pair.source.query(`CREATE PUBLICATION ${slot}`);
  const left = await pair.source.connect();
  await left.query("SELECT pg_create_logical_replication_slot($1, 'test_decoding', true)", [snapshotSlot(slot, "t", 1)]);
  const { remedy } = leftOnSource({ job }, new Error("no route to host"));
  const statements = /Or on the source: (.*)$/.exec(remedy ?? "")?.[1] ?? "";
  await pair.source.query(statements);
  await expect.poll(() => leftOnSourceNow(pair.source)).toEqual([]);
});
