import { type Rule } from "./rules.ts";

export interface QueueSettings {
  readonly lockDurationMs: number;
  /** Deliveries after which a message that was never completed goes to the dead-letter queue. */
  readonly maxDeliveryCount: number;
  /** Infinity: messages do not expire unless they say so themselves. */
  readonly defaultTimeToLiveMs: number;
  readonly deadLetterOnExpiry: boolean;
  readonly requiresSession: boolean;
  /** 0: no duplicate detection. */
  readonly duplicateWindowMs: number;
  readonly forwardTo?: string | undefined;
  readonly forwardDeadLettersTo?: string | undefined;
}

export interface QueueConfig {
  /** A name that ends with `*` is a template: a queue of that name is made when it is first used. */
  readonly name: string;
  readonly settings: QueueSettings;
}

export interface SubscriptionConfig {
  readonly name: string;
  readonly settings: QueueSettings;
  /** None: everything matches. */
  readonly rules: readonly Rule[];
}

export interface TopicConfig {
  readonly name: string;
  readonly defaultTimeToLiveMs: number;
  readonly duplicateWindowMs: number;
  readonly subscriptions: readonly SubscriptionConfig[];
}

export interface BrokerConfig {
  readonly queues: readonly QueueConfig[];
  readonly topics: readonly TopicConfig[];
}

/** What Azure takes where a queue says nothing (Service Bus quotas and the queue resource's defaults). */
export const azureDefaults: QueueSettings = {
  lockDurationMs: 60_000,
  maxDeliveryCount: 10,
  defaultTimeToLiveMs: Infinity,
  deadLetterOnExpiry: false,
  requiresSession: false,
  duplicateWindowMs: 0,
};
