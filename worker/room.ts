import { totalmem } from "node:os";

const MB = 1024 * 1024;

/** The process without any database. */
const WORKER_MB = 256;

/** What one database takes when changes flood in: the heap of its thread and the buffers beside it. A third of it when idle. */
const DATABASE_MB = 100;

/** After it was told its share, a worker leaves what is over it to the others for so long. */
const SHARE_KEPT_MS = 30_000;

/** How many databases have room in so much memory; one always has. */
export const databasesIn = (memoryBytes: number): number => Math.max(1, Math.floor((memoryBytes / MB - WORKER_MB) / DATABASE_MB));

/** What this process may have: the container's limit, or the machine's memory where there is none. */
export function memoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** Decides whether a worker takes another task. */
export class Room {
  readonly #tasksMax: number;
  readonly #databasesMax: number;
  readonly #tasks = new Map<object, () => number>();
  #share = { tasks: Infinity, untilMs: 0 };

  constructor({ tasksMax, databasesMax }: { readonly tasksMax: number; readonly databasesMax: number }) {
    this.#tasksMax = tasksMax;
    this.#databasesMax = databasesMax;
  }

  /**
   * A task's session was accepted: from this moment it takes room, until this session is left.
   * @param databases of it that are being migrated now; how many it has is known only after it was taken
   */
  enter(session: object, databases: () => number): void {
    this.#tasks.set(session, databases);
  }

  leave(session: object): void {
    this.#tasks.delete(session);
  }

  /** The others have room: for a while no more than these. */
  keepTo(tasks: number, nowMs = Date.now()): void {
    this.#share = { tasks, untilMs: nowMs + SHARE_KEPT_MS };
  }

  /** Whether another task may be taken. One task is taken however many databases it has. */
  hasMore(nowMs = Date.now()): boolean {
    const tasksMax = nowMs < this.#share.untilMs ? Math.min(this.#share.tasks, this.#tasksMax) : this.#tasksMax;
    const databases = [...this.#tasks.values()].reduce((sum, count) => sum + Math.max(1, count()), 0);
    return this.#tasks.size < tasksMax && databases < this.#databasesMax;
  }
}
