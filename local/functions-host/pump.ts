import {
  RetryMode,
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusReceiverOptions,
  type ServiceBusSessionReceiver,
} from "@azure/service-bus";
import { type HostLog } from "./log.ts";
import { fromReceived, type QueueMessage } from "./queue-message.ts";
import { within } from "./running.ts";

/** Moves messages of one queue into one function. */
export interface Pump {
  /** Takes no more messages, waits for those under way, and closes the connection. */
  stop(): Promise<void>;
}

export interface PumpOptions {
  readonly connectionString: string;
  readonly queueName: string;
  readonly functionName: string;
  readonly lockRenewalMsMax: number;
  readonly log: HostLog;
  /** Runs the function; its rejection means that the message is to be delivered again. */
  process(message: QueueMessage): Promise<unknown>;
}

/** When the connection is lost between a settlement and its answer, the SDK waits for the whole operation timeout, and tries again. */
const settleTimeoutMs = 2_000;

/** The SDK's own pause between attempts is 30 s: much too long for a broker on the same machine. */
const retryOptions = { mode: RetryMode.Exponential, retryDelayInMs: 200, maxRetryDelayInMs: 2_000 };

/** One connection; the caller closes it. */
export function connect(connectionString: string, retry: { timeoutInMs: number; maxRetries: number }): ServiceBusClient {
  return new ServiceBusClient(connectionString, { retryOptions: { ...retryOptions, ...retry } });
}

export const receiverOptions = ({ lockRenewalMsMax }: PumpOptions): ServiceBusReceiverOptions => ({
  receiveMode: "peekLock",
  maxAutoLockRenewalDurationInMs: lockRenewalMsMax,
  skipParsingBodyAsJson: true, // the library of the functions does that
});

/**
 * Runs the function and settles: complete on success; abandon on failure, which brings the message back at once and, after the queue's largest delivery
 * count, into its dead-letter queue. Never throws: a message that could not be settled comes back when its lock ends.
 */
export async function processAndSettle(
  receiver: ServiceBusReceiver | ServiceBusSessionReceiver,
  message: ServiceBusReceivedMessage,
  options: PumpOptions,
): Promise<void> {
  const succeeded = await options.process(fromReceived(message)).then(
    () => true,
    () => false, // the invocation has been logged
  );
  try {
    const settling = succeeded ? receiver.completeMessage(message) : receiver.abandonMessage(message);
    await within(settleTimeoutMs, settling, "no answer from the broker");
  } catch (error) {
    const { functionName, log, queueName } = options;
    const what = `a message of "${queueName}" could not be ${succeeded ? "completed" : "abandoned"} and will be delivered again`;
    log({ level: "warning", category: "system", functionName, message: `${what}: ${messageOf(error)}` });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Says once that the broker cannot be reached, and once that it can again. */
export function outageLog({ functionName, queueName, log }: PumpOptions): { failed(error: unknown): void; worked(): void } {
  let down = false;
  return {
    failed(error) {
      if (!down)
        log({ level: "warning", category: "system", functionName, message: `cannot receive from "${queueName}": ${messageOf(error)}` });
      down = true;
    },
    worked() {
      if (down) log({ level: "information", category: "system", functionName, message: `receiving from "${queueName}" again` });
      down = false;
    },
  };
}
