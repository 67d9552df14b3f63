import type pg from "pg";
import { type Lsn } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { type Change } from "../../worker/incremental-sync/change.ts";
import { copyText } from "../../worker/incremental-sync/copy-text.ts";
import { PgoutputDecoder } from "../../worker/incremental-sync/decoder.ts";
import { fold } from "../../worker/incremental-sync/fold.ts";
import { type SyncTarget } from "../../worker/incremental-sync/sync-table.ts";
import { columnOffsets, kindAt, NULL_KIND, type Tuple, valueEnd } from "../../worker/incremental-sync/tuple.ts";
import { quoteName, quoteNames } from "../../worker/postgres/quote.ts";
import { takeOver } from "../../worker/postgres/raw-session.ts";
import { readTables } from "../../worker/source/catalog.ts";
import { loadSchema } from "./data.ts";
import { type SuiteOptions } from "./load.ts";
import { processesOf, TICKS_PER_SECOND } from "./meter.ts";
import { addSample, newWork, rotated, type Sample, type Work } from "./run.ts";
import { type BenchServer } from "./servers.ts";

const DATABASE = "stream_format";
const SLOT = "stream_format";
const FORMATS = ["text", "binary"] as const;
type Format = (typeof FORMATS)[number];

/** As the worker's setting applyGroupMaxChanges. */
const GROUP_CHANGES = 20_000;

interface Kind {
  readonly name: string;
  readonly table: "narrow" | "wide";
  readonly isUpdate: boolean;
  readonly sql: (rows: number) => string;
}

/** The rows of the load's tables; values that go to TOAST are left out, which both formats send alike. */
const KINDS: readonly Kind[] = [
  {
    name: "inserts of narrow rows",
    table: "narrow",
    isUpdate: false,
    sql: (rows) => `INSERT INTO narrow SELECT i, i % 50 + 1, (i * 7919::bigint % 10000)::int, '' FROM generate_series(1, ${rows}) i`,
  },
  { name: "updates of narrow rows", table: "narrow", isUpdate: true, sql: () => "UPDATE narrow SET abalance = abalance + 1" },
  {
    name: "inserts of wide rows",
    table: "wide",
    isUpdate: false,
    sql: (rows) => `INSERT INTO wide SELECT i, md5(i::text)::uuid, 'name ' || i % 10007 || ' ' || md5((i * 3)::text),
      jsonb_build_object('a', i, 'b', md5((i * 5)::text), 'c', jsonb_build_array(i % 7, i % 11)), decode(md5((i * 7)::text), 'hex'),
      (i * 104729::bigint % 100000000) / 10000.0, '2024-01-01'::timestamptz + i * interval '7 seconds', i % 3 = 0, (i * 7919::bigint % 1000000)::int,
      i / 3.0, ARRAY[md5((i % 100)::text), 't' || i % 10], repeat(md5((i * 11)::text), 4) FROM generate_series(1, ${rows}) i`,
  },
  {
    name: "updates of wide rows",
    table: "wide",
    isUpdate: true,
    sql: () => "UPDATE wide SET n = n + 1, changed = changed + interval '1 s'",
  },
];

/**
 * What the stream would cost in each of pgoutput's two formats: the CPU time of the source's decoding, of the worker from the
 * message to the COPY data, and of the target's apply, part by part, so that nothing but the format differs. The value is
 * their sum, for a million changes.
 */
export async function benchStreamFormat(options: SuiteOptions): Promise<Work[]> {
  const { pair, rounds, isQuick, say } = options;
  const rows = isQuick ? 50_000 : 400_000;
  for (const server of [pair.source, pair.target]) {
    await server.run("postgres", `CREATE DATABASE ${DATABASE}`);
    await server.run(DATABASE, loadSchema);
  }
  await pair.source.run(
    DATABASE,
    "CREATE PUBLICATION bench FOR ALL TABLES",
    `SELECT pg_create_logical_replication_slot('${SLOT}', 'pgoutput')`,
  );
  const works: Work[] = [];
  for (const kind of KINDS) {
    const work = newWork("stream-format", `stream of ${kind.name}`, [], [`CPU seconds of a million changes, from ${rows}`]);
    await pair.source.run(DATABASE, kind.sql(rows));
    for (let round = 0; round < rounds; round++)
      for (const format of rotated(FORMATS, round)) {
        const sample = await sampleOf(options, kind, format, rows);
        addSample(work, format, sample);
        say(`${work.name}, round ${round + 1}: ${format} ${sample.value.toFixed(2)} s`);
      }
    await pair.target.run(DATABASE, kind.sql(rows));
    await pair.source.run(DATABASE, `SELECT count(*) FROM pg_logical_slot_get_binary_changes('${SLOT}', NULL, NULL, ${optionsOf("text")})`);
    works.push(work);
  }
  return works;
}

const optionsOf = (format: Format): string => `'proto_version', '1', 'publication_names', 'bench', 'binary', '${format === "binary"}'`;

/** Each part by itself: decoding without sending, serialising without a server, applying what was serialised before. */
async function sampleOf({ pair }: SuiteOptions, kind: Kind, format: Format, rows: number): Promise<Sample> {
  const targets = await targetsOf(pair.target);
  const messages: Buffer[] = [];
  let groups: Buffer[][] = [];
  const parts = {
    source: await decodingSeconds(pair.source, format, messages),
    worker: workerSeconds(() => (groups = groupsOf(messages, targets, format))),
    target: await applySeconds(pair.target, kind, format, groups, targets),
  };
  const perMillion = (seconds: number): number => (seconds * 1e6) / rows;
  const usage = Object.entries(parts).map(([part, seconds]) => [part, { cpuSeconds: perMillion(seconds), peakMB: 0 }]);
  return { value: perMillion(parts.source + parts.worker + parts.target), usage: Object.fromEntries(usage) as Sample["usage"] };
}

