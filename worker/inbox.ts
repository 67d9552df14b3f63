import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceBusClient, type ServiceBusSessionReceiver } from "@azure/service-bus";
import { commandsQueue } from "../contracts/commands.ts";
import { type Logger } from "./log.ts";
import { backoffMs } from "./postgres/retry.ts";
import { countRetry } from "./telemetry.ts";

/** How often it is looked whether a place for another task is free. */
const FULL_POLL_MS = 200;

export interface InboxOptions {
  /**
   * A client of its own whose operations end soon: an accept that waits cannot be aborted (the SDK ignores the signal and
   * leaves the promise pending when the client closes), so it must not wait for long.
   */
  readonly client: ServiceBusClient;
  readonly serviceName: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Whether another task may be taken now. */
  readonly hasRoom: () => boolean;
  /** Takes a task's session over. Must not throw. */
  readonly onSession: (receiver: ServiceBusSessionReceiver) => void;
}

/** Accepts the sessions of tasks that nobody holds, one after the other, until the signal ends it. */
export async function acceptTasks({ client, serviceName, signal, log, hasRoom, onSession }: InboxOptions): Promise<void> {
  const queue = commandsQueue(serviceName);
  for (let failures = 0; !signal.aborted;) {
    if (!hasRoom()) {
      await sleep(FULL_POLL_MS, undefined, { signal }).catch(() => undefined);
      continue;
    }
    try {
      const receiver = await client.acceptNextSession(queue, { maxAutoLockRenewalDurationInMs: 0 });
      failures = 0;
      // While it waited the worker may have been told that it has its share.
      if (signal.aborted || !hasRoom()) await receiver.close();
      else onSession(receiver);
    } catch (thrown) {
      if (isNothingThere(thrown)) continue;
      failures++;
      countRetry("accept task");
      log.warn({ event: "inbox.retry", queue, failures, err: thrown }, "no task could be accepted; trying again");
      await sleep(backoffMs(failures), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** No session had a message during the wait: the ordinary case. */
const isNothingThere = (thrown: unknown): boolean =>
  thrown instanceof Error && "code" in thrown && (thrown.code === "ServiceTimeout" || thrown.code === "SessionCannotBeLocked");
