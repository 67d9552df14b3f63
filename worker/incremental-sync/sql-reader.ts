import { type Socket } from "node:net";
import type pg from "pg";
import { connect } from "../postgres/connect.ts";
import { CopyExchange } from "../postgres/pipe-copy.ts";
import { type RawSession, takeOver } from "../postgres/raw-session.ts";
import { type Server } from "../postgres/server.ts";
import { waitsWhen } from "../postgres/silence.ts";
import { MessageReader } from "../postgres/wire/message-reader.ts";
import { FRAME_HEADER_BYTES, type Frame } from "./change-source.ts";
import { SocketValve } from "./socket-valve.ts";

/**
 * The columns of a chunk. Written by COPY in binary they put a message's position where the frames of a stream have it: number of
 * columns (2 bytes), then each column's length (4) and value; with the second one the message begins 30 bytes behind the row.
 */
export const CHUNK_COLUMNS = "lsn, 0::pg_catalog.int8, data";
const MESSAGE_AT = 2 + (4 + 8) + (4 + 8) + 4;

/** Of a COPY in binary: the signature, no flags, no extension (manual, COPY, "Binary Format"). It comes with the first row. */
const COPY_HEADER_BYTES = 11 + 4 + 4;
/** The number of columns that says that no row follows. */
const COPY_TRAILER_BYTES = 2;

/** pgoutput's message of a commit. */
export const COMMIT = 0x43; // C

/** What a chunk was found to be. */
export interface ChunkSize {
  messages: number;
  transactions: number;
  bytes: number;
  /** How long the source took to decode it, with what it had to decode again for it. */
  decodingMs: number;
}

/** A part of the backlog that was asked for. */
export interface Chunk {
  /** Resolves when the source has decoded it: the slot is free again, and the rows wait on the source. */
  readonly decoded: Promise<void>;
  /** Reads the rows. Resolves when all of them have been handed on. @param sentAtMs now, by the source's clock */
  take(sentAtMs: number): Promise<ChunkSize>;
}

/** One session that reads chunks of a backlog, one after the other. */
export class SqlReader {
  readonly #raw: RawSession;
  readonly #valve: SocketValve;
  readonly #onFrame: (frame: Frame) => void;
  #isTurn = false;
  #isHeld = false;
  #sentAtMs = 0;

  private constructor(client: pg.Client, signal: AbortSignal, onFrame: (frame: Frame) => void) {
    this.#raw = takeOver(client, "source", signal);
    this.#valve = new SocketValve(this.#raw.stream as Socket);
    this.#onFrame = onFrame;
    // While the valve is closed it is our turn, and a source that waits for us waits rightly.
    waitsWhen(client, () => this.#raw.isServersTurn && !this.#valve.isClosed);
  }

  /**
   * @param settings of the session; those that the server refuses are left as they are.
   * @throws what connecting throws
   */
  static async open(
    source: Server,
    options: { readonly purpose: string; readonly clientEncoding: string; readonly settings: Readonly<Record<string, string>> },
    { signal, onFrame }: { readonly signal: AbortSignal; readonly onFrame: (frame: Frame) => void },
  ): Promise<SqlReader> {
    const { purpose, clientEncoding, settings } = options;
    const client = await connect(source, { purpose, clientEncoding });
    for (const [name, value] of Object.entries(settings))
      await client.query("SELECT set_config($1, $2, false)", [name, value]).catch(() => undefined);
    return new SqlReader(client, signal, onFrame);
  }

  /** Asks for a chunk. Its rows stay on the source until they are taken. @param sql COPY … TO STDOUT of CHUNK_COLUMNS, in binary */
  ask(sql: string): Chunk {
    const waiting: Frame[] = [];
    const size: ChunkSize = { messages: 0, transactions: 0, bytes: 0, decodingMs: 0 };
    const askedMs = performance.now();
    const rows = new MessageReader({
      onMessage: () => undefined,
      onCopyBytes: () => undefined,
      onCopyData: (bytes, start, end) => {
        const frame = this.#frameOf(bytes, size.bytes === 0 ? start + COPY_HEADER_BYTES : start, end, size);
        if (frame && this.#isTurn) this.#onFrame(frame);
        else if (frame) waiting.push(frame);
      },
    });
    let onDecoded: () => void = () => undefined;
    const decoded = new Promise<void>((resolve) => (onDecoded = resolve));
    const done = this.#copy(sql, (bytes) => {
      if (size.decodingMs === 0) size.decodingMs = performance.now() - askedMs;
      onDecoded();
      if (!this.#isTurn) this.#valve.close();
      rows.feed(bytes);
    });
    done.catch(() => undefined);
    // The pause may have come with the last rows of the chunk before. That this one is decoded must be seen all the same.
    this.#valve.open();
    const take = async (sentAtMs: number): Promise<ChunkSize> => {
      this.#isTurn = true;
      this.#sentAtMs = sentAtMs;
      for (const frame of waiting.splice(0)) this.#onFrame({ ...frame, sentAtMs });
      if (!this.#isHeld) this.#valve.open();
      await done;
      this.#isTurn = false;
      return size;
    };
    return { decoded: Promise.race([decoded, done]), take };
  }

  /** Nothing is handed on until resume(). */
  pause(): void {
    this.#isHeld = true;
    if (this.#isTurn) this.#valve.close();
  }

  resume(): void {
    this.#isHeld = false;
    if (this.#isTurn) this.#valve.open();
  }

  destroy(): void {
    this.#raw.destroy();
  }

  async #copy(sql: string, onCopyBytes: (bytes: Buffer) => void): Promise<void> {
    const { reader } = this.#raw;
    const answer = new CopyExchange(() => (reader.passesCopyData = true));
    await this.#raw.exchange(answer, (writer) => writer.query(sql), { onCopyBytes });
    reader.passesCopyData = false;
    if (answer.error) throw answer.error;
  }

  /** @param at where the row begins. @returns undefined for the end of the COPY */
  #frameOf(bytes: Buffer, at: number, end: number, size: ChunkSize): Frame | undefined {
    size.bytes += end - at + COPY_HEADER_BYTES; // never 0 behind the first row
    if (end - at <= COPY_TRAILER_BYTES) return undefined;
    size.messages++;
    if (bytes[at + MESSAGE_AT] === COMMIT) size.transactions++;
    return { bytes, start: at + MESSAGE_AT - FRAME_HEADER_BYTES, end, sentAtMs: this.#sentAtMs };
  }
}
