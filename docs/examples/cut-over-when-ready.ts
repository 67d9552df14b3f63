import { randomUUID } from "node:crypto";
import { type ServiceBusClient, type ServiceBusReceiver } from "@azure/service-bus";
import { openServiceBus } from "./connection.ts";

/*
 * A step of a pipeline: waits until a database is ready, has the application stop its writes, cuts over, and waits for the end.
 *
 *   SERVICE_BUS_NAMESPACE=sb-pgdms.servicebus.windows.net \
 *   npx tsx docs/examples/cut-over-when-ready.ts <resource id of the task> <database>
 */

export interface Cutover {
  /** Resource Manager id of the migration's task. */
  readonly taskId: string;
  readonly databaseName: string;
  /** A subscription of the topic `events` that nobody else reads. */
  readonly subscription: string;
  /** A queue for the answer: `replies`, or a name that begins with `replies-`. */
  readonly replyQueue: string;
  /** Stops the application's writes: a deployment, a switch, a maintenance page. */
  stopWrites(): Promise<void>;
  readonly timeoutMs: number;
}

interface PgdmsEvent {
  readonly type: string;
  readonly subject: string;
  readonly data: {
    readonly commandId?: string;
    readonly succeeded?: boolean;
    readonly errors?: readonly { readonly code: string; readonly message: string }[];
  };
}

interface Reply {
  readonly correlationId: string;
  readonly status: number;
  readonly body?: { readonly commandId?: string; readonly error?: { readonly message: string } };
}

/** @throws Error when the time is over, or the cutover was refused */
export async function cutOverWhenReady(bus: ServiceBusClient, cutover: Cutover): Promise<void> {
  const signal = AbortSignal.timeout(cutover.timeoutMs);
  const events = bus.createReceiver("events", cutover.subscription);
  const subject = `${cutover.taskId}/databases/${encodeURIComponent(cutover.databaseName)}`;
  const told = (type: string) => (event: PgdmsEvent) => event.type === type && event.subject.toLowerCase() === subject.toLowerCase();
  try {
    await next(events, told("pgdms.database.readyToCutover"), signal);
    await cutover.stopWrites();
    const commandId = await askForCutover(bus, cutover, signal);
    const isOurs = told("pgdms.database.cutoverFinished");
    const { data } = await next<PgdmsEvent>(events, (event) => isOurs(event) && event.data.commandId === commandId, signal);
    if (!data.succeeded)
      throw new Error(`the cutover was refused: ${data.errors?.map(({ code, message }) => `${code} ${message}`).join("; ")}`);
  } finally {
    await events.close();
  }
}

/** Answers the id of the cutover. Sent again with the same correlation id, it would be answered the same and done once. */
async function askForCutover(bus: ServiceBusClient, { taskId, databaseName, replyQueue }: Cutover, signal: AbortSignal): Promise<string> {
  const correlationId = randomUUID();
  const request = {
    version: 1,
    correlationId,
    operation: "tasks-command",
    resourceId: taskId,
    body: { commandType: "Migrate.Sync.Complete.Database", input: { databaseName } },
    replyTo: { queue: replyQueue },
  };
  await bus.createSender("requests").sendMessages({ body: request, messageId: correlationId, contentType: "application/json" });
  const replies = bus.createReceiver(replyQueue);
  try {
    const { status, body } = await next<Reply>(replies, (reply) => reply.correlationId === correlationId, signal);
    if (status !== 200 || body?.commandId === undefined) throw new Error(`${status}: ${body?.error?.message ?? "no answer"}`);
    return body.commandId;
  } finally {
    await replies.close();
  }
}

/** The next message that is wanted; all others are read over. */
async function next<T>(receiver: ServiceBusReceiver, isWanted: (body: T) => boolean, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    for (const message of await receiver.receiveMessages(1, { maxWaitTimeInMs: 5_000 })) {
      await receiver.completeMessage(message);
      if (isWanted(message.body as T)) return message.body as T;
    }
  }
}

const [taskId, databaseName] = process.argv.slice(2);
if (process.argv[1] === import.meta.filename && taskId !== undefined && databaseName !== undefined) {
  const bus = openServiceBus(process.env);
  try {
    await cutOverWhenReady(bus, {
      taskId,
      databaseName,
      subscription: process.env["EVENTS_SUBSCRIPTION"] ?? "pipeline",
      replyQueue: process.env["REPLY_QUEUE"] ?? "replies-pipeline",
      stopWrites: () => Promise.resolve(console.log(`${databaseName} is ready: stopping the writes …`)), // put yours here
      timeoutMs: 24 * 3_600_000,
    });
    console.log(`${databaseName} is cut over`);
  } finally {
    await bus.close();
  }
}
