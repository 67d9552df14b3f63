import { type Duplex } from "node:stream";
import type pg from "pg";
import { ConnectionLost } from "./failures.ts";
import { type Side } from "./server.ts";
import { whenAborted } from "../signals.ts";
import { waitsWhen } from "./silence.ts";
import { PreparedExchange, SimpleExchange, type Exchange, type RawResult, type StepResult } from "./wire/exchanges.ts";
import { MessageReader } from "./wire/message-reader.ts";
import { BACKEND } from "./wire/message-types.ts";
import { copyFrames, MessageWriter } from "./wire/message-writer.ts";
import { parseServerError, type ServerError } from "./wire/server-error.ts";

/** Writing stops while this much waits in the socket. */
const SEND_BUFFER_BYTES_MAX = 1024 * 1024;

/** A session that was asked to end is cut off after this. */
const END_TIMEOUT_MS = 2_000;

/**
 * One statement of a pipeline: plain SQL, a COPY FROM STDIN with its data, or a prepared statement with its parameters.
 * Buffers must not change before the pipeline has been answered: large ones are sent from where they are.
 */
export type Step =
  | { readonly sql: string }
  | { readonly sql: string; readonly copyData: Iterable<Buffer> }
  | {
      /** Name of the prepared statement; one name, one text. */
      readonly prepared: string;
      /** Needed the first time that a name is used in this session; does no harm later. */
      readonly parse?: { readonly sql: string; readonly paramOids?: readonly number[] };
      /** Parameters in text form. */
      readonly values: readonly (Buffer | null)[];
    };

export type PreparedStep = Extract<Step, { prepared: string }>;
const isPrepared = (step: Step): step is PreparedStep => "prepared" in step;

/** Somebody who waits for the answers to what was sent. */
interface Waiting {
  readonly exchanges: readonly Exchange[];
  done: number;
  readonly resolve: () => void;
  readonly reject: (thrown: unknown) => void;
}

/** What takes the bytes of a COPY TO STDOUT. */
export interface CopySink {
  readonly onCopyBytes: (bytes: Buffer) => void;
}

/**
 * Takes the socket of a connected, idle `pg` client over. The client made the login; from here on it must not be used.
 * @param signal destroys the session when it aborts; everything pending then rejects with its reason.
 */
export function takeOver(client: pg.Client, side: Side, signal?: AbortSignal): RawSession {
  const { stream } = client.connection;
  // pg goes on listening to the socket's end and says so by an event, which must not end the process.
  client.on("error", () => undefined);
  stream.removeAllListeners("data");
  const session = new RawSession(stream, side, signal);
  waitsWhen(client, () => session.isServersTurn);
  return session;
}

/**
 * A PostgreSQL session that speaks protocol 3 itself, for what must be fast: pipelines whose steps go out without waiting,
 * and COPY data that passes through untouched. Values are bytes as PostgreSQL wrote them.
 *
 * What arrives is always read, also while writing, so that the two sides' buffers can never both stay full. Callers may overlap:
 * requests go out and are answered in the order in which they were made.
 */
export class RawSession {
  readonly side: Side;
  /** The socket; for the COPY in passing, which couples two of them. */
  readonly stream: Duplex;
  readonly reader: MessageReader;
  /** What becomes of a statement's text before it is sent: a session in another encoding than UTF-8 takes only ASCII from us. */
  sqlText: (sql: string) => string = (sql) => sql;
  private readonly writer: MessageWriter;
  private readonly waiting: Waiting[] = [];
  private readonly parsed = new Set<string>();
  private unhook: () => void = () => undefined;
  /** COPY data goes out as it comes in from elsewhere: a server that waits for more of it waits rightly. */
  isBeingFed = false;
  private lastWrite: Promise<void> = Promise.resolve();
  private copySink: CopySink | undefined;
  private drained: (() => void)[] = [];
  private fatal: ServerError | undefined;
  private failure: { readonly reason: Error } | undefined;
  private status = "I";

