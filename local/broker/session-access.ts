import { BrokerError, sessionLockLost } from "./errors.ts";
import { type EntityHost } from "./message-store.ts";
import { type HeldSession, type Requester, type SessionTable } from "./sessions.ts";

interface SessionAccessOptions {
  readonly path: string;
  readonly table: SessionTable | undefined;
  readonly host: EntityHost;
  readonly lockDurationMs: number;
}

/** What the holder of a session may do with it besides receiving. Whoever has lost the session gets `…session-lock-lost`. */
export class SessionAccess {
  readonly #path: string;
  readonly #table: SessionTable | undefined;
  readonly #host: EntityHost;
  readonly #lockDurationMs: number;

  constructor({ path, table, host, lockDurationMs }: SessionAccessOptions) {
    this.#path = path;
    this.#table = table;
    this.#host = host;
    this.#lockDurationMs = lockDurationMs;
  }

  /** @throws BrokerError `com.microsoft:session-lock-lost` */
  held(sessionId: string, requester: Requester): HeldSession {
    const session = this.#sessions().heldBy(sessionId, requester);
    if (session.holder.expiryMs <= this.#host.now()) throw sessionLockLost(sessionId);
    return session;
  }

  /** @returns the new end of the lock */
  renew(sessionId: string, requester: Requester): number {
    const { holder } = this.held(sessionId, requester);
    holder.expiryMs = this.#host.now() + this.#lockDurationMs;
    this.#host.wakeAt(holder.expiryMs);
    return holder.expiryMs;
  }

  state(sessionId: string, requester: Requester): Buffer | null {
    return this.held(sessionId, requester).state;
  }

  setState(sessionId: string, state: Buffer | null, requester: Requester): void {
    this.held(sessionId, requester).state = state;
    this.#host.record({ op: "session", path: this.#path, sessionId, state });
  }

  /** Ids of the sessions that have messages or state. */
  ids(): string[] {
    const sessions = this.#sessions().all();
    return sessions.filter(({ messageCount, state }) => messageCount > 0 || state !== null).map(({ id }) => id);
  }

  #sessions(): SessionTable {
    if (this.#table !== undefined) return this.#table;
    throw new BrokerError("amqp:not-allowed", `The entity '${this.#path}' does not require sessions.`);
  }
}
