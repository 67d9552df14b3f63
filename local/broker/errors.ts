/** AMQP error conditions that the client understands; it turns each into an `error.code` of its own. */
export type Condition =
  | "amqp:not-found"
  | "amqp:not-allowed"
  | "amqp:not-implemented"
  | "amqp:internal-error"
  | "amqp:decode-error"
  | "amqp:link:message-size-exceeded"
  | "com.microsoft:argument-error"
  | "com.microsoft:entity-already-exists"
  | "com.microsoft:message-lock-lost"
  | "com.microsoft:message-not-found"
  | "com.microsoft:session-cannot-be-locked"
  | "com.microsoft:session-lock-lost"
  | "com.microsoft:timeout";

/** A refusal that is told to the client under its AMQP condition. */
export class BrokerError extends Error {
  readonly condition: Condition;

  constructor(condition: Condition, description: string) {
    super(description);
    this.name = "BrokerError";
    this.condition = condition;
  }
}

/** The client recognises this wording (not the condition) and reports `MessagingEntityNotFound`. */
export function entityNotFound(address: string): BrokerError {
  return new BrokerError("amqp:not-found", `The messaging entity '${address}' could not be found.`);
}

export function messageLockLost(): BrokerError {
  return new BrokerError(
    "com.microsoft:message-lock-lost",
    "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
  );
}

export function sessionLockLost(sessionId: string): BrokerError {
  return new BrokerError(
    "com.microsoft:session-lock-lost",
    `The lock of the session '${sessionId}' has expired or is held by another receiver.`,
  );
}

/** What is told about a failure of any kind: our own refusals by name, all else as an internal error. */
export function asBrokerError(error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  return new BrokerError("amqp:internal-error", error instanceof Error ? error.message : "The broker failed.");
}
