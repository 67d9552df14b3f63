import { connect, outageLog, processAndSettle, receiverOptions, type Pump, type PumpOptions } from "./pump.ts";
import { bounded, countRunning } from "./running.ts";

const stopTimeoutMs = 10_000;
/** A broker that is gone answers neither. */
const closeTimeoutMs = 2_000;

/** Receives from a queue without sessions, `maxConcurrentCalls` messages at a time. The SDK reconnects by itself when the broker comes back. */
export function startQueuePump(options: PumpOptions, maxConcurrentCalls: number): Pump {
  const client = connect(options.connectionString, { timeoutInMs: 10_000, maxRetries: 3 });
  const receiver = client.createReceiver(options.queueName, receiverOptions(options));
  const running = countRunning();
  const outage = outageLog(options);
  const subscription = receiver.subscribe(
    {
      processMessage(message) {
        outage.worked();
        return running.track(processAndSettle(receiver, message, options));
      },
      processError({ error }) {
        outage.failed(error);
        return Promise.resolve();
      },
    },
    { autoCompleteMessages: false, maxConcurrentCalls },
  );
  return {
    async stop() {
      const taken = bounded(subscription.close(), closeTimeoutMs);
      await running.settled(stopTimeoutMs);
      await taken;
      await bounded(client.close(), closeTimeoutMs);
    },
  };
}