  constructor(stream: Duplex, side: Side, signal?: AbortSignal) {
    this.stream = stream;
    this.side = side;
    this.reader = new MessageReader({
      onMessage: (type, body) => this.onMessage(type, body),
      onCopyBytes: (bytes) => this.copySink?.onCopyBytes(bytes),
    });
    this.writer = new MessageWriter((bytes) => void stream.write(bytes));
    stream.on("data", (chunk: Buffer) => this.onData(chunk));
    stream.on("drain", () => this.wakeWriters());
    stream.on("error", (error) => this.fail(new ConnectionLost(side, this.fatal ?? error)));
    stream.on("close", () => this.fail(new ConnectionLost(side, this.fatal)));
    if (signal) this.unhook = whenAborted(signal, () => this.destroy(signal.reason));
    if (stream.destroyed) this.fail(new ConnectionLost(side));
  }

  /** Open, and in step with the server. */
  get isUsable(): boolean {
    return this.failure === undefined;
  }

  /** Something was asked, and nothing of ours keeps the server from answering. */
  get isServersTurn(): boolean {
    return this.waiting.length > 0 && !this.stream.isPaused() && (!this.isBeingFed || this.stream.writableLength > 0);
  }

  /** Of the last answer: I idle, T in a transaction, E in a transaction that failed. */
  get transactionStatus(): string {
    return this.status;
  }

  /**
   * Runs statements by the simple protocol. For small answers: rows are held in memory.
   * @throws ServerError when one of them fails, ConnectionLost, or the signal's reason.
   */
  async query(sql: string): Promise<readonly RawResult[]> {
    const exchange = new SimpleExchange(false);
    await this.request([exchange], () => this.writer.query(this.sqlText(sql)));
    if (exchange.error) throw exchange.error;
    return exchange.results;
  }

  /**
   * Sends all steps without waiting for answers. A statement that fails is an `error` in its result, not a throw; what
   * follows it in the same transaction gets 25P02. For a step of several statements the last one's result is given.
   *
   * Adjacent prepared steps end with one Sync: outside of BEGIN … COMMIT they stand or fall together.
   * @throws ConnectionLost, or the signal's reason; what the server did of the pipeline is unknown then.
   */
  async pipeline(steps: readonly Step[]): Promise<readonly StepResult[]> {
    if (steps.length === 0) return [];
    const exchanges = groupSteps(steps).map((group) => exchangeOf(group, this.parsed));
    await this.request(exchanges, () => this.writeSteps(steps));
    return exchanges.flatMap((exchange) => exchange.stepResults());
  }

  /** Drops every prepared statement; nothing that uses one may be under way. Those that are used again are given again. */
  async forgetStatements(): Promise<void> {
    this.parsed.clear();
    await this.query("DEALLOCATE ALL");
  }

  /** For the COPY in passing: sends one message and gives its answers to the exchange, COPY data to the sink. */
  async exchange(exchange: Exchange, write: (writer: MessageWriter) => void, copySink?: CopySink): Promise<void> {
    await this.request([exchange], () => {
      this.copySink = copySink;
      write(this.writer);
    });
  }

  /** For the COPY in passing: sends messages that belong to the exchange that is under way. */
  send(write: (writer: MessageWriter) => void): void {
    if (this.failure) return;
    write(this.writer);
    this.writer.flush();
  }

  /** Says goodbye and closes; what is pending rejects. Never fails. */
  async end(): Promise<void> {
    if (this.stream.destroyed) return;
    const closed = new Promise<void>((resolve) => this.stream.once("close", () => resolve()));
    this.send((writer) => writer.terminate());
    this.fail(new ConnectionLost(this.side, new Error("the session was ended")), "keepSocket");
    this.stream.resume();
    this.stream.end();
    const timer = setTimeout(() => this.stream.destroy(), END_TIMEOUT_MS);
    await closed;
    clearTimeout(timer);
  }

  /** Closes at once; the server rolls back what was open. Everything pending rejects with the reason. */
  destroy(reason: unknown = new ConnectionLost(this.side, new Error("the session was destroyed"))): void {
    this.fail(reason);
  }

