import { type Socket } from "node:net";
import pg, { type Client, type ClientConfig } from "pg";
import { LogicalReplicationService } from "pg-logical-replication";
import { MigrationError } from "../../contracts/errors.ts";
import { formatLsn, LSN_ZERO, type Lsn } from "../../contracts/lsn.ts";
import { quoteLiteral, quoteName } from "../postgres/quote.ts";
import { clientConfig, connectError } from "../postgres/connect.ts";
import { ConnectionLost, failureCode } from "../postgres/failures.ts";
import { type Server } from "../postgres/server.ts";
import { waitsWhen, watchSilence } from "../postgres/silence.ts";
import { MessageReader } from "../postgres/wire/message-reader.ts";
import { BACKEND } from "../postgres/wire/message-types.ts";
import { parseServerError } from "../postgres/wire/server-error.ts";
import { type ChangeSource, type Frame, frameLsn, SourceEnd } from "./change-source.ts";
import { readTimeMs } from "./pgoutput.ts";
import { ReadingPace } from "./reading-pace.ts";

/** How often the source is told what is durable, whether or not it asks and however slow the target is. */
const STATUS_INTERVAL_MS = 1_000;

/** A source that was silent for so long is asked for an answer: its own keep-alives stay out while our status comes every second. */
const ASK_AFTER_MS = 5_000;

/** A walsender that was asked to start says at once that it does, or why not. */
const START_MS_MAX = 60_000;

/** What the session asks for, so that a slow target does not make the source hang up (pitfalls, rule 13). */
const WAL_SENDER_TIMEOUT = "120s";

const XLOG_DATA = 0x77; // w
const KEEP_ALIVE = 0x6b; // k

export interface StreamOptions {
  readonly slot: string;
  readonly startLsn: Lsn;
  /** Up to here the slot may forget; earlier than `startLsn` while something may still have to be read again. */
  readonly confirmedLsn?: Lsn;
  readonly plugin: "pgoutput" | "test_decoding";
  /** Publications, for pgoutput. */
  readonly publications: readonly string[];
  /** Large transactions are sent before they end; only where mayStream allows it. */
  readonly streams: boolean;
  readonly sourceVersionNum: number;
  readonly purpose: string;
  readonly clientEncoding: string;
  /** What the source may hold of transactions before it writes them to its disk; undefined: its own setting. */
  readonly decodingMemoryMB: number | undefined;
  /** Ends the wait for a source that does not answer. */
  readonly signal: AbortSignal;
  /** A frame with one message of the plugin, which begins FRAME_HEADER_BYTES behind its start. */
  readonly onMessage: (frame: Frame) => void;
  /** A keep-alive: the source has sent everything before this position, at this time of its own clock (milliseconds since 1970). */
  readonly onKeepAlive: (sentLsn: Lsn, sentAtMs: number) => void;
}

interface ServiceOptions {
  /** Statements that the session begins with. */
  readonly preamble: readonly string[];
  /** How to look after it when it is silent. */
  readonly look: () => Promise<ClientConfig>;
  /** Nobody waits for the connection any more: none is made. */
  readonly isOver: () => boolean;
}

/**
 * The library listens for a client's errors only after it has connected, and takes its listeners off when it stops; an
 * error just before or just after (a walsender that is terminated while it starts) would end the process. Here the client
 * has a listener all its life; what ends the stream is told by the service's own events.
 */
function createService(config: ClientConfig, { preamble, look, isOver }: ServiceOptions): LogicalReplicationService {
  const options = { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: false } };
  const service = new LogicalReplicationService(config, options);
  const inside = service as unknown as ServiceInside;
  inside.client = async () => {
    await service.stop();
    if (isOver()) throw new ConnectionLost("source");
    const client = new pg.Client({ ...config, replication: "database" } as ClientConfig);
    client.on("error", (error) => service.emit("error", error));
    client.removeAllListeners = () => client;
    inside._client = client;
    await client.connect();
    watchSilence(client, { config: look, onlyReads: true });
    for (const sql of preamble) await client.query(sql);
    inside._connection = client.connection;
    return [client, client.connection];
  };
  return service;
}

