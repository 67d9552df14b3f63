import { type RawSession } from "./raw-session.ts";
import { type Exchange } from "./wire/exchanges.ts";
import { BACKEND, HEADER_BYTES } from "./wire/message-types.ts";
import { parseServerError, type ServerError } from "./wire/server-error.ts";

/** The source is paused while this much waits to be sent to the target. */
const IN_FLIGHT_BYTES_MAX = 1024 * 1024;

export interface PipeCopy {
  readonly source: RawSession;
  /** COPY … TO STDOUT */
  readonly sourceSql: string;
  readonly target: RawSession;
  /** COPY … FROM STDIN, in the same format. */
  readonly targetSql: string;
}

export interface PipeCopyOptions {
  /** Destroys both sessions; the copy then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Told of every stretch of data as it goes out, in bytes of COPY data. */
  readonly onBytes?: (bytes: number) => void;
  /** Asked after every stretch: the source rests until the promise settles. */
  readonly throttle?: (bytes: number) => Promise<void> | undefined;
}

export interface PipedCopy {
  readonly rows: number;
  /** COPY data without the protocol's headers. */
  readonly bytes: number;
}

/**
 * Passes the rows of a COPY TO STDOUT on to a COPY FROM STDIN, byte for byte, at the pace of the slower side, in memory of
 * about one megabyte however large a row is.
 *
 * Afterwards each session is either usable (perhaps with a transaction that failed) or closed. An error of the source leaves
 * both usable; a source that died in the middle of a row closes the target. An error of the target on the way closes both:
 * the source cannot be told to stop otherwise.
 * @throws ServerError or ConnectionLost of the side that failed first, or the signal's reason.
 */
export async function pipeCopy(copy: PipeCopy, options: PipeCopyOptions = {}): Promise<PipedCopy> {
  const { source, target } = copy;
  const stop = (): void => {
    source.destroy(options.signal?.reason);
    target.destroy(options.signal?.reason);
  };
  options.signal?.throwIfAborted();
  options.signal?.addEventListener("abort", stop);
  const flow = new Flow(copy, options);
  try {
    return await flow.run();
  } finally {
    options.signal?.removeEventListener("abort", stop);
    flow.detach();
  }
}

/** Collects the answer of one side of a COPY, whose rows go another way. */
export class CopyExchange implements Exchange {
  tag = "";
  error: ServerError | undefined;
  hasStarted = false;
  private readonly onStart: () => void;

  constructor(onStart: () => void) {
    this.onStart = onStart;
  }

  onMessage(type: number, body: Buffer): boolean {
    if (type === BACKEND.copyInResponse || type === BACKEND.copyOutResponse) {
      this.hasStarted = true;
      this.onStart();
    } else if (type === BACKEND.commandComplete) this.tag = body.toString("utf8", 0, body.length - 1);
    else if (type === BACKEND.errorResponse) this.error = parseServerError(body);
    return type === BACKEND.readyForQuery;
  }

  get rows(): number {
    return Number(/^COPY (\d+)$/.exec(this.tag)?.[1] ?? NaN);
  }
}

class Flow {
  private readonly copy: PipeCopy;
  private readonly options: PipeCopyOptions;
  private bytes = 0;
  private isThrottled = false;
  private readonly onDrain = (): void => this.resumeSource();

  constructor(copy: PipeCopy, options: PipeCopyOptions) {
    this.copy = copy;
    this.options = options;
  }

  async run(): Promise<PipedCopy> {
    const { source, target, sourceSql, targetSql } = this.copy;
    let start: () => void = () => undefined;
    const started = new Promise<void>((resolve) => (start = resolve));
    const into = new CopyExchange(start);
    // Its outcome is looked at below, at the place where it counts; until then a rejection must not be an unhandled one.
    const targetDone = target.exchange(into, (writer) => writer.query(targetSql));
    targetDone.catch(() => undefined);
    await Promise.race([started, targetDone]);
    if (into.error) throw into.error;
    if (!into.hasStarted) throw new Error("the target's statement is no COPY FROM STDIN");
    target.stream.on("drain", this.onDrain);
    target.isBeingFed = true;
    const out = new CopyExchange(() => (source.reader.passesCopyData = true));
    const sourceDone = source.exchange(out, (writer) => writer.query(sourceSql), { onCopyBytes: (bytes) => this.forward(bytes) });
    await this.finishSource(sourceDone, targetDone, into, out);
    return this.finishTarget(targetDone, into, out);
  }

  detach(): void {
    const { source, target } = this.copy;
    target.stream.removeListener("drain", this.onDrain);
    source.reader.passesCopyData = false;
    target.isBeingFed = false;
    this.isThrottled = false;
    if (source.isUsable) source.stream.resume();
  }

  /** Waits for the source's end, or for the target's failure, whichever comes first; leaves the target in step. */
  private async finishSource(sourceDone: Promise<void>, targetDone: Promise<void>, into: CopyExchange, out: CopyExchange): Promise<void> {
    const { source, target } = this.copy;
    const targetFailed = targetDone.then(() => {
      throw into.error ?? new Error("the target ended the COPY by itself");
    });
    try {
      await Promise.race([sourceDone, targetFailed]);
    } catch (thrown) {
      const isTargetsFault = !target.isUsable || into.error !== undefined;
      if (isTargetsFault) {
        // Part of a row may be on its way to the target, so it is closed as well: it would take what comes next for the rest.
        source.destroy(thrown);
        target.destroy(thrown);
      } else await this.stopTarget(targetDone);
      sourceDone.catch(() => undefined);
      throw thrown;
    } finally {
      targetFailed.catch(() => undefined);
    }
    if (!out.error) return;
    await this.stopTarget(targetDone);
    throw out.error;
  }

  private async stopTarget(targetDone: Promise<void>): Promise<void> {
    const { source, target } = this.copy;
    if (source.reader.isInsideFrame) target.destroy();
    else target.send((writer) => writer.copyFail("the source's COPY failed"));
    await targetDone.catch(() => undefined);
  }

  private async finishTarget(targetDone: Promise<void>, into: CopyExchange, out: CopyExchange): Promise<PipedCopy> {
    this.copy.target.isBeingFed = false;
    this.copy.target.send((writer) => writer.copyDone());
    await targetDone;
    if (into.error) throw into.error;
    if (into.rows !== out.rows) throw new Error(`the source sent ${out.rows} rows, the target took ${into.rows}`);
    return { rows: into.rows, bytes: this.bytes };
  }

  private forward(piece: Buffer): void {
    const { source, target } = this.copy;
    if (!target.isUsable) return;
    target.stream.write(piece);
    const bytes = piece.length - HEADER_BYTES * source.reader.takeFrames();
    this.bytes += bytes;
    this.options.onBytes?.(bytes);
    this.throttle(bytes);
    if (target.stream.writableLength >= IN_FLIGHT_BYTES_MAX) source.stream.pause();
  }

  private throttle(bytes: number): void {
    const rest = this.options.throttle?.(bytes);
    if (!rest) return;
    this.isThrottled = true;
    this.copy.source.stream.pause();
    void rest
      .catch(() => undefined)
      .then(() => {
        this.isThrottled = false;
        this.resumeSource();
      });
  }

  private resumeSource(): void {
    const { source, target } = this.copy;
    if (!this.isThrottled && target.stream.writableLength < IN_FLIGHT_BYTES_MAX) source.stream.resume();
  }
}
