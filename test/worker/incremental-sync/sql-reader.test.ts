import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { formatLsn } from "../../../contracts/lsn.ts";
import { type Frame, FRAME_HEADER_BYTES, frameLsn, frameSentAtMs } from "../../../worker/incremental-sync/change-source.ts";
import { CHUNK_COLUMNS, SqlReader } from "../../../worker/incremental-sync/sql-reader.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

let source: TestDatabase;
beforeAll(async () => {
  source = await createDatabase("source", inject("postgres17Port"));
});
afterAll(() => source.drop());

/** A chunk of rows as the decoding functions give them. */
const chunk = (rows: string): string =>
  `COPY (SELECT ${CHUNK_COLUMNS} FROM (VALUES ${rows}) AS rows (lsn, data)) TO STDOUT (FORMAT binary)`;
const row = (lsn: string, text: string): string => `('${lsn}'::pg_lsn, '${text}'::bytea)`;

async function openReader(): Promise<{ reader: SqlReader; frames: Frame[]; controller: AbortController }> {
  const controller = new AbortController();
  const frames: Frame[] = [];
  const session = { purpose: "test", clientEncoding: "UTF8", settings: {} };
  const reader: SqlReader = await SqlReader.open(source.server, session, {
    signal: controller.signal,
    onFrame: (frame) => {
      frames.push(frame);
      if (frames.length === 1) reader.pause();
    },
  });
  return { reader, frames, controller };
}

const told = (frame: Frame): unknown[] => [
  formatLsn(frameLsn(frame)),
  frame.bytes.toString("latin1", frame.start + FRAME_HEADER_BYTES, frame.end),
  frameSentAtMs(frame),
];

test("rows come as the frames of a stream do, each chunk at its turn; a pause at the end of one does not hold up the next", async () => {
  const { reader, frames } = await openReader();
  const first = reader.ask(chunk([row("0/10", "Bxy"), row("A/20", "Iabc"), row("A/30", "C")].join(", ")));
  await first.decoded;
  expect(frames).toEqual([]);
  expect(await first.take(1_000)).toMatchObject({ messages: 3, transactions: 1 });
  expect(frames.map(told)).toEqual([
    ["0/10", "Bxy", 1_000],
    ["A/20", "Iabc", 1_000],
    ["A/30", "C", 1_000],
  ]);
  const second = reader.ask(chunk(row("A/40", "B")));
  await second.decoded;
  reader.resume();
  expect(await second.take(2_000)).toMatchObject({ messages: 1, transactions: 0 });
  expect(told(frames[3] as Frame)).toEqual(["A/40", "B", 2_000]);
  const none = reader.ask(chunk(row("0/1", "B")).replace(") TO STDOUT", " WHERE false) TO STDOUT"));
  await none.decoded;
  expect(await none.take(3_000)).toMatchObject({ messages: 0, transactions: 0 });
  reader.destroy();
});

test("a chunk of many reads of the socket comes whole, and what the source says against one is thrown", async () => {
  const { reader, frames } = await openReader();
  const many = `COPY (SELECT ${CHUNK_COLUMNS} FROM (SELECT '0/1'::pg_lsn + g AS lsn, convert_to(repeat('x', g % 3000), 'UTF8') AS data
    FROM generate_series(1, 5000) g) rows) TO STDOUT (FORMAT binary)`;
  const large = reader.ask(many);
  await large.decoded;
  const taken = large.take(0);
  reader.resume();
  await taken;
  expect(frames.map((frame) => frame.end - frame.start - FRAME_HEADER_BYTES)).toEqual(
    Array.from({ length: 5000 }, (_, n) => (n + 1) % 3000),
  );
  const refused = reader.ask(chunk(`('0/1'::pg_lsn, (1 / 0)::text::bytea)`));
  await expect(refused.decoded).rejects.toThrow("division by zero");
  await expect(refused.take(0)).rejects.toThrow("division by zero");
  reader.destroy();
});