/** What the library keeps private and this file must reach. */
interface ServiceInside {
  client: () => Promise<[pg.Client, pg.Connection]>;
  _client: pg.Client | null;
  _connection: pg.Connection | null;
}

interface FrameSink {
  readonly onFrame: (frame: Frame) => void;
  /** All that is no CopyData. */
  readonly onMessage: (type: number, body: Buffer, connection: pg.Connection) => void;
}

/**
 * Starts the stream and then reads the socket itself. The library's part is the login, the life of the connection and the
 * status messages; frames are ours, because its parser copies every message, and because how eagerly the socket is read
 * decides how fast the source can send. Fits the library's AbstractPlugin, which it does not export.
 */
class OwnReader {
  readonly options = {};
  readonly name = "frames";
  readonly #command: string;
  readonly #onFrame: (frame: Frame) => void;
  readonly #onMessage: (type: number, body: Buffer, connection: pg.Connection) => void;

  constructor(command: string, { onFrame, onMessage }: FrameSink) {
    this.#command = command;
    this.#onFrame = onFrame;
    this.#onMessage = onMessage;
  }

  parse(buffer: Buffer): Buffer {
    return buffer;
  }

  /** The connection is idle here, so nothing is lost between the two readers. Settles never: events tell the rest. */
  start(client: Client): Promise<unknown> {
    const { connection } = client as unknown as { connection: pg.Connection & { query(sql: string): void } };
    const reader = new MessageReader({
      onMessage: (type, body) => this.#onMessage(type, body, connection),
      onCopyData: (bytes, start, end) => this.#onFrame({ bytes, start, end }),
      onCopyBytes: () => undefined,
    });
    connection.stream.removeAllListeners("data");
    connection.stream.on("data", (chunk: Buffer) => reader.feed(chunk));
    connection.query(this.#command);
    return new Promise(() => undefined);
  }
}

/**
 * The source's change stream: `pg-logical-replication` with its dangerous defaults off. The library keeps the connection
 * and writes the status; this class reads the frames and decides what is confirmed. Switched off, each for a reason:
 * - `acknowledge.auto` confirms what was only received;
 * - `acknowledge.timeoutSeconds` does the same on a timer, also with auto off;
 * - `flowControl` queues parsed messages without bound; here the socket itself is paused.
 */
export class ReplicationStream implements ChangeSource {
  readonly #service: LogicalReplicationService;
  readonly #options: StreamOptions;
  readonly #end = new SourceEnd();
  #statusTimer: NodeJS.Timeout | undefined;
  #durableLsn: Lsn;
  #lastHeardMs = Date.now();
  #onStarted: () => void = () => undefined;
  /** From the start on, and so for everybody who has the stream. */
  #pace: ReadingPace | undefined;
  #isClosed = false;

  private constructor(service: LogicalReplicationService, options: StreamOptions) {
    this.#service = service;
    this.#options = options;
    this.#durableLsn = options.confirmedLsn ?? options.startLsn;
    this.#listen();
  }

