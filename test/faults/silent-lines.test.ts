import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type pg from "pg";
import { clientConfig, connect } from "../../worker/postgres/connect.ts";
import { takeOver } from "../../worker/postgres/raw-session.ts";
import { type Server } from "../../worker/postgres/server.ts";
import { verdictOf, watchSilence } from "../../worker/postgres/silence.ts";
import { ProgressBoard } from "../../worker/progress-board.ts";
import { createLogger } from "../../worker/log.ts";
import { type ReportItem } from "../../contracts/reports.ts";
import { createPair } from "../setup/databases.ts";
import { TcpProxy } from "./tcp-proxy.ts";

/** Soon, so that the tests are. */
const LIMITS = { silenceMs: 200, lookMs: 100, unreachableMs: 500, askMs: 300 };

describe("a line on which nothing arrives and nothing fails", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  let proxy: TcpProxy;
  let server: Server;
  beforeEach(async () => {
    pair = await createPair();
    proxy = await TcpProxy.open(pair.target.port);
    server = { ...pair.target.server, connection: { ...pair.target.reference, port: proxy.port } };
  });
  afterEach(async () => {
    await proxy.close();
    await pair.drop();
  });

  async function open(): Promise<pg.Client> {
    const client = await connect(server, { purpose: "test" });
    watchSilence(client, { config: () => clientConfig(server, "look"), limits: LIMITS });
    return client;
  }

  test("a query whose server never heard of it fails, and can be tried again", async () => {
    const client = await open();
    proxy.silence();
    const query = client.query("SELECT 1");
    proxy.heal();
    await expect(query).rejects.toThrow(/the connection was silent/);
    const again = await connect(server, { purpose: "test" });
    expect((await again.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await again.end();
  });

  test("a server that answers nobody is given up after a while", async () => {
    const client = await open();
    proxy.silence();
    await expect(client.query("SELECT 1")).rejects.toThrow(/the server answers nobody/);
  }, 60_000);

  test("a pipeline of the apply session fails too", async () => {
    const session = takeOver(await open(), "target");
    proxy.silence();
    const step = session.pipeline([{ sql: "SELECT 1" }]);
    proxy.heal();
    await expect(step).rejects.toThrow("the connection to the target ended");
  });

  test("a statement that works or waits for a lock is left alone, however long it takes", async () => {
    await pair.target.query("CREATE TABLE t (a int)");
    const holder = await pair.target.connect();
    await holder.query("BEGIN; LOCK TABLE t");
    const client = await open();
    const query = client.query("SELECT count(*)::int AS count FROM public.t");
    await sleep(1_500);
    await holder.query("COMMIT");
    expect((await query).rows).toEqual([{ count: 0 }]);
    await Promise.all([holder.end(), client.end()]);
  });

  test("the end of a session does not wait for a goodbye that nobody hears", async () => {
    const client = await connect(server, { purpose: "test" });
    proxy.silence();
    await client.end();
    expect(proxy.connections).toBe(1); // the server's end is still open
  });

  test("what is slow or late arrives in its order", async () => {
    const client = await connect(server, { purpose: "test" });
    proxy.limit(400 * 1024);
    proxy.delay(20);
    const { rows } = await client.query("SELECT g FROM generate_series(1, 20000) g");
    expect(rows.map(({ g }: { g: number }) => Number(g))).toEqual(Array.from({ length: 20_000 }, (_, n) => n + 1));
    await client.end();
  });
});

test.each([
  ["a statement that runs", { state: "active", wait_event: null }, "working"],
  ["one that waits for a lock", { state: "active", wait_event: "relation" }, "working"],
  ["an idle session", { state: "idle", wait_event: "ClientRead" }, "waitingForUs"],
  ["one in a transaction", { state: "idle in transaction", wait_event: "ClientRead" }, "waitingForUs"],
  ["a COPY that wants more", { state: "active", wait_event: "ClientRead" }, "waitingForUs"],
  ["an answer that nobody takes", { state: "active", wait_event: "ClientWrite" }, "waitingForUs"],
  ["a walsender with nothing to send", { state: "active", wait_event: "WalSenderWaitForWal" }, "waitingForUs"],
  ["a walsender that reads WAL", { state: "active", wait_event: "WALRead" }, "working"],
  ["a session of another user", { state: null }, "unknown"],
  ["a server that does not track activities", { state: "disabled" }, "unknown"],
])("%s: %j is %s", (_what, activity, verdict) => {
  expect(verdictOf(activity)).toBe(verdict);
});

test("a worker that takes over reports no figures before it knows those of the worker before", () => {
  const sent: ReportItem[] = [];
  const board = new ProgressBoard({
    databaseName: "a",
    targetDatabaseName: "b",
    send: (items) => sent.push(...items),
    log: createLogger("silent", "test"),
    isTakenOver: true,
  });
  board.change({ step: "checking source and target" });
  board.table({ schema: "public", name: "t" }, { rowsEstimate: 3 });
  board.flush();
  expect(sent).toEqual([]);
  board.resumeAt("READY_TO_COMPLETE", "2026-01-01T00:00:00.000Z");
  board.table({ schema: "public", name: "t" }, { state: "COMPLETED", inserts: 7 });
  board.open();
  board.close();
  expect(sent).toMatchObject([
    { kind: "database", state: "READY_TO_COMPLETE", inserts: 7, fullLoadCompletedTables: 1 },
    { kind: "table", state: "COMPLETED", inserts: 7 },
  ]);
});
