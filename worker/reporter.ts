import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceBusSender } from "@azure/service-bus";
import { itemKey } from "../contracts/progress.ts";
import { type ReportItem, type TaskReport } from "../contracts/reports.ts";
import { type Logger } from "./log.ts";
import { backoffMs } from "./postgres/retry.ts";
import { countRetry } from "./telemetry.ts";

/** At most one report so often for each task. */
const REPORT_INTERVAL_MS = 1_000;

/** The first report after a quiet time waits only so long, for its siblings. */
const REPORT_DELAY_MS = 50;

/** A message of the standard tier may have 256 KiB; the rest is headroom for headers and escapes. */
const MESSAGE_BYTES_MAX = 180 * 1024;

export interface ReporterOptions {
  readonly taskId: string;
  readonly workerId: string;
  readonly epoch: number;
  readonly sender: ServiceBusSender;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The trace that the task belongs to. */
  readonly traceparent?: () => string | undefined;
}

/**
 * Reports of one task. What is new is gathered, newest wins, and goes out about once a second; a broker that is away only
 * makes reports late. Nobody who reports ever waits, except for `flush` at the very end.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  #pending = new Map<string, ReportItem>();
  #sequence = 0;
  #sending: Promise<void> | undefined;
  #lastSentMs = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Takes items to be reported; never fails and never waits. */
  report(...items: readonly ReportItem[]): void {
    for (const item of items) {
      // Items of one kind and subject replace each other but keep the order in which they first came.
      this.#pending.set(itemKey(item), item);
    }
    this.#sending ??= this.#sendLater();
  }

  /**
   * Resolves when everything reported so far was accepted by the broker; tries until the signal ends.
   * @throws the signal's reason.
   */
  async flush(): Promise<void> {
    while (this.#pending.size > 0 || this.#sending) {
      this.#sending ??= this.#sendLater();
      await this.#sending;
      this.#options.signal.throwIfAborted();
    }
  }

  async #sendLater(): Promise<void> {
    try {
      const waitMs = Math.max(REPORT_DELAY_MS, this.#lastSentMs + REPORT_INTERVAL_MS - Date.now());
      await sleep(waitMs, undefined, { signal: this.#options.signal });
      await this.#sendAll();
    } catch (thrown) {
      if (!this.#options.signal.aborted) this.#options.log.error({ event: "report.failed", err: thrown }, "a report could not be made");
    } finally {
      this.#lastSentMs = Date.now();
      this.#sending = undefined;
    }
    if (this.#pending.size > 0 && !this.#options.signal.aborted) this.#sending ??= this.#sendLater();
  }

  async #sendAll(): Promise<void> {
    const batch = [...this.#pending.values()];
    this.#pending = new Map();
    for (const items of chunked(batch)) await this.#sendUntilAccepted(items);
  }

  async #sendUntilAccepted(items: readonly ReportItem[]): Promise<void> {
    const { sender, signal, log, taskId } = this.#options;
    const report = this.#toReport(items);
    for (let attempt = 1; ; attempt++) {
      try {
        await sender.sendMessages({
          body: report,
          sessionId: taskId,
          messageId: `${taskId}-${report.epoch}-${report.sequence}`,
          contentType: "application/json",
          subject: "report",
        });
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        countRetry("send report");
        log.warn({ event: "report.retry", attempt, err: thrown }, "a report was not accepted; trying again");
        await sleep(backoffMs(attempt), undefined, { signal });
      }
    }
  }

  #toReport(items: readonly ReportItem[]): TaskReport {
    const { taskId, workerId, epoch } = this.#options;
    // Figures come every second for weeks: only what is rare becomes part of the trace.
    const isRare = items.some(({ kind }) => kind === "task" || kind === "command");
    const traceparent = isRare ? this.#options.traceparent?.() : undefined;
    return {
      version: 1,
      type: "report",
      taskId,
      workerId,
      epoch,
      sequence: ++this.#sequence,
      sentAt: new Date().toISOString(),
      items: [...items],
      ...(traceparent === undefined ? {} : { traceparent }),
    };
  }
}

/** Cuts items into messages of bounded size. */
function* chunked(items: readonly ReportItem[]): Generator<ReportItem[]> {
  let chunk: ReportItem[] = [];
  let bytes = 0;
  for (const item of items) {
    const itemBytes = Buffer.byteLength(JSON.stringify(item));
    if (chunk.length > 0 && bytes + itemBytes > MESSAGE_BYTES_MAX) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += itemBytes;
  }
  if (chunk.length > 0) yield chunk;
}
