import { z } from "zod";
import { type RegisteredFunction } from "./core.ts";
import { type InvocationResponse } from "./core-types.ts";
import { triggerOf, type InvocationInput } from "./invoke.ts";
import { type HostLog } from "./log.ts";
import { parseSchedule } from "./ncrontab.ts";
import { type Pump, type PumpOptions } from "./pump.ts";
import { toInput, type QueueMessage } from "./queue-message.ts";
import { startQueuePump } from "./queue-pump.ts";
import { startSessionPump } from "./session-pump.ts";
import { resolveSettings, type AppSettings, type HostJson } from "./settings.ts";
import { createTimer, type Clock, type Timer } from "./timers.ts";

/** What a trigger needs of the host around it. */
export interface TriggerHost {
  readonly settings: AppSettings;
  readonly hostJson: HostJson;
  readonly clock: Clock;
  readonly log: HostLog;
  /** Whether queues are really received from, or functions only get what deliver() gives them. */
  readonly pumps: boolean;
  readonly run: (functionName: string, input: InvocationInput) => Promise<InvocationResponse>;
}

export interface QueueTrigger {
  readonly queueName: string;
  deliver(message: QueueMessage): Promise<void>;
  startPump(): Pump;
}

const TimerOptions = z.looseObject({ schedule: z.string(), runOnStartup: z.boolean().optional() });

/** Throws when the schedule is not valid or needs an app setting that is not set. */
export function makeTimer({ metadata }: RegisteredFunction, host: TriggerHost): Timer {
  const { schedule, runOnStartup = false } = TimerOptions.parse(triggerOf(metadata).options);
  return createTimer(parseSchedule(resolveSettings(schedule, host.settings)), runOnStartup, host.clock, (input) =>
    host.run(metadata.name, input),
  );
}

const QueueOptions = z.looseObject({
  queueName: z.string({ error: "must be set: triggers by a topic's subscription are not supported here" }),
  connection: z.string(),
  isSessionsEnabled: z.boolean().optional(),
  autoCompleteMessages: z.boolean().optional(),
  cardinality: z.enum(["one"], { error: 'must be "one": batches are not supported here' }).optional(),
});

/** Throws when the binding uses what this host does not have, or needs an app setting that is not set. */
export function makeQueueTrigger({ metadata }: RegisteredFunction, host: TriggerHost): QueueTrigger {
  const parsed = QueueOptions.safeParse(triggerOf(metadata).options);
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error));
  const { serviceBus } = host.hostJson.extensions;
  const { queueName, connection, isSessionsEnabled = false, autoCompleteMessages = serviceBus.autoCompleteMessages } = parsed.data;
  if (!autoCompleteMessages) throw new Error("autoCompleteMessages must be true: this host settles the messages");
  const options: PumpOptions = {
    connectionString: host.pumps ? connectionString(resolveSettings(connection, host.settings), host.settings) : "",
    queueName: resolveSettings(queueName, host.settings),
    functionName: metadata.name,
    lockRenewalMsMax: serviceBus.maxAutoLockRenewalDuration,
    log: host.log,
    process: (message) => host.run(metadata.name, toInput(message)),
  };
  // The platform waits a minute before it gives an idle session back; with few sessions at a time that would hold up the others.
  const limits = { maxConcurrentSessions: serviceBus.maxConcurrentSessions, sessionIdleMs: serviceBus.sessionIdleTimeout ?? 500 };
  return {
    queueName: options.queueName,
    deliver: async (message) => void (await options.process(message)),
    startPump: () => (isSessionsEnabled ? startSessionPump(options, limits) : startQueuePump(options, serviceBus.maxConcurrentCalls)),
  };
}

function connectionString(name: string, settings: AppSettings): string {
  const value = settings[name] ?? settings[`AzureWebJobs${name}`];
  if (value) return value;
  const byIdentity = settings[`${name}__fullyQualifiedNamespace`] !== undefined;
  throw new Error(
    byIdentity
      ? `"${name}__fullyQualifiedNamespace" is set, but this host connects by connection string only: set "${name}"`
      : `the app setting "${name}" is not set: give it the connection string of the Service Bus`,
  );
}
