import { inject, afterEach, beforeEach, describe, expect, test } from "vitest";
import { displayName, tableKey } from "../../../contracts/tables.ts";
import { withConnection } from "../../../worker/postgres/connect.ts";
import { readTables } from "../../../worker/source/catalog.ts";
import { temporarySnapshot, type ExportedSnapshot } from "../../../worker/source/snapshot.ts";
import { takeOver } from "../../../worker/target/bookkeeping.ts";
import { readKeyValues } from "../../../worker/full-load/key-values.ts";
import { loadTables, type LoadOptions } from "../../../worker/full-load/load-tables.ts";
import { readLedger, tableLoads } from "../../../worker/full-load/ledger.ts";
import { cutsByKey, planLoad, type LoadPlan, type LoadTable } from "../../../worker/full-load/plan.ts";
import { SnapshotLost } from "../../../worker/full-load/snapshot-lost.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

const TASK = "11111111-2222-3333-4444-555555555555";
const NEVER = new AbortController().signal;
const settings = { fullLoadStreams: 3, onExistingRows: "refuse" as const, largeTablePartMB: 1 };

/** 13 has key ranges, 17 has ctid ranges. */
describe.each([
  ["13", "postgres13Port", 130_000],
  ["17", "postgres17Port", 170_000],
] as const)("the full load from PostgreSQL %s", (_version, portOf, versionNum) => {
  let source: TestDatabase;
  let target: TestDatabase;
  const snapshots: ExportedSnapshot[] = [];

  beforeEach(async () => {
    source = await createDatabase("source", inject(portOf));
    target = await createDatabase("target", inject("postgres17Port"));
    await withConnection(target.server, { purpose: "test" }, (client) =>
      takeOver(client, 1, { taskId: TASK, sourceDatabase: source.name, slot: "s", publication: "p", plugin: "pgoutput" }),
    );
  });
  afterEach(async () => {
    for (const snapshot of snapshots.splice(0)) await snapshot.release();
    await Promise.all([source.drop(), target.drop()]);
  });

  async function both(sql: string): Promise<void> {
    await Promise.all([source.query(sql), target.query(sql)]);
  }

  async function tables(change: (table: LoadTable) => LoadTable = (table) => table): Promise<LoadTable[]> {
    const [ours, theirs] = await Promise.all(
      [source, target].map(({ server }) => withConnection(server, { purpose: "test" }, (client) => readTables(client, versionNum))),
    );
    return (ours ?? []).map((definition) => {
      const { schema, name, columns } = definition;
      const found = theirs?.find((table) => tableKey(table) === tableKey(definition));
      return change({
        schema,
        name,
        definition,
        target: { schema, name },
        isTargetPartitioned: false,
        sourceColumns: columns.map((column) => column.name),
        targetColumns: new Map((found?.columns ?? []).map((column) => [column.name, column])),
      });
    });
  }

  async function planOf(
    list: readonly LoadTable[],
    more: Partial<typeof settings> | { onExistingRows: "truncate" | "append" } = {},
  ): Promise<LoadPlan> {
    const wanted = { ...settings, ...more };
    const keyValues = await withConnection(source.server, { purpose: "test" }, (client) =>
      readKeyValues(client, cutsByKey(list, wanted, versionNum)),
    );
    return planLoad(list, wanted, { sourceVersionNum: versionNum, keyValues });
  }

  async function takeSnapshot(): Promise<ExportedSnapshot> {
    const snapshot = await temporarySnapshot(source.server, {
      slot: `${source.name}_${snapshots.length}`,
      plugin: "test_decoding",
      timeoutMs: 10_000,
      signal: NEVER,
    });
    snapshots.push(snapshot);
    return snapshot;
  }

  async function optionsOf(plan: LoadPlan, more: Partial<LoadOptions> = {}): Promise<LoadOptions> {
    return {
      source: source.server,
      target: target.server,
      ownership: { taskId: TASK, epoch: 1 },
      plan,
      snapshot: more.snapshot ?? (await takeSnapshot()),
      settings,
      canBeReplica: true,
      clientEncoding: "UTF8",
      signal: NEVER,
      ...more,
    };
  }

  const fingerprint = async (database: TestDatabase, table: string): Promise<unknown> =>
    (await database.query(`SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) AS sum FROM ${table} t`)).rows[0];

  async function expectEqual(...names: string[]): Promise<void> {
    for (const name of names) expect([name, await fingerprint(target, name)]).toEqual([name, await fingerprint(source, name)]);
  }

  const ledger = () => withConnection(target.server, { purpose: "test" }, readLedger);

  const LARGE = `CREATE TABLE large (id bigint PRIMARY KEY, note text)`;
  /** Its parts must be of one snapshot, however they are cut. */
  const LARGE_OF_TWO_KEYS = `${LARGE}; CREATE UNIQUE INDEX ON large (id, note)`;
  const fillLarge = `INSERT INTO large SELECT i, repeat(md5(i::text), 10) FROM generate_series(-5000, 9999) i; ANALYZE large`;

  test("every row of every table arrives, in several parts and streams, and the ledger says so", async () => {
    await both(`${LARGE};
      CREATE TABLE kinds (id int PRIMARY KEY, a text, b bytea, c numeric, d timestamptz, e float8, f text[], g jsonb, h json, i interval, j uuid, k "char", l regclass);
      CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."Weird ""Name" ("Col,umn" int, "order" text);
      CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE moods (id int PRIMARY KEY, m mood, ms mood[]);
      CREATE TABLE none ();
      CREATE TABLE empty (id int PRIMARY KEY);
      CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
      CREATE TABLE parent (id int); CREATE TABLE child (more text) INHERITS (parent);
      CREATE TABLE split (id int, at date) PARTITION BY RANGE (at);
      CREATE TABLE split_a PARTITION OF split FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
      CREATE TABLE split_b PARTITION OF split DEFAULT;
      CREATE TABLE refers (id int REFERENCES empty);`);
    await source.query(`${fillLarge};
      INSERT INTO kinds VALUES (1, '', '', 'NaN', '-infinity', '-0', '{}', 'null', ' {"a": 1.0 , "a": 2}', '-1 mon +2 days', md5('x')::uuid, 'x', 'pg_class'),
        (2, E'\\\\N', '\\x00ff', 1e-20, '2020-01-01 00:00:00.000001+00', 0.1::float8 + 0.2, '[0:1]={NULL,"NULL"}', '{"big": 123456789012345678901234567890}', NULL, NULL, NULL, '', NULL),
        (3, NULL, NULL, NULL, NULL, 'Infinity', '{{a,b},{NULL,d}}', NULL, '"\\u0041"', '1 year', NULL, NULL, 'pg_type');
      INSERT INTO "a.b"."Weird ""Name" VALUES (1, E'tab\\tnew\\nline'), (NULL, NULL);
      INSERT INTO moods VALUES (1, 'ok', '{sad,NULL}'); INSERT INTO none DEFAULT VALUES;
      INSERT INTO always OVERRIDING SYSTEM VALUE VALUES (100), (7);
      INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'x');
      INSERT INTO split SELECT i, date '2019-12-01' + i FROM generate_series(1, 100) i;
      ALTER TABLE refers DISABLE TRIGGER ALL; INSERT INTO refers VALUES (404)`);
    const loaded: string[] = [];
    let imported = 0;
    let most = 0;
    const plan = await planOf(await tables());
    await loadTables(
      await optionsOf(plan, {
        onTableLoaded: (table, { rows }) => loaded.push(`${displayName(table)}: ${rows}`),
        onSnapshotImported: () => imported++,
        onProgress: (table, { bytes }) => (most = table.name === "large" ? Math.max(most, bytes) : most),
      }),
    );
    await expectEqual(
      "large",
      "kinds",
      `"a.b"."Weird ""Name"`,
      "moods",
      "none",
      "empty",
      "always",
      "ONLY parent",
      "child",
      "split_a",
      "split_b",
      "refers",
    );
    expect(loaded).toContain("public.large: 15000");
    expect(loaded).toHaveLength(plan.length);
    expect(imported).toBe(1);
    const parts = (await ledger()).filter(({ name }) => name === "large");
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.every(({ isDone, rows, snapshotLsn }) => isDone && rows > 0 && snapshotLsn === snapshots[0]?.lsn)).toBe(true);
    expect(parts.reduce((sum, { rows }) => sum + rows, 0)).toBe(15_000);
    expect(most).toBe(parts.reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test("rows that were written after the snapshot are not copied", async () => {
    await both(LARGE);
    await source.query(fillLarge);
    const plan = await planOf(await tables());
    const options = await optionsOf(plan);
    await source.query(
      "INSERT INTO large SELECT i, 'later' FROM generate_series(10000, 10999) i; DELETE FROM large WHERE id < 0; UPDATE large SET note = 'x'",
    );
    await loadTables(options);
    expect((await target.query("SELECT count(*), min(id), max(id), count(*) FILTER (WHERE note = 'x') AS x FROM large")).rows).toEqual([
      { count: "15000", min: "-5000", max: "9999", x: "0" },
    ]);
  });

  test("a load that was stopped on the way goes on under the same snapshot and copies nothing twice", async () => {
    await both(LARGE);
    await source.query(fillLarge);
    const plan = await planOf(await tables());
    const controller = new AbortController();
    const options = await optionsOf(plan, {
      signal: controller.signal,
      onProgress: (_table, { partsDone }) => {
        if (partsDone >= 2) controller.abort(new Error("the worker stops"));
      },
    });
    await expect(loadTables(options)).rejects.toThrow("the worker stops");
    const done = (await ledger()).filter(({ isDone }) => isDone).length;
    expect(done).toBeGreaterThanOrEqual(2);
    expect(done).toBeLessThan(plan[0]?.parts.length ?? 0);
    await loadTables({ ...options, signal: NEVER, onProgress: () => undefined });
    await expectEqual("large");
  });

  test("a load that is stopped while it waits for a lock leaves no session behind, so that nothing keeps its snapshot", async () => {
    await both(LARGE);
    await source.query(fillLarge);
    const options = await optionsOf(await planOf(await tables()));
    const holder = await source.connect();
    await holder.query("BEGIN; LOCK TABLE large IN ACCESS EXCLUSIVE MODE");
    const controller = new AbortController();
    const loading = loadTables({ ...options, signal: controller.signal });
    loading.catch(() => undefined);
    const waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'pgdms: % load'";
    await expect.poll(async () => (await source.query(`${waiting} AND wait_event_type = 'Lock'`)).rowCount).toBe(settings.fullLoadStreams);
    controller.abort(new Error("stop"));
    await expect(loading).rejects.toThrow("stop");
    await expect.poll(async () => (await source.query(waiting)).rowCount).toBe(0);
    await holder.end();
  });

  test("with one stream allowed one table is read at a time, although more streams are there", async () => {
    await both([1, 2, 3, 4, 5].map((n) => `CREATE TABLE t${n} (id int PRIMARY KEY, note text)`).join(";"));
    for (const n of [1, 2, 3, 4, 5]) await source.query(`INSERT INTO t${n} SELECT i, repeat('x', 100) FROM generate_series(1, 2000) i`);
    const reading = new Set<string>();
    let most = 0;
    await loadTables(
      await optionsOf(await planOf(await tables()), {
        allowedStreams: () => 1,
        onProgress: ({ name }) => (most = Math.max(most, reading.add(name).size)),
        onTableLoaded: ({ name }) => reading.delete(name),
      }),
    );
    expect(most).toBe(1);
    await expectEqual("t1", "t2", "t3", "t4", "t5");
  });

  test("a stream that is not allowed any more stops in the middle of its table, and ends it when another one is done", async () => {
    await both("CREATE TABLE a (id int, note text); CREATE TABLE b (id int, note text)");
    for (const table of ["a", "b"])
      await source.query(`INSERT INTO ${table} SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 8000) i`);
    const bytesOf = new Map<string, number>();
    const loaded: string[] = [];
    let asked = 0;
    let whenFirstWasLoaded: number[] = [];
    const plan = await planOf(await tables(), { largeTablePartMB: 64 });
    const options = await optionsOf(plan, {
      // Asked for each piece that arrives, and the first stream gets none before.
      allowedStreams: () => {
        if (++asked < 20) return 2;
        unlock?.();
        return 1;
      },
      onProgress: ({ name }, { bytes }) => bytesOf.set(name, bytes),
      onTableLoaded: ({ name }) => {
        if (loaded.push(name) === 1) whenFirstWasLoaded = [...bytesOf.values()];
      },
    });
    // The first stream waits for the lock until the second one is in the middle of its table.
    const blocker = await source.connect();
    await blocker.query(`BEGIN; LOCK TABLE ${plan[0]?.table.name} IN ACCESS EXCLUSIVE MODE`);
    let unlock: (() => void) | undefined = () => {
      unlock = undefined;
      void blocker.end();
    };
    await loadTables(options);
    const [first, second] = loaded.map((name) => bytesOf.get(name) ?? 0);
    expect(first).toBe(second);
    expect(whenFirstWasLoaded).toContain(first);
    expect(Math.min(...whenFirstWasLoaded)).toBeLessThan((second ?? 0) / 2);
    await expectEqual("a", "b");
  });

  test("under a new snapshot finished tables stay and half loaded ones begin again", async () => {
    await both(`${LARGE_OF_TWO_KEYS}; CREATE TABLE small (id int PRIMARY KEY)`);
    await source.query(`${fillLarge}; INSERT INTO small VALUES (1)`);
    const list = await tables();
    await loadTables(await optionsOf(await planOf(list.filter(({ name }) => name === "small"))));
    const controller = new AbortController();
    const onProgress: LoadOptions["onProgress"] = (_table, { partsDone }) => {
      if (partsDone >= 2) controller.abort(new Error("the worker dies"));
    };
    await expect(loadTables(await optionsOf(await planOf(list), { signal: controller.signal, onProgress }))).rejects.toThrow("dies");
    await source.query("DELETE FROM large WHERE id % 3 = 0; INSERT INTO large VALUES (20000, 'new'); INSERT INTO small VALUES (2)");
    const second = await optionsOf(await planOf(list));
    await loadTables(second);
    await expectEqual("large");
    expect((await target.query("SELECT id FROM small")).rows).toEqual([{ id: 1 }]);
    const loads = tableLoads(await ledger());
    expect(loads.get(tableKey({ schema: "public", name: "large" }))).toMatchObject({
      isLoaded: true,
      snapshotLsn: second.snapshot.lsn,
      rows: 10_001,
    });
    expect(loads.get(tableKey({ schema: "public", name: "small" }))?.snapshotLsn).toBe(snapshots[0]?.lsn);
  });

  test.each([["source"], ["target"]] as const)(
    "sessions of the %s that are cut are opened again, and no row is lost or doubled",
    async (side) => {
      await both("CREATE TABLE bare (id int, note text)");
      await source.query("INSERT INTO bare SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 10000) i");
      const plan = await planOf(await tables());
      const database = side === "source" ? source : target;
      const cut = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pgdms: ${TASK.slice(0, 8)} load'`;
      const cuts: Promise<unknown>[] = [];
      let interrupted = 0;
      await loadTables(
        await optionsOf(plan, {
          onInterrupted: () => interrupted++,
          onProgress: () => {
            if (cuts.length < 3) cuts.push(database.query(cut));
          },
        }),
      );
      await Promise.all(cuts);
      await expectEqual("bare");
      expect(interrupted).toBeGreaterThan(0);
    },
  );

  test("once no further table may be begun, those under way are finished and the rest comes under a later snapshot", async () => {
    const names = ["large", "a", "b", "c"];
    await both(`${LARGE_OF_TWO_KEYS}; ${["a", "b", "c"].map((name) => `CREATE TABLE ${name} (id int PRIMARY KEY)`).join("; ")}`);
    await source.query(`${fillLarge}; INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)`);
    const plan = await planOf(await tables());
    expect(plan[0]?.parts.length).toBeGreaterThan(3); // more parts than streams
    await expect(loadTables(await optionsOf(plan, { mayBegin: () => false }))).rejects.toThrow(SnapshotLost);
    await expectEqual("large");
    expect([...tableLoads(await ledger()).values()].filter(({ isLoaded }) => isLoaded)).toHaveLength(1);
    for (const name of names.slice(1)) await source.query(`INSERT INTO ${name} VALUES (2)`);
    await expect(loadTables(await optionsOf(plan, { mayBegin: () => false }))).rejects.toThrow(SnapshotLost);
    await loadTables(await optionsOf(plan));
    await expectEqual(...names);
    expect(new Set((await ledger()).map(({ snapshotLsn }) => snapshotLsn)).size).toBe(3);
  });

  if (versionNum < 140_000)
    test("a table that is cut by its key is left in the middle once nothing further may be begun", async () => {
      await both(LARGE);
      await source.query(fillLarge);
      const plan = await planOf(await tables());
      for (let snapshots = 1; snapshots <= 2; snapshots++) {
        await expect(loadTables(await optionsOf(plan, { mayBegin: () => false }))).rejects.toThrow(SnapshotLost);
        expect((await ledger()).filter(({ isDone }) => isDone)).toHaveLength(snapshots);
      }
      await loadTables(await optionsOf(plan));
      await expectEqual("large");
      expect(new Set((await ledger()).map(({ snapshotLsn }) => snapshotLsn)).size).toBe(3);
    });

  test("when the exporter is gone, living streams finish what they can and the rest asks for a new snapshot", async () => {
    await both(`${LARGE}; CREATE TABLE small (id int PRIMARY KEY)`);
    await source.query(`${fillLarge}; INSERT INTO small VALUES (1)`);
    const plan = await planOf(await tables());
    const options = await optionsOf(plan);
    await snapshots[0]?.release();
    await expect(loadTables(options)).rejects.toThrow(SnapshotLost);
    await expect(loadTables({ ...options, snapshot: { ...options.snapshot, isAlive: () => true } })).rejects.toThrow(SnapshotLost);
    await loadTables(await optionsOf(plan));
    await expectEqual("large", "small");
  });

  test("a table that was rewritten after the snapshot waits for a later one; the others are loaded", async () => {
    await both(`${LARGE}; CREATE TABLE rewritten (id int PRIMARY KEY, v int); CREATE TABLE emptied (id int PRIMARY KEY)`);
    await source.query(`${fillLarge}; INSERT INTO rewritten VALUES (1, 1); INSERT INTO emptied VALUES (1)`);
    const plan = await planOf(await tables());
    const options = await optionsOf(plan);
    // An older snapshot sees nothing in a table that ALTER TABLE has rewritten: its rows would be lost.
    await source.query("ALTER TABLE rewritten ALTER v TYPE bigint; TRUNCATE emptied");
    await expect(loadTables(options)).rejects.toThrow(/2 parts need another snapshot/);
    await expectEqual("large");
    // Binary values would be taken for those of the type that the plan knows.
    await expect(loadTables(await optionsOf(plan))).rejects.toMatchObject({
      kind: "SourceTableChanged",
      detail: { table: "public.rewritten" },
    });
    await loadTables(await optionsOf(await planOf(await tables())));
    await expectEqual("rewritten", "emptied");
  });

  /** Holds a table of the target, so that its COPY waits; `held` says when it does. */
  async function holdTarget(table: string): Promise<{ held: () => Promise<void>; letGo: () => Promise<void> }> {
    const holder = await target.connect();
    await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    const waiting =
      "SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation = $1::regclass";
    return {
      held: () => expect.poll(async () => (await target.query(waiting, [table])).rows, { timeout: 20_000 }).toEqual([{ n: 1 }]),
      letGo: async () => {
        await holder.query("COMMIT");
        await holder.end();
      },
    };
  }

  test("the application's DDL waits for the part that is being read, not for the whole load", async () => {
    await both(`${LARGE}; CREATE TABLE small (id int PRIMARY KEY)`);
    await source.query(`${fillLarge}; INSERT INTO small VALUES (1)`);
    const options = await optionsOf(await planOf(await tables()), { settings: { ...settings, fullLoadStreams: 1 } });
    const { held, letGo } = await holdTarget("small");
    const loading = loadTables(options);
    await held();
    await source.query("SET lock_timeout = '5s'; ALTER TABLE large ADD COLUMN more int");
    await letGo();
    await loading;
    expect((await target.query("SELECT id FROM small")).rows).toEqual([{ id: 1 }]);
  });

  test("a worker that lost its ownership cannot load, not even the part that it is at", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY)");
    await source.query("INSERT INTO t VALUES (1)");
    const options = await optionsOf(await planOf(await tables()));
    await expect(loadTables({ ...options, ownership: { taskId: TASK, epoch: 0 } })).rejects.toMatchObject({ kind: "LostOwnership" });
    const { held, letGo } = await holdTarget("t");
    const outcome = loadTables(options).catch((thrown: unknown) => thrown);
    await held();
    await target.query("UPDATE pgdms.migration SET epoch = 2");
    await letGo();
    expect(await outcome).toMatchObject({ kind: "LostOwnership" });
    expect((await target.query("SELECT FROM t")).rowCount).toBe(0);
    expect((await ledger()).map(({ isDone }) => isDone)).toEqual([false]);
  });

  test("rows that a policy hides from the source's user fail the load; they are not left out without a word (pgcopydb under RLS)", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY)");
    const role = `bound_${source.name}`;
    await source.query(`INSERT INTO t SELECT generate_series(1, 100); ALTER TABLE t ENABLE ROW LEVEL SECURITY;
      CREATE ROLE ${role} LOGIN; GRANT SELECT ON t TO ${role}`);
    const bound = { ...source.server, connection: { ...source.reference, userName: role } };
    const load = loadTables({ ...(await optionsOf(await planOf(await tables()))), source: bound });
    await expect(load).rejects.toMatchObject({ detail: { sqlState: "42501" } });
    expect((await target.query("SELECT FROM t")).rowCount).toBe(0);
    await source.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test("a row that the target refuses fails the load with the table and the server's word", async () => {
    await both("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (id int PRIMARY KEY, v int)");
    await target.query("ALTER TABLE bad ADD CONSTRAINT small_only CHECK (v < 10)");
    await source.query("INSERT INTO bad VALUES (1, 100)");
    await expect(loadTables(await optionsOf(await planOf(await tables())))).rejects.toMatchObject({
      kind: "LoadFailed",
      detail: { table: "public.bad", sqlState: "23514" },
      message: expect.stringContaining("small_only") as string,
    });
  });

  test("truncate empties what was there before, once; append keeps it", async () => {
    await both("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE pointing (id int REFERENCES t)");
    await source.query("INSERT INTO t VALUES (1)");
    await target.query("INSERT INTO t VALUES (50); INSERT INTO pointing VALUES (50)");
    const list = await tables();
    const only = list.filter(({ name }) => name === "t");
    const truncate = { ...settings, onExistingRows: "truncate" } as const;
    // TRUNCATE of t alone is refused, because pointing refers to it.
    await loadTables(await optionsOf(await planOf(only, truncate), { settings: truncate }));
    expect((await target.query("SELECT id FROM t")).rows).toEqual([{ id: 1 }]);
    await target.query("INSERT INTO t VALUES (2)");
    await loadTables(await optionsOf(await planOf(only, truncate), { settings: truncate }));
    expect((await target.query("SELECT id FROM t ORDER BY id")).rows).toEqual([{ id: 1 }, { id: 2 }]);
    const append = { ...settings, onExistingRows: "append" } as const;
    await source.query("INSERT INTO pointing VALUES (1)");
    await loadTables(await optionsOf(await planOf(list, append), { settings: append }));
    expect((await target.query("SELECT id FROM pointing ORDER BY id")).rows).toEqual([{ id: 1 }, { id: 50 }]);
  });

  test("tables that are partitioned otherwise on the target are loaded through its root", async () => {
    await source.query(`CREATE TABLE p1 (id int PRIMARY KEY, v text); CREATE TABLE p2 (id int PRIMARY KEY, v text);
                        INSERT INTO p1 SELECT i, 'one' FROM generate_series(1, 500) i; INSERT INTO p2 SELECT i, 'two' FROM generate_series(501, 1000) i`);
    await target.query(`CREATE TABLE root (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
                        CREATE TABLE h0 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                        CREATE TABLE h1 PARTITION OF root FOR VALUES WITH (MODULUS 2, REMAINDER 1)`);
    const list = await tables((table) => ({ ...table, target: { schema: "public", name: "root" }, isTargetPartitioned: true }));
    await loadTables(await optionsOf(await planOf(list)));
    expect((await target.query("SELECT v, count(*) FROM root GROUP BY v ORDER BY v")).rows).toEqual([
      { v: "one", count: "500" },
      { v: "two", count: "500" },
    ]);
  });
});

