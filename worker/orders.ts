import { type Fence } from "../contracts/settings.ts";

/** Why work on a database stops before it is done; reasons of abort signals, told apart by their class. */
class CancelAsked extends Error {
  constructor() {
    super("the task was cancelled");
    this.name = "CancelAsked";
  }
}

/** The worker ends; another one goes on with the migration. */
export class StopAsked extends Error {
  constructor() {
    super("the worker stops");
    this.name = "StopAsked";
  }
}

/** A cutover that was asked for. */
export interface CutoverOrder {
  readonly commandId: string;
  readonly askedOn: string;
  /** Left out: the migration's setting counts. */
  readonly fence?: Fence | undefined;
}

/** Tables that are to be loaded anew. */
export interface ReloadOrder {
  readonly commandId: string;
  /** As the REST API has them. */
  readonly tableNames: readonly string[];
}

/** What users and operators want of a running migration, as the migration sees it. */
export class Orders {
  readonly #controller = new AbortController();
  readonly #cutovers: CutoverOrder[] = [];
  readonly #reloads: ReloadOrder[] = [];
  #wake: () => void = () => undefined;
  #wakeReloads: () => void = () => undefined;

  /** Aborts with CancelAsked or StopAsked, whichever comes first. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get isCancelled(): boolean {
    return this.signal.reason instanceof CancelAsked;
  }

  cancel(): void {
    this.#controller.abort(new CancelAsked());
  }

  stop(): void {
    this.#controller.abort(new StopAsked());
  }

  /** The same command may come twice: after a take-over it is delivered again. */
  cutOver(order: CutoverOrder): void {
    if (this.#cutovers.some(({ commandId }) => commandId === order.commandId)) return;
    this.#cutovers.push(order);
    this.#wake();
  }

  /**
   * Waits for the next cutover order; it stays the next one until it is done.
   * @throws the signal's reason.
   */
  async nextCutover(signal: AbortSignal): Promise<CutoverOrder> {
    while (this.#cutovers.length === 0) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    signal.throwIfAborted();
    return this.#cutovers[0] as CutoverOrder;
  }

  /** It has an outcome. */
  done(order: CutoverOrder): void {
    this.#cutovers.splice(this.#cutovers.indexOf(order), 1);
  }

  reload(order: ReloadOrder): void {
    if (this.#reloads.some(({ commandId }) => commandId === order.commandId)) return;
    this.#reloads.push(order);
    this.#wakeReloads();
  }

  /** Reloads that are not written down yet. */
  waitingReloads(): readonly ReloadOrder[] {
    return [...this.#reloads];
  }

  /** The order is written down, or refused. */
  reloadTaken(order: ReloadOrder): void {
    this.#reloads.splice(this.#reloads.indexOf(order), 1);
  }

  /**
   * Resolves when a reload waits, or after the time.
   * @throws the signal's reason.
   */
  async reloadAsked(signal: AbortSignal, timeoutMs: number): Promise<void> {
    signal.throwIfAborted();
    if (this.#reloads.length === 0)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        const onAbort = (): void => resolve();
        signal.addEventListener("abort", onAbort, { once: true });
        this.#wakeReloads = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", onAbort);
          resolve();
        };
      });
    this.#wakeReloads();
    signal.throwIfAborted();
  }

  /** Cutovers that nobody got to. */
  takeWaitingCutovers(): CutoverOrder[] {
    return this.#cutovers.splice(0);
  }
}
