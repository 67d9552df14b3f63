import { type Duplex } from "node:stream";

/** Codes that stand where a version stands in the first message of a client (manual, 55.7 "Message Formats"). */
const PROTOCOL_3 = 196_608;

const QUERY = 0x51; // Q
const SYNC = 0x53; // S
const READY_FOR_QUERY = 0x5a; // Z

/**
 * Passes messages between a pg_dump and a session that is logged in already. The dump's start-up is answered here; all that
 * follows goes to the server, and after a Query or Sync the answer is complete when the server says ReadyForQuery.
 */
export class DumpRelay {
  private readonly stream: Duplex;
  private readonly serverVersion: string;
  private hasStarted = false;
  /** Of the client: the beginning of a message whose rest is still to come. */
  private unfinished: Buffer = Buffer.alloc(0);
  private readonly answer: Buffer[] = [];
  /** Of the server: bytes that are not yet a whole message. */
  private partial: Buffer = Buffer.alloc(0);
  private readyDue = 0;
  private wake: (() => void) | undefined;
  private isClosed = false;

  constructor(stream: Duplex, serverVersion: string) {
    this.stream = stream;
    this.serverVersion = serverVersion;
    stream.on("data", (chunk: Buffer) => this.onServerBytes(chunk));
    stream.on("error", () => this.onClosed());
    stream.on("close", () => this.onClosed());
  }

  /** Takes what the dump wrote; gives what it may read now, empty when nothing is due yet. */
  async exchange(bytes: Buffer): Promise<Buffer> {
    this.unfinished = Buffer.concat([this.unfinished, bytes]);
    if (!this.hasStarted) return this.start();
    this.forward();
    while (this.readyDue > 0 && !this.isClosed) await new Promise<void>((resolve) => (this.wake = resolve));
    if (this.readyDue > 0) this.answer.push(errorResponse("the connection to the server ended"));
    return Buffer.concat(this.answer.splice(0));
  }

  /** The start-up message, or a request for encryption, which is not needed between two threads. */
  private start(): Buffer {
    if (this.unfinished.length < 8 || this.unfinished.length < this.unfinished.readUInt32BE(0)) return Buffer.alloc(0);
    const length = this.unfinished.readUInt32BE(0);
    const code = this.unfinished.readUInt32BE(4);
    this.unfinished = this.unfinished.subarray(length);
    if (code >>> 16 !== PROTOCOL_3 >>> 16) return Buffer.from("N");
    this.hasStarted = true;
    return startupAnswer(this.serverVersion);
  }

  /** Sends on all whole messages, and counts the answers that they call for. */
  private forward(): void {
    let end = 0;
    while (this.unfinished.length - end >= 5) {
      const next = end + 1 + this.unfinished.readUInt32BE(end + 1);
      if (next > this.unfinished.length) break;
      const type = this.unfinished[end];
      if (type === QUERY || type === SYNC) this.readyDue++;
      end = next;
    }
    if (end > 0) this.stream.write(this.unfinished.subarray(0, end));
    this.unfinished = this.unfinished.subarray(end);
  }

  private onServerBytes(chunk: Buffer): void {
    this.answer.push(chunk);
    const bytes = this.partial.length > 0 ? Buffer.concat([this.partial, chunk]) : chunk;
    let at = 0;
    while (bytes.length - at >= 5) {
      const next = at + 1 + bytes.readUInt32BE(at + 1);
      if (next > bytes.length) break;
      if (bytes[at] === READY_FOR_QUERY) this.readyDue--;
      at = next;
    }
    this.partial = bytes.subarray(at);
    if (this.readyDue <= 0) this.wake?.();
  }

  private onClosed(): void {
    this.isClosed = true;
    this.wake?.();
  }
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** What a server says to a client that it lets in: authentication done, its settings, a process to cancel, ready. */
function startupAnswer(serverVersion: string): Buffer {
  const settings = { server_version: serverVersion, client_encoding: "UTF8", standard_conforming_strings: "on", integer_datetimes: "on" };
  return Buffer.concat([
    message("R", Buffer.alloc(4)),
    ...Object.entries(settings).map(([name, value]) => message("S", Buffer.from(`${name}\0${value}\0`))),
    message("K", Buffer.alloc(8)),
    message("Z", Buffer.from("I")),
  ]);
}

const errorResponse = (text: string): Buffer => message("E", Buffer.from(`SFATAL\0VFATAL\0C08006\0M${text}\0\0`));
