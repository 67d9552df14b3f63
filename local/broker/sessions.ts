import { type Consumer } from "./consumer.ts";
import { BrokerError, sessionLockLost } from "./errors.ts";
import { MinHeap } from "./heap.ts";

/** Who asks for something that only the holder of a session may do. */
export interface Requester {
  readonly connectionId: string;
  /** The receiver's link, if the request names it. */
  readonly linkName?: string | undefined;
}

/** A receiving link that takes one session. */
export interface SessionConsumer extends Consumer, Required<Requester> {
  /** The session is theirs. */
  accepted(sessionId: string, lockedUntilMs: number): void;
}

export interface Session {
  readonly id: string;
  /** Numbers of the messages that can be delivered. */
  readonly active: MinHeap<number>;
  messageCount: number;
  state: Buffer | null;
  holder: { readonly consumer: SessionConsumer; expiryMs: number } | undefined;
}

export type HeldSession = Session & { readonly holder: NonNullable<Session["holder"]> };

interface Waiter {
  readonly consumer: SessionConsumer;
  readonly deadlineMs: number;
}

/** The sessions of one entity: who holds which, which are ready for a holder, and who waits for the next one. */
export class SessionTable {
  readonly #sessions = new Map<string, Session>();
  /** Unlocked sessions with messages, the longest ready one first, so that no session starves. */
  readonly #ready = new Set<Session>();
  readonly #held = new Set<Session>();
  #waiters: Waiter[] = [];

  /** The session of that id, made if there is none. */
  open(id: string): Session {
    let session = this.#sessions.get(id);
    if (session === undefined) {
      session = { id, active: new MinHeap<number>(), messageCount: 0, state: null, holder: undefined };
      this.#sessions.set(id, session);
    }
    return session;
  }

  find(id: string): Session | undefined {
    return this.#sessions.get(id);
  }

  all(): Session[] {
    return [...this.#sessions.values()];
  }

  held(): Session[] {
    return [...this.#held];
  }

  /** @throws BrokerError `com.microsoft:session-cannot-be-locked` when someone else holds it. */
  hold(id: string, consumer: SessionConsumer, expiryMs: number): Session {
    const session = this.open(id);
    if (session.holder !== undefined) {
      throw new BrokerError(
        "com.microsoft:session-cannot-be-locked",
        `The requested session '${id}' cannot be accepted. It may be locked by another receiver.`,
      );
    }
    session.holder = { consumer, expiryMs };
    this.#held.add(session);
    this.#ready.delete(session);
    return session;
  }

  release(session: Session): void {
    session.holder = undefined;
    this.#held.delete(session);
    this.forgetIfEmpty(session);
  }

  forgetIfEmpty(session: Session): void {
    if (session.messageCount > 0 || session.state !== null || session.holder !== undefined) return;
    this.#sessions.delete(session.id);
    this.#ready.delete(session);
  }

  /** @throws BrokerError `com.microsoft:session-lock-lost` unless the requester holds the session now. */
  heldBy(id: string, requester: Requester): HeldSession {
    const session = this.#sessions.get(id);
    const holder = session?.holder;
    const isTheirs =
      holder?.consumer.connectionId === requester.connectionId &&
      (requester.linkName === undefined || holder.consumer.linkName === requester.linkName);
    if (session === undefined || holder === undefined || !isTheirs) throw sessionLockLost(id);
    return session as HeldSession;
  }

  markReady(session: Session): void {
    this.#ready.add(session);
  }

  markNotReady(session: Session): void {
    this.#ready.delete(session);
  }

  firstReady(): Session | undefined {
    for (const session of this.#ready) return session;
    return undefined;
  }

  wait(waiter: Waiter): void {
    this.#waiters.push(waiter);
  }

  stopWaiting(consumer: Consumer): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.consumer !== consumer);
  }

  firstWaiter(): Waiter | undefined {
    return this.#waiters[0];
  }

  takeFirstWaiter(): Waiter | undefined {
    return this.#waiters.shift();
  }

  /** Takes out those who have waited long enough. */
  takeTimedOut(nowMs: number): Waiter[] {
    const timedOut = this.#waiters.filter(({ deadlineMs }) => deadlineMs <= nowMs);
    if (timedOut.length > 0) this.#waiters = this.#waiters.filter(({ deadlineMs }) => deadlineMs > nowMs);
    return timedOut;
  }

  nextDeadlineMs(): number {
    const locks = [...this.#held].map(({ holder }) => holder?.expiryMs ?? Infinity);
    return Math.min(...locks, ...this.#waiters.map(({ deadlineMs }) => deadlineMs));
  }
}
