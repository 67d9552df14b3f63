import { FRONTEND, HEADER_BYTES } from "./message-types.ts";

const CHUNK_BYTES_FIRST = 8 * 1024;
const CHUNK_BYTES = 64 * 1024;

/** Values larger than this are sent from where they are instead of being copied into a chunk. */
const COPIED_BYTES_MAX = 16 * 1024;

/** COPY data is gathered into messages of at least this size. */
const COPY_FRAME_BYTES = 64 * 1024;

/** Joins the messages that we send into few writes. Small parts are copied together, large ones sent as they are. */
export class MessageWriter {
  private readonly send: (bytes: Buffer) => void;
  private chunk = Buffer.allocUnsafe(CHUNK_BYTES_FIRST);
  private used = 0;

  constructor(send: (bytes: Buffer) => void) {
    this.send = send;
  }

  /** Sends what has been gathered. */
  flush(): void {
    if (this.used === 0) return;
    this.send(this.chunk.subarray(0, this.used));
    this.chunk = this.chunk.subarray(this.used);
    this.used = 0;
  }

  query(sql: string): void {
    const text = Buffer.from(sql, "utf8");
    this.header(FRONTEND.query, text.length + 1);
    this.bytes(text);
    this.byte(0);
  }

  parse(name: string, sql: string, paramOids: readonly number[]): void {
    const nameBytes = Buffer.from(name, "utf8");
    const text = Buffer.from(sql, "utf8");
    this.header(FRONTEND.parse, nameBytes.length + text.length + 4 + 4 * paramOids.length);
    this.cString(nameBytes);
    this.cString(text);
    this.int16(paramOids.length);
    for (const oid of paramOids) this.int32(oid);
  }

  /** Binds the unnamed portal; parameters and results in text form. */
  bind(name: string, values: readonly (Buffer | null)[]): void {
    const nameBytes = Buffer.from(name, "utf8");
    let valueBytes = 0;
    for (const value of values) valueBytes += 4 + (value?.length ?? 0);
    this.header(FRONTEND.bind, 1 + nameBytes.length + 1 + 2 + 2 + valueBytes + 2);
    this.byte(0);
    this.cString(nameBytes);
    this.int16(0);
    this.int16(values.length);
    for (const value of values) {
      this.int32(value === null ? -1 : value.length);
      if (value !== null) this.bytes(value);
    }
    this.int16(0);
  }

  /** Runs the unnamed portal to its end. */
  execute(): void {
    this.header(FRONTEND.execute, 5);
    this.byte(0);
    this.int32(0);
  }

  closeStatement(name: string): void {
    const nameBytes = Buffer.from(name, "utf8");
    this.header(FRONTEND.close, 2 + nameBytes.length);
    this.byte(0x53); // S, a statement
    this.cString(nameBytes);
  }

  sync(): void {
    this.header(FRONTEND.sync, 0);
  }

  copyData(parts: readonly Buffer[], sizeBytes: number): void {
    this.header(FRONTEND.copyData, sizeBytes);
    for (const part of parts) this.bytes(part);
  }

  copyDone(): void {
    this.header(FRONTEND.copyDone, 0);
  }

  copyFail(reason: string): void {
    const text = Buffer.from(reason, "utf8");
    this.header(FRONTEND.copyFail, text.length + 1);
    this.cString(text);
  }

  terminate(): void {
    this.header(FRONTEND.terminate, 0);
  }

  private header(type: number, length: number): void {
    this.reserve(HEADER_BYTES);
    this.chunk[this.used] = type;
    this.chunk.writeUInt32BE(length + 4, this.used + 1);
    this.used += HEADER_BYTES;
  }

  private cString(text: Buffer): void {
    this.bytes(text);
    this.byte(0);
  }

  private bytes(bytes: Buffer): void {
    if (bytes.length > COPIED_BYTES_MAX) {
      this.flush();
      this.send(bytes);
      return;
    }
    this.reserve(bytes.length);
    bytes.copy(this.chunk, this.used);
    this.used += bytes.length;
  }

  private byte(value: number): void {
    this.reserve(1);
    this.chunk[this.used++] = value;
  }

  private int16(value: number): void {
    this.reserve(2);
    this.used = this.chunk.writeUInt16BE(value, this.used);
  }

  private int32(value: number): void {
    this.reserve(4);
    this.used = this.chunk.writeInt32BE(value | 0, this.used);
  }

  private reserve(sizeBytes: number): void {
    if (this.chunk.length - this.used >= sizeBytes) return;
    this.flush();
    // What was sent may not be written over, so the rest of the chunk is left and a new one begun.
    this.chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  }
}

/** Groups small pieces of COPY data, so that a row does not cost a message. */
export function* copyFrames(pieces: Iterable<Buffer>): Generator<{ readonly parts: readonly Buffer[]; readonly sizeBytes: number }> {
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  for (const piece of pieces) {
    parts.push(piece);
    sizeBytes += piece.length;
    if (sizeBytes < COPY_FRAME_BYTES) continue;
    yield { parts, sizeBytes };
    parts = [];
    sizeBytes = 0;
  }
  if (sizeBytes > 0) yield { parts, sizeBytes };
}