test("bytes of a SQL_ASCII source pass unconverted, and the target's own check decides", async () => {
  const source = await createDatabase("source", inject("postgres13Port"));
  const target = await createDatabase("target", inject("postgres17Port"));
  const ascii = `${source.name}_ascii`;
  try {
    await source.query(`CREATE DATABASE ${ascii} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`);
    const server = { ...source.server, connection: { ...source.reference, databaseName: ascii } };
    await target.query("CREATE TABLE t (id int PRIMARY KEY, v text)");
    await withConnection(server, { purpose: "test", clientEncoding: "SQL_ASCII" }, (client) =>
      client.query("CREATE TABLE public.t (id int PRIMARY KEY, v text); INSERT INTO public.t VALUES (1, E'gr\\xc3\\xbc\\xc3\\x9fe')"),
    );
    await withConnection(target.server, { purpose: "test" }, (client) =>
      takeOver(client, 1, { taskId: TASK, sourceDatabase: ascii, slot: "s", publication: "p", plugin: "pgoutput" }),
    );
    const load = async (): Promise<void> => {
      const definitions = await withConnection(server, { purpose: "test" }, (client) => readTables(client, 130_000));
      const list: LoadTable[] = definitions.map((definition) => ({
        schema: definition.schema,
        name: definition.name,
        definition,
        target: definition,
        isTargetPartitioned: false,
        sourceColumns: ["id", "v"],
        targetColumns: new Map(definition.columns.map((column) => [column.name, column])),
      }));
      const snapshot = await temporarySnapshot(server, { slot: ascii, plugin: "test_decoding", timeoutMs: 10_000, signal: NEVER });
      await loadTables({
        source: server,
        target: target.server,
        ownership: { taskId: TASK, epoch: 1 },
        plan: planLoad(list, settings, { sourceVersionNum: 130_000 }),
        snapshot,
        settings,
        canBeReplica: true,
        clientEncoding: "SQL_ASCII",
        signal: NEVER,
      }).finally(() => snapshot.release());
    };
    await load();
    expect((await target.query("SELECT v FROM t")).rows).toEqual([{ v: "grüße" }]);
    await withConnection(server, { purpose: "test", clientEncoding: "SQL_ASCII" }, (client) =>
      client.query("INSERT INTO public.t VALUES (2, E'\\xfc')"),
    );
    await target.query("TRUNCATE t; DELETE FROM pgdms.table_load");
    await expect(load()).rejects.toMatchObject({ kind: "TextNotConvertible", detail: { table: "public.t", sqlState: "22021" } });
  } finally {
    // The temporary slot ends with its session, which the server notices in its own time.
    await expect.poll(() => source.query(`DROP DATABASE IF EXISTS ${ascii}`).then(() => "gone", String), { timeout: 10_000 }).toBe("gone");
    await Promise.all([source.drop(), target.drop()]);
  }
});
