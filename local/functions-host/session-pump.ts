import { type ServiceBusClient, type ServiceBusSessionReceiver } from "@azure/service-bus";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, outageLog, processAndSettle, receiverOptions, type Pump, type PumpOptions } from "./pump.ts";
import { bounded, countRunning, type Running } from "./running.ts";

/** `acceptNextSession` cannot be aborted: it ends by this. */
const acceptTimeoutMs = 5_000;
/** A session gives way to others after this, busy or not; the SDK would also stop renewing its lock at some time. */
const sessionHoldMsMax = 30_000;
const stopTimeoutMs = 10_000;
/** A broker that is gone does not answer a close. */
const closeTimeoutMs = 2_000;
const backoffMsMax = 2_000;

export interface SessionLimits {
  readonly maxConcurrentSessions: number;
  /** A session without messages is given back after this. */
  readonly sessionIdleMs: number;
}

/**
 * Receives from a queue with sessions: up to `maxConcurrentSessions` sessions side by side, the messages of one strictly in order, one at a time.
 * A session receiver never reconnects, so after any failure the session is accepted again.
 */
export function startSessionPump(options: PumpOptions, limits: SessionLimits): Pump {
  const stopping = new AbortController();
  const running = countRunning();
  // No retries inside the SDK: "no session has messages" would count as a failure to retry.
  const client = connect(options.connectionString, { timeoutInMs: acceptTimeoutMs, maxRetries: 0 });
  void acceptSessions(client, options, limits, running, stopping.signal);
  return {
    /** Closing the connection also frees the sessions that wait for messages, and leaves the pending accept unanswered. */
    async stop() {
      stopping.abort();
      await running.settled(stopTimeoutMs);
      await bounded(client.close(), closeTimeoutMs);
    },
  };
}

async function acceptSessions(
  client: ServiceBusClient,
  options: PumpOptions,
  { maxConcurrentSessions, sessionIdleMs }: SessionLimits,
  running: Running,
  signal: AbortSignal,
): Promise<void> {
  const outage = outageLog(options);
  const sessions = new Set<Promise<void>>();
  for (let failures = 0; !signal.aborted;) {
    while (sessions.size >= maxConcurrentSessions) await Promise.race(sessions);
    try {
      const receiver = await client.acceptNextSession(options.queueName, receiverOptions(options));
      const session = drainSession(receiver, options, sessionIdleMs, running, signal).finally(() => sessions.delete(session));
      sessions.add(session);
      failures = 0;
      outage.worked();
    } catch (error) {
      if (isNoSession(error)) {
        failures = 0;
        outage.worked();
        continue;
      }
      if (!signal.aborted) outage.failed(error);
      await pause(Math.min(100 * 2 ** failures++, backoffMsMax), signal);
    }
  }
}

const isNoSession = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ServiceTimeout";

/** Never throws: what was not settled comes back to the next holder of the session. */
async function drainSession(
  receiver: ServiceBusSessionReceiver,
  options: PumpOptions,
  maxWaitTimeInMs: number,
  running: Running,
  signal: AbortSignal,
): Promise<void> {
  const holdUntil = Date.now() + sessionHoldMsMax;
  try {
    while (Date.now() < holdUntil) {
      // Not with the signal: an abort asks the broker for its credit back, and hangs when the broker has just gone.
      const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs });
      if (!message || signal.aborted) break;
      await running.track(processAndSettle(receiver, message, options));
    }
  } catch {
    // lock or connection lost
  } finally {
    await bounded(receiver.close(), closeTimeoutMs);
  }
}

async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(delayMs, undefined, { signal });
  } catch {
    // the host stops
  }
}
