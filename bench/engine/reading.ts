import type pg from "pg";
import { parseLsn } from "../../contracts/lsn.ts";
import { ReplicationStream } from "../../worker/incremental-sync/replication-stream.ts";
import { BacklogRead, SqlBacklog } from "../../worker/incremental-sync/sql-backlog.ts";
import { type Server } from "../../worker/postgres/server.ts";
import { MessageReader } from "../../worker/postgres/wire/message-reader.ts";
import { BACKEND } from "../../worker/postgres/wire/message-types.ts";
import { parseServerError } from "../../worker/postgres/wire/server-error.ts";
import { dropCatchUpSlots } from "../../worker/source/slot.ts";
import { backlog, drainProcedures, drainRows, drainSchema } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { cluster, processesOf } from "./meter.ts";
import { slotIsFree } from "./peers.ts";
import { addSample, measured, newWork, rotated, type Work } from "./run.ts";
import { type BenchServer } from "./servers.ts";

const DATABASE = "reading";
const SLOT = "reading_now";
const PLUGIN_OPTIONS = "'proto_version', '1', 'publication_names', 'bench'";

/** A way to read a backlog; resolves when all of it has arrived. */
type Reader = (source: BenchServer, end: string) => Promise<void>;

const READERS: Readonly<Record<string, Reader>> = {
  "stream, with rests": (source, end) => byStream(source, end, true),
  "stream, always ready": (source, end) => byStream(source, end, false),
  "SQL function, one call": byFunction,
  "SQL function, in parts, as the worker": bySqlBacklog,
};

/**
 * What it costs to get a backlog of small transactions out of the source, with nothing done to it: by the stream and by SQL as the
 * worker does it, and by one call of the SQL function that decodes a slot.
 */
export async function benchReading({ pair: { source }, rounds, isQuick, say }: SuiteOptions): Promise<Work[]> {
  const sizes = {
    accounts: 300_000,
    tpcb: isQuick ? 40_000 : 150_000,
    inserts: 0,
    updates: 1,
    deletes: 1,
    small: isQuick ? 100_000 : 400_000,
  };
  await source.run("postgres", `CREATE DATABASE ${DATABASE}`);
  await source.run(DATABASE, drainSchema, ...drainRows(sizes, 1), drainProcedures, "CREATE PUBLICATION bench FOR ALL TABLES");
  const works: Work[] = [];
  for (const drain of ["small", "tpcb"] as const) {
    const work = newWork(
      "reading",
      `read a backlog: ${drain}`,
      [],
      [`${sizes[drain]} transactions${source.usesTls ? ", over TLS" : ""}; nothing is applied`],
    );
    await source.run(DATABASE, "CHECKPOINT", `SELECT pg_create_logical_replication_slot('${drain}', 'pgoutput')`);
    await source.run(DATABASE, "SET synchronous_commit = off", backlog(drain, sizes, 0), "CHECKPOINT");
    for (let round = 0; round < rounds; round++)
      for (const name of rotated(Object.keys(READERS), round)) {
        const end = await copySlot(source, drain);
        const parts = [cluster("source", source.pid), processesOf("reader", () => [process.pid])];
        const sample = await measured(parts, () => (READERS[name] as Reader)(source, end));
        await slotIsFree(source, DATABASE, SLOT);
        await source.run(DATABASE, `SELECT pg_drop_replication_slot('${SLOT}')`);
        addSample(work, name, sample);
        say(`${work.name}, round ${round + 1}: ${name} ${sample.value.toFixed(2)} s`);
      }
    works.push(work);
  }
  return works;
}

/** Each reader has a slot of its own that begins where the backlog does. @returns the backlog's end */
async function copySlot(source: BenchServer, from: string): Promise<string> {
  const client = await source.connect(DATABASE);
  await client.query("SELECT pg_copy_logical_replication_slot($1, $2)", [from, SLOT]);
  const { rows } = await client.query<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
  await client.end();
  return rows[0]?.lsn ?? "";
}

const serverOf = ({ port, usesTls }: BenchServer): Server => ({
  side: "source",
  connection: {
    serverName: "127.0.0.1",
    port,
    databaseName: DATABASE,
    userName: "postgres",
    credential: { kind: "none" },
    encryptConnection: usesTls,
    trustServerCertificate: true,
  },
  password: () => Promise.resolve(undefined),
});

async function byStream(source: BenchServer, end: string, rests: boolean): Promise<void> {
  const endLsn = parseLsn(end);
  let arrived: () => void = () => undefined;
  const whole = new Promise<void>((resolve) => (arrived = resolve));
  const stream = await ReplicationStream.open(serverOf(source), {
    slot: SLOT,
    startLsn: parseLsn("0/1"), // wherever the slot begins
    plugin: "pgoutput",
    publications: ["bench"],
    streams: false,
    sourceVersionNum: 170_000,
    purpose: "bench",
    clientEncoding: "UTF8",
    decodingMemoryMB: undefined,
    signal: new AbortController().signal,
    onMessage: () => undefined,
    onKeepAlive: (sentLsn) => {
      if (sentLsn >= endLsn) arrived();
    },
  });
  stream.setBehind(rests);
  await whole;
  await stream.close();
}

async function bySqlBacklog(source: BenchServer): Promise<void> {
  const controller = new AbortController();
  const backlog = await SqlBacklog.find(serverOf(source), {
    slot: SLOT,
    taskId: DATABASE,
    epoch: 1,
    startLsn: parseLsn("0/1"), // wherever the slot begins
    confirmedLsn: parseLsn("0/1"),
    bytesMin: 0,
    isKnownSmall: true,
    publications: ["bench"],
    sourceVersionNum: 170_000,
    clientEncoding: "UTF8",
  });
  if (!backlog) throw new Error("there is no backlog");
  await backlog.read({
    signal: controller.signal,
    onMessage: () => undefined,
    onKeepAlive: () => undefined,
    isIdle: () => true,
  });
  const end = await backlog.failed(controller.signal).catch((thrown: unknown) => thrown);
  if (!(end instanceof BacklogRead)) throw end;
  await backlog.close();
  const session = await source.connect(DATABASE);
  await dropCatchUpSlots(session, SLOT, DATABASE).finally(() => session.end());
}

/** All of the backlog in one answer, which the source keeps whole before its first row leaves. */
async function byFunction(source: BenchServer): Promise<void> {
  const reader = await source.connect(DATABASE);
  await readRows(
    reader,
    `COPY (SELECT lsn, data FROM pg_logical_slot_peek_binary_changes('${SLOT}', NULL, NULL, ${PLUGIN_OPTIONS})) TO STDOUT`,
  );
  reader.connection.stream.destroy(); // its socket was read here; nobody is left to say goodbye
}

/** Reads the rows of a COPY from the socket itself, as cheaply as the stream is read. */
function readRows({ connection }: pg.Client, sql: string): Promise<void> {
  connection.stream.removeAllListeners("data");
  return new Promise((resolve, reject) => {
    const messages = new MessageReader({
      onMessage: (type, body) => {
        if (type === BACKEND.errorResponse) reject(parseServerError(body));
        if (type === BACKEND.readyForQuery) resolve();
      },
      onCopyData: () => undefined,
      onCopyBytes: () => undefined,
    });
    connection.stream.on("data", (chunk: Buffer) => messages.feed(chunk));
    (connection as unknown as { query(sql: string): void }).query(sql);
  });
}
