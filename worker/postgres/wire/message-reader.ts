import { BACKEND, HEADER_BYTES } from "./message-types.ts";

/** A message that is held in memory whole (everything but COPY data in passing) may not be larger than this. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

export interface MessageSink {
  /** One whole message. The body is only good during the call: copy what is kept. */
  readonly onMessage: (type: number, body: Buffer) => void;
  /**
   * One whole CopyData message where it lies, for who reads millions of them: a view of each one costs more than to read it.
   * The bytes are never written to again. Without this, such messages come as the others do.
   */
  readonly onCopyData?: (bytes: Buffer, start: number, end: number) => void;
  /** A stretch of CopyData messages, headers included, cut where the network cut it. */
  readonly onCopyBytes: (bytes: Buffer) => void;
}

/**
 * Cuts what arrives from a server into messages. While `passesCopyData` is on, CopyData messages are handed on as they
 * came, in pieces of any size, found by hopping from header to header: nothing is copied and nothing is gathered.
 */
export class MessageReader {
  passesCopyData = false;

  private frames = 0;
  private readonly sink: MessageSink;
  private readonly header = Buffer.alloc(HEADER_BYTES);
  private headerBytes = 0;
  private body: Buffer | undefined;
  private bodyType = 0;
  private bodyBytes = 0;
  private passRemaining = 0;

  constructor(sink: MessageSink) {
    this.sink = sink;
  }

  /** A CopyData message was handed on in part: whoever received it is in the middle of a message. */
  get isInsideFrame(): boolean {
    return this.passRemaining > 0;
  }

  /** CopyData messages begun since the last time that this was asked. */
  takeFrames(): number {
    const { frames } = this;
    this.frames = 0;
    return frames;
  }

  /** @throws RangeError when the bytes are no messages or a message is too large. */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.passRemaining > 0) at = this.passOn(chunk, at);
      else if (this.body) at = this.fillBody(chunk, at, this.body);
      else at = this.startMessage(chunk, at);
    }
  }

  private passOn(chunk: Buffer, from: number): number {
    let next = from + this.passRemaining;
    while (next + HEADER_BYTES <= chunk.length && chunk[next] === BACKEND.copyData) {
      next += 1 + chunk.readUInt32BE(next + 1);
      this.frames++;
    }
    const end = Math.min(next, chunk.length);
    this.passRemaining = next - end;
    this.sink.onCopyBytes(from === 0 && end === chunk.length ? chunk : chunk.subarray(from, end));
    return end;
  }

  private startMessage(chunk: Buffer, at: number): number {
    const isSplit = this.headerBytes > 0 || chunk.length - at < HEADER_BYTES;
    let afterHeader = at + HEADER_BYTES;
    if (isSplit) {
      const copied = chunk.copy(this.header, this.headerBytes, at, at + HEADER_BYTES - this.headerBytes);
      this.headerBytes += copied;
      afterHeader = at + copied;
      if (this.headerBytes < HEADER_BYTES) return afterHeader;
      this.headerBytes = 0;
    }
    const [header, start] = isSplit ? [this.header, 0] : [chunk, at];
    const type = header[start] ?? 0;
    const length = header.readUInt32BE(start + 1) - 4;
    if (length < 0) throw new RangeError("the server sent a message with an impossible length");
    if (type === BACKEND.copyData && this.passesCopyData) return this.startPassing(isSplit, at, afterHeader, length);
    return this.startBody(type, length, chunk, afterHeader);
  }

  private startPassing(isSplit: boolean, at: number, afterHeader: number, length: number): number {
    this.frames++;
    if (!isSplit) {
      this.passRemaining = HEADER_BYTES + length;
      return at;
    }
    this.passRemaining = length;
    this.sink.onCopyBytes(Buffer.from(this.header));
    return afterHeader;
  }

  private startBody(type: number, length: number, chunk: Buffer, from: number): number {
    if (length > MESSAGE_BYTES_MAX) throw new RangeError(`the server sent a message of ${length} bytes; ${MESSAGE_BYTES_MAX} is the most`);
    if (from + length <= chunk.length) {
      if (type === BACKEND.copyData && this.sink.onCopyData) this.sink.onCopyData(chunk, from, from + length);
      else this.sink.onMessage(type, chunk.subarray(from, from + length));
      return from + length;
    }
    this.body = Buffer.allocUnsafe(length);
    this.bodyType = type;
    this.bodyBytes = 0;
    return this.fillBody(chunk, from, this.body);
  }

  private fillBody(chunk: Buffer, from: number, body: Buffer): number {
    const copied = chunk.copy(body, this.bodyBytes, from, Math.min(chunk.length, from + body.length - this.bodyBytes));
    this.bodyBytes += copied;
    if (this.bodyBytes === body.length) {
      this.body = undefined;
      if (this.bodyType === BACKEND.copyData && this.sink.onCopyData) this.sink.onCopyData(body, 0, body.length);
      else this.sink.onMessage(this.bodyType, body);
    }
    return from + copied;
  }
}
