import { type Attributes, context, type Context, isSpanContextValid, type Link, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { type RunCommand } from "../contracts/commands.ts";
import { type ReportItem, type TableProgress } from "../contracts/reports.ts";
import { contextOf, SCOPE, traceparentOf } from "../contracts/telemetry.ts";
import { type Phase } from "./phase.ts";
import { SOFTWARE_VERSION } from "./version.ts";

/** What a trace has to know of the command that started the task. */
type TracedCommand = Pick<RunCommand, "taskId" | "traceparent"> & { readonly work: Pick<RunCommand["work"], "taskType"> };

/** Spans of single tables are told apart this far; a database of ten thousand tables says the rest in its figures. */
const TABLE_SPANS_MAX = 500;

/**
 * The trace of one task on this worker, below the command that started it; a worker that takes over goes on in the same
 * trace. A migration lasts for days and its worker may be killed: so the span that all others hang on is ended as soon as
 * it begins, and what a dead worker had finished still hangs together. Does nothing while telemetry is off.
 */
export class TaskTrace {
  readonly #parent: Context;
  readonly #shared: Attributes;

  /** The task was taken, by this worker. */
  constructor(command: TracedCommand, { epoch, attempts }: { epoch: number; attempts: number }) {
    this.#shared = { "pgdms.task.id": command.taskId, "pgdms.epoch": epoch };
    const attributes = { ...this.#shared, "messaging.system": "servicebus", "messaging.operation.type": "receive" };
    this.#parent = instant(
      "take task",
      { kind: SpanKind.CONSUMER, attributes: { ...attributes, "pgdms.task.type": command.work.taskType, "pgdms.attempts": attempts } },
      contextOf(command.traceparent),
    );
  }

  /** For reports that are part of the trace. */
  get traceparent(): string | undefined {
    return traceparentOf(this.#parent);
  }

  /** For log lines: where to look. Empty while telemetry is off and nobody traces. */
  get logFields(): { traceId?: string } {
    // Off, the API's spans have an id of zeros.
    const span = trace.getSpanContext(this.#parent);
    return span && isSpanContextValid(span) ? { traceId: span.traceId } : {};
  }

  database(databaseName: string, targetDatabaseName: string): DatabaseTrace {
    return new DatabaseTrace(this.#parent, {
      ...this.#shared,
      "pgdms.database": databaseName,
      "pgdms.target.database": targetDatabaseName,
    });
  }

  /** A task that only looks, from its start to now. */
  smallTask(startedMs: number, errorCodes: readonly string[]): void {
    record("run task", { startedMs, endedMs: Date.now(), attributes: this.#shared, error: errorCodes[0] }, this.#parent);
  }
}

/** The trace of one database of a migration. */
export class DatabaseTrace {
  readonly #parent: Context;
  readonly #shared: Attributes;
  readonly #startedMs = Date.now();
  readonly #tables = new Set<string>();
  readonly #cutovers = new Map<string, Link>();

  constructor(parent: Context, shared: Attributes) {
    this.#shared = shared;
    this.#parent = instant("migrate database", { attributes: shared }, parent);
  }

  /** A cutover is another request of the user's, with a trace of its own: the two are linked. */
  cutoverAsked(commandId: string, traceparent: string | undefined): void {
    const asked = trace.getSpanContext(contextOf(traceparent));
    if (asked) this.#cutovers.set(commandId, { context: asked });
  }

  /** A phase is over. */
  phase({ name, startedMs, endedMs, error, commandId }: Phase): void {
    const link = commandId === undefined ? undefined : this.#cutovers.get(commandId);
    record(name, { startedMs, endedMs, error, attributes: this.#shared, ...(link ? { links: [link] } : {}) }, this.#parent);
  }

  /** Takes spans of loaded tables from what is reported anyway. */
  items(items: readonly ReportItem[]): void {
    for (const item of items) if (item.kind === "table") this.#table(item);
  }

  #table({ schema, name, state, fullLoadStartedOn, fullLoadEndedOn, fullLoadRows, fullLoadBytes, error }: TableProgress): void {
    if (fullLoadStartedOn === null || fullLoadEndedOn === null || (state !== "COMPLETED" && state !== "ERROR")) return;
    const [startedMs, endedMs] = [Date.parse(fullLoadStartedOn), Date.parse(fullLoadEndedOn)];
    const key = `${schema}\0${name}`;
    // What an earlier worker loaded is in its part of the trace.
    if (endedMs < this.#startedMs || this.#tables.has(key) || this.#tables.size >= TABLE_SPANS_MAX) return;
    this.#tables.add(key);
    const figures = { "pgdms.rows": fullLoadRows, "pgdms.bytes": fullLoadBytes };
    const attributes = { ...this.#shared, "pgdms.schema": schema, "pgdms.table": name, ...figures };
    record("load table", { startedMs, endedMs, attributes, error: error?.code }, this.#parent);
  }
}

interface Done {
  readonly startedMs: number;
  readonly endedMs: number;
  readonly attributes: Attributes;
  /** A code or a class of errors: texts may hold values of the user's. */
  readonly error: string | undefined;
  readonly links?: Link[];
}

const tracer = () => trace.getTracer(SCOPE, SOFTWARE_VERSION);

/** Records a span that is over. */
function record(name: string, { startedMs, endedMs, attributes, error, links }: Done, parent: Context): void {
  const span = tracer().startSpan(name, { startTime: startedMs, attributes, ...(links ? { links } : {}) }, parent);
  if (error !== undefined) {
    span.setAttribute("error.type", error);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end(endedMs);
}

/** Records a span without length, and answers the context of what follows from it. */
function instant(name: string, options: { kind?: SpanKind; attributes: Attributes }, parent: Context = context.active()): Context {
  const span = tracer().startSpan(name, options, parent);
  span.end();
  return trace.setSpan(parent, span);
}
