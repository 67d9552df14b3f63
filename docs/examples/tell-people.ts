import { type ServiceBusClient } from "@azure/service-bus";
import { openServiceBus } from "./connection.ts";

/*
 * A subscriber as a Logic App would be: it takes what its subscription lets through, makes a sentence of it, and posts that
 * to a chat's web hook. The subscription's filter chooses; this program does not.
 *
 *   SERVICE_BUS_NAMESPACE=sb-pgdms.servicebus.windows.net WEBHOOK_URL=https://… npx tsx docs/examples/tell-people.ts
 */

/** What people want to hear of. A filter of a subscription sees the application properties, not the body. */
export const FILTER = "severity <> 'information' OR type IN ('pgdms.database.readyToCutover', 'pgdms.database.cutoverFinished')";

interface PgdmsEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly data: {
    readonly state?: string;
    readonly status?: string;
    readonly succeeded?: boolean;
    readonly reason?: string;
    readonly error?: { readonly code: string; readonly message: string; readonly remedy?: string };
    readonly errors?: readonly { readonly code: string; readonly message: string }[];
  };
}

/** Posts until the signal says stop. What could not be posted comes again, and is dead-lettered after ten attempts. */
export async function tellPeople(bus: ServiceBusClient, subscription: string, webhookUrl: string, signal: AbortSignal): Promise<void> {
  const events = bus.createReceiver("events", subscription);
  const told = new Set<string>(); // an event may come twice, with the same id
  try {
    while (!signal.aborted) {
      for (const message of await events.receiveMessages(10, { maxWaitTimeInMs: 1_000 })) {
        const event = message.body as PgdmsEvent;
        try {
          if (!told.has(event.id)) await post(webhookUrl, sentence(event));
          told.add(event.id);
          await events.completeMessage(message);
        } catch (error) {
          console.error(`${event.id}: ${error instanceof Error ? error.message : String(error)}`);
          await events.abandonMessage(message);
        }
      }
    }
  } finally {
    await events.close();
  }
}

async function post(url: string, text: string): Promise<void> {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ text }) });
  if (!response.ok) throw new Error(`the web hook answers ${response.status}`);
}

function sentence({ type, subject, data }: PgdmsEvent): string {
  const name = decodeURIComponent(subject.split("/").at(-1) ?? subject);
  const why = data.errors?.map(({ code, message }) => `${code}: ${message}`).join(" ") ?? "";
  switch (type) {
    case "pgdms.database.readyToCutover":
      return `${name} is ready to be cut over.`;
    case "pgdms.database.cutoverFinished":
      return data.succeeded ? `${name} has moved.` : `The cutover of ${name} was refused. ${why}`;
    case "pgdms.request.rejected":
      return `A request of automation was rejected: ${data.reason ?? ""}`;
    case "pgdms.error":
    case "pgdms.warning":
      return `${name}: ${data.error?.message ?? ""} (${data.error?.code ?? ""}) ${data.error?.remedy ?? ""}`;
    default:
      return `${name} is ${data.state ?? data.status ?? type}. ${why}`;
  }
}

const webhookUrl = process.env["WEBHOOK_URL"];
if (process.argv[1] === import.meta.filename && webhookUrl) {
  const ending = new AbortController();
  process.once("SIGTERM", () => ending.abort());
  process.once("SIGINT", () => ending.abort());
  const bus = openServiceBus(process.env);
  await tellPeople(bus, process.env["EVENTS_SUBSCRIPTION"] ?? "people", webhookUrl, ending.signal);
  await bus.close();
}
