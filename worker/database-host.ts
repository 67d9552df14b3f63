import { Worker } from "node:worker_threads";
import { type DatabaseJob, type FromDatabase, type ToDatabase } from "./database-job.ts";

/** Bounds the memory of one database's thread; buffers of rows are outside of it. */
const HEAP_MB_MAX = 192;

export interface DatabaseThreadEvents {
  readonly onMessage: (message: FromDatabase) => void;
  /** The thread is gone; with an error when it died of one. */
  readonly onExit: (error: Error | undefined) => void;
}

/** A thread that migrates one database, seen from the main thread. */
export interface DatabaseThread {
  readonly databaseName: string;
  tell(message: ToDatabase): void;
  /** Ends the thread at once, wherever it is. Safe at any moment: what it had not committed is as if it never was. */
  kill(): Promise<void>;
}

/** Starts the thread of one database. The worker always runs as built: the thread's bundle lies beside the main one. */
export function startDatabaseThread(job: DatabaseJob, { onMessage, onExit }: DatabaseThreadEvents): DatabaseThread {
  const thread = new Worker(new URL("./database-thread.js", import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  });
  let failure: Error | undefined;
  thread.on("message", onMessage);
  thread.on("error", (error: Error) => (failure = error));
  thread.on("exit", () => {
    onExit(failure);
  });
  return {
    databaseName: job.selected.name,
    tell: (message) => {
      thread.postMessage(message);
    },
    kill: async () => {
      await thread.terminate();
    },
  };
}