  /**
   * Starts streaming from the position.
   * @throws the signal's reason, or what the source says: 55006 while an earlier walsender still holds the slot, 55000 when the slot is lost.
   */
  static async open(source: Server, options: StreamOptions): Promise<ReplicationStream> {
    const config = await clientConfig(source, options.purpose);
    const stream: ReplicationStream = new ReplicationStream(
      createService(
        { ...config, options: sessionOptions(options) },
        { preamble: preamble(options), look: () => clientConfig(source, "look"), isOver: () => stream.#isClosed },
      ),
      options,
    );
    try {
      await stream.#start();
      return stream;
    } catch (thrown) {
      await stream.close();
      throw startFailure(source, options.slot, thrown);
    }
  }

  /** Rejects when the stream ends in any way but close(), or with the signal's reason. */
  failed(signal: AbortSignal): Promise<never> {
    return this.#end.rejected(signal);
  }

  /**
   * Everything before this position is durable on the target; the source may forget it. It is told at once: a worker that
   * ends a moment later leaves nothing to be decoded again, and the source can let its WAL go.
   */
  confirm(durableLsn: Lsn): void {
    if (durableLsn <= this.#durableLsn) return;
    this.#durableLsn = durableLsn;
    if (this.#statusTimer !== undefined) this.#sendStatus();
  }

  get durableLsn(): Lsn {
    return this.#durableLsn;
  }

  /** The target has enough to do: let the source wait. Status messages go on. */
  pause(): void {
    this.#pace?.hold();
  }

  resume(): void {
    this.#pace?.release();
  }

  /** Whether what arrives was committed a while ago: only then does resting cost no latency. */
  setBehind(isBehind: boolean): void {
    this.#pace?.setBehind(isBehind);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#statusTimer);
    this.#pace?.end();
    this.#end.forget();
    this.#service.removeAllListeners();
    // Errors that come a moment later have nobody to tell any more, and must not end the process.
    this.#service.on("error", () => undefined);
    this.#service.removeAllListeners = () => this.#service;
    this.#socket()?.destroy();
    await this.#service.destroy().catch(() => undefined);
  }

  async #start(): Promise<void> {
    const { slot, startLsn } = this.#options;
    const command = `START_REPLICATION SLOT ${quoteName(slot)} LOGICAL ${formatLsn(startLsn)} ${pluginOptions(this.#options)}`;
    const reader = new OwnReader(command, {
      onFrame: (frame) => this.#onFrame(frame),
      onMessage: (type, body, connection) => this.#onMessage(type, body, connection),
    });
    const started = new Promise<void>((resolve) => (this.#onStarted = resolve));
    const failed = this.failed(this.#options.signal);
    failed.catch(() => undefined);
    this.#service.subscribe(reader, slot, formatLsn(startLsn)).catch((thrown: unknown) => this.#fail(thrown));
    const late = setTimeout(() => this.#fail(new ConnectionLost("source")), START_MS_MAX);
    await Promise.race([started, failed]).finally(() => clearTimeout(late));
    this.#lastHeardMs = Date.now();
    const socket = this.#socket();
    this.#pace = socket && new ReadingPace(socket);
    const client = (this.#service as unknown as ServiceInside)._client;
    if (client) waitsWhen(client, () => Date.now() - this.#lastHeardMs > ASK_AFTER_MS);
    socket?.on("data", (chunk: Buffer) => {
      this.#lastHeardMs = Date.now();
      this.#pace?.arrived(chunk.length);
    });
    socket?.once("close", () => this.#fail(new ConnectionLost("source")));
    this.#statusTimer = setInterval(() => this.#tick(), STATUS_INTERVAL_MS);
    this.#sendStatus();
  }

  #listen(): void {
    this.#service.on("error", (failure: Error) => this.#fail(failure));
    this.#service.once("start", () => this.#onStarted());
  }

  #onMessage(type: number, body: Buffer, connection: pg.Connection): void {
    this.#lastHeardMs = Date.now();
    // The library waits for this event to begin with its status messages.
    if (type === BACKEND.copyBothResponse) connection.emit("replicationStart");
    else if (type === BACKEND.errorResponse) this.#fail(parseServerError(body));
    else if (type === BACKEND.copyDone || type === BACKEND.commandComplete) this.#fail(new ConnectionLost("source"));
  }

  /** XLogData or a keep-alive (manual, "Streaming Replication Protocol"). */
  #onFrame(frame: Frame): void {
    if (this.#end.hasCome) return;
    const { bytes, start } = frame;
    if (bytes[start] === XLOG_DATA) {
      this.#options.onMessage(frame);
    } else if (bytes[start] === KEEP_ALIVE) {
      this.#options.onKeepAlive(frameLsn(frame), readTimeMs(bytes, start + 9));
      if (bytes[start + 17] === 1) this.#sendStatus();
    }
  }

  #tick(): void {
    if (this.#pace?.isResting === true) this.#lastHeardMs = Date.now();
    this.#sendStatus(Date.now() - this.#lastHeardMs > ASK_AFTER_MS);
  }

  #sendStatus(asksForAnswer = false): void {
    if (this.#durableLsn <= LSN_ZERO) return;
    // The library adds one to what it is given ("last byte + 1"); our position is that already.
    void this.#service.acknowledge(formatLsn((this.#durableLsn - 1n) as Lsn), asksForAnswer);
  }

  #fail(failure: unknown): void {
    if (this.#end.come(asError(failure ?? new ConnectionLost("source")))) clearInterval(this.#statusTimer);
  }

  /** Also of a connection that is only being made. */
  #socket(): Socket | undefined {
    return (this.#service as unknown as ServiceInside)._client?.connection.stream as Socket | undefined;
  }
}

/** What START_REPLICATION may say of the slot (ReplicationSlotAcquire and CheckSlotRequirements in replication/slot.c). */
const SLOT_LOST = new Set(["42704" /* undefined_object */, "55000" /* object_not_in_prerequisite_state: invalidated */]);

function startFailure(source: Server, slot: string, thrown: unknown): unknown {
  const sqlState = failureCode(thrown);
  if (sqlState !== undefined && SLOT_LOST.has(sqlState))
    return new MigrationError("SlotLost", { detail: `Slot ${slot}.`, sqlState, cause: thrown });
  return connectError(source, thrown);
}

const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** Settings of the replication session; values come out as the target's session reads them (pitfalls 11). */
function sessionOptions({ sourceVersionNum, decodingMemoryMB }: StreamOptions): string {
  const settings = [
    "-c DateStyle=ISO,MDY",
    "-c IntervalStyle=postgres",
    "-c TimeZone=UTC",
    "-c extra_float_digits=3",
    "-c bytea_output=hex",
    "-c lc_monetary=C",
    "-c search_path=pg_catalog",
    "-c quote_all_identifiers=off",
    "-c statement_timeout=0",
    "-c idle_in_transaction_session_timeout=0",
  ];
  // A session may set wal_sender_timeout for itself since 12 (release notes).
  if (sourceVersionNum >= 120_000) settings.push(`-c wal_sender_timeout=${WAL_SENDER_TIMEOUT}`);
  // Any session may set it, since 13 (config.sgml).
  if (decodingMemoryMB !== undefined && sourceVersionNum >= 130_000) settings.push(`-c logical_decoding_work_mem=${decodingMemoryMB}MB`);
  return settings.filter((setting) => sourceVersionNum >= 90_600 || !setting.includes("idle_in_transaction")).join(" ");
}

/**
 * `pg` asks for UTF8 in the start-up packet itself, which comes after its options and so has the last word; a walsender takes
 * SET since 10. The text of test_decoding is never converted.
 */
const preamble = ({ plugin, clientEncoding }: StreamOptions): string[] =>
  plugin === "pgoutput" && clientEncoding !== "UTF8" ? [`SET client_encoding = ${quoteLiteral(clientEncoding)}`] : [];

function pluginOptions({ plugin, publications, streams, sourceVersionNum }: StreamOptions): string {
  if (plugin === "test_decoding") return `("include-xids" '1', "include-timestamp" '1', "skip-empty-xacts" '0')`;
  const names = quoteLiteral(publications.map(quoteName).join(","));
  const messages = sourceVersionNum >= 140_000 ? `, "messages" 'true'` : "";
  const protocol = streams ? `"proto_version" '2', "streaming" 'true'` : `"proto_version" '1'`;
  return `(${protocol}, "publication_names" ${names}${messages})`;
}