  private request(exchanges: readonly Exchange[], write: () => Promise<void> | void): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const turn = async (): Promise<void> => {
        if (this.failure) return reject(this.failure.reason);
        this.waiting.push({ exchanges, done: 0, resolve, reject });
        try {
          await write();
          this.writer.flush();
        } catch (thrown) {
          // Half a request went out: the server waits for the rest, so the session is of no more use.
          this.fail(thrown);
        }
      };
      this.lastWrite = this.lastWrite.then(turn);
    });
  }

  private async writeSteps(steps: readonly Step[]): Promise<void> {
    const parsing = new Set<string>();
    for (const [index, step] of steps.entries()) {
      if (isPrepared(step)) this.writePrepared(step, parsing);
      else this.writer.query(this.sqlText(step.sql));
      if ("copyData" in step) await this.writeCopyData(step.copyData);
      const next = steps[index + 1];
      if (isPrepared(step) && (next === undefined || !isPrepared(next))) {
        this.writer.sync();
        parsing.clear();
      }
      await this.roomToWrite();
    }
  }

  /**
   * Parses a statement unless the server has confirmed that it has it, or this run does it already. A statement whose Parse is
   * unconfirmed may exist or may have been passed over after an error: closing it first is right in both cases.
   */
  private writePrepared({ prepared, parse, values }: PreparedStep, parsing: Set<string>): void {
    if (!this.parsed.has(prepared) && !parsing.has(prepared)) {
      if (!parse) throw new TypeError(`the prepared statement ${prepared} is used before it was given its text`);
      this.writer.closeStatement(prepared);
      this.writer.parse(prepared, this.sqlText(parse.sql), parse.paramOids ?? []);
      parsing.add(prepared);
    }
    this.writer.bind(prepared, values);
    this.writer.execute();
  }

  private async writeCopyData(pieces: Iterable<Buffer>): Promise<void> {
    for (const { parts, sizeBytes } of copyFrames(pieces)) {
      this.writer.copyData(parts, sizeBytes);
      await this.roomToWrite();
    }
    this.writer.copyDone();
  }

  private async roomToWrite(): Promise<void> {
    while (this.stream.writableLength >= SEND_BUFFER_BYTES_MAX && !this.failure)
      await new Promise<void>((resolve) => this.drained.push(resolve));
    if (this.failure) throw this.failure.reason;
  }

  private wakeWriters(): void {
    for (const wake of this.drained.splice(0)) wake();
  }

  private onData(chunk: Buffer): void {
    try {
      this.reader.feed(chunk);
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  private onMessage(type: number, body: Buffer): void {
    if (this.failure) return;
    switch (type) {
      case BACKEND.noticeResponse:
      case BACKEND.parameterStatus:
      case BACKEND.notificationResponse:
        return;
      case BACKEND.errorResponse: {
        const error = parseServerError(body);
        // The server closes the connection now; its close tells whoever waits, with this as the cause.
        if (error.isFatal) {
          this.fatal = error;
          return;
        }
        break;
      }
      case BACKEND.readyForQuery:
        this.status = String.fromCharCode(body[0] ?? 0);
    }
    this.answer(type, body);
  }

  private answer(type: number, body: Buffer): void {
    const first = this.waiting[0];
    const exchange = first?.exchanges[first.done];
    if (!first || !exchange) throw new Error(`the server sent a message of type ${String.fromCharCode(type)} that nobody asked for`);
    if (!exchange.onMessage(type, body)) return;
    first.done++;
    if (first.done < first.exchanges.length) return;
    this.waiting.shift();
    first.resolve();
  }

  private fail(reason: unknown, socket: "closeSocket" | "keepSocket" = "closeSocket"): void {
    this.failure ??= { reason: reason instanceof Error ? reason : new ConnectionLost(this.side, reason) };
    this.unhook();
    if (socket === "closeSocket") this.stream.destroy();
    for (const { reject } of this.waiting.splice(0)) reject(this.failure.reason);
    this.wakeWriters();
  }
}

/** Prepared steps that follow each other share one Sync and so one answer; every other step has its own. */
export function groupSteps(steps: readonly Step[]): Step[][] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (last?.[0] && isPrepared(last[0]) && isPrepared(step)) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

function exchangeOf(group: readonly Step[], known: Set<string>): SimpleExchange | PreparedExchange {
  const names = group.filter(isPrepared).map(({ prepared }) => prepared);
  return names.length > 0 ? new PreparedExchange(names, known) : new SimpleExchange(group.some((step) => "copyData" in step));
}