async function decodingSeconds(source: BenchServer, format: Format, into: Buffer[]): Promise<number> {
  const client = await source.connect(DATABASE);
  const from = `FROM pg_logical_slot_peek_binary_changes('${SLOT}', NULL, NULL, ${optionsOf(format)})`;
  await client.query("SET logical_decoding_work_mem = '1GB'");
  const seconds = await secondsOf(client, () => client.query(`SELECT sum(length(data)) ${from}`));
  for (const { data } of (await client.query<{ data: Buffer }>(`SELECT data ${from}`)).rows) into.push(data);
  await client.end();
  return seconds;
}

function workerSeconds(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** As the worker applies them, in one transaction that is taken back, so that the next format finds the same rows. */
async function applySeconds(
  target: BenchServer,
  { table, isUpdate }: Kind,
  format: Format,
  groups: readonly Buffer[][],
  targets: ReadonlyMap<string, SyncTarget>,
): Promise<number> {
  const client = await target.connect(DATABASE);
  await client.query(`SET session_replication_role = replica; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
    CREATE TEMP TABLE staged AS SELECT * FROM ${table} WITH NO DATA`);
  const columns = [...(targets.get(tableKey({ schema: "public", name: table }))?.targetColumns.keys() ?? [])];
  const [key = "", ...others] = columns;
  const copy = `COPY ${isUpdate ? "pg_temp.staged" : table} (${quoteNames(columns)}) FROM STDIN (FORMAT ${format})`;
  const set = others.map((name) => `${quoteName(name)} = s.${quoteName(name)}`).join(", ");
  const update = `UPDATE ONLY ${table} t SET ${set} FROM pg_temp.staged s WHERE t.${quoteName(key)} = s.${quoteName(key)}`;
  const steps = groups.flatMap((copyData) => [
    { sql: copy, copyData },
    ...(isUpdate ? [{ sql: update }, { sql: "TRUNCATE pg_temp.staged" }] : []),
  ]);
  const pid = await pidOf(client);
  const raw = takeOver(client, "target");
  const backend = processesOf("target", () => [pid]);
  const before = backend.ticks();
  const results = await raw.pipeline([{ sql: "BEGIN" }, ...steps, { sql: "ROLLBACK" }]);
  const ticks = backend.ticks() - before;
  await raw.end();
  for (const { error } of results) if (error) throw error;
  return ticks / TICKS_PER_SECOND;
}

const pidOf = async (client: pg.Client): Promise<number> =>
  (await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid")).rows[0]?.pid ?? 0;

async function secondsOf(client: pg.Client, work: () => Promise<unknown>): Promise<number> {
  const pid = await pidOf(client);
  const backend = processesOf("source", () => [pid]);
  const before = backend.ticks();
  await work();
  return (backend.ticks() - before) / TICKS_PER_SECOND;
}

async function targetsOf(target: BenchServer): Promise<Map<string, SyncTarget>> {
  const client = await target.connect(DATABASE);
  const found = await readTables(client, 170_000);
  await client.end();
  return new Map(
    found.map(({ schema, name, columns, primaryKey }) => [
      tableKey({ schema, name }),
      {
        schema,
        name,
        target: { schema, name },
        isTargetPartitioned: false,
        targetColumns: new Map(columns.map((column) => [column.name, column])),
        sourceColumns: columns.map((column) => column.name),
        keyColumns: primaryKey,
        snapshotLsn: 0n as Lsn,
        isInsertOnly: false,
      },
    ]),
  );
}

/** From the messages to the data of each group's COPY. */
function groupsOf(messages: readonly Buffer[], targets: ReadonlyMap<string, SyncTarget>, format: Format): Buffer[][] {
  const decoder = new PgoutputDecoder(targets);
  const groups: Buffer[][] = [];
  let changes: Change[] = [];
  const close = (): void => {
    for (const segment of fold(changes)) {
      if (segment.kind === "single") throw new Error("a change that stands alone has no place in this bench");
      for (const { table, updates, inserts } of segment.tables) {
        const positions = table.columns.map(({ position }) => position);
        const rows = [...updates, ...inserts];
        groups.push(format === "text" ? [...copyText(rows, positions)] : copyBinary(rows, positions));
      }
    }
    changes = [];
  };
  for (const message of messages) {
    const event = decoder.decode(message);
    if (event.kind === "insert" || event.kind === "update") changes.push(event);
    if (changes.length === GROUP_CHANGES) close();
  }
  close();
  return groups;
}

/** COPY's binary format (manual, COPY, "Binary Format"): what the worker would write if it took pgoutput's binary values. */
function copyBinary(rows: readonly Tuple[], positions: readonly number[]): Buffer[] {
  const offsets: number[] = [];
  const pieces: Buffer[] = [Buffer.from("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", "latin1")];
  let piece = Buffer.allocUnsafe(65_536);
  let at = 0;
  for (const row of rows) {
    columnOffsets(row, offsets);
    if (at + row.end - row.start + 4 * positions.length + 2 > piece.length) {
      pieces.push(piece.subarray(0, at));
      piece = Buffer.allocUnsafe(65_536);
      at = 0;
    }
    at = piece.writeInt16BE(positions.length, at);
    for (const position of positions) {
      const from = offsets[position] as number;
      if (kindAt(row, from) === NULL_KIND) at = piece.writeInt32BE(-1, at);
      else at += row.bytes.copy(piece, at, from + 1, valueEnd(row.bytes, from));
    }
  }
  pieces.push(piece.subarray(0, at), Buffer.of(0xff, 0xff));
  return pieces;
}
