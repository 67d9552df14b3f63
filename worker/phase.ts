import { MigrationError } from "../contracts/errors.ts";
import { type Migration } from "./migration.ts";

/** A phase of a database's migration that is over, as the main thread hears of it. */
export interface Phase {
  readonly name: string;
  readonly startedMs: number;
  readonly endedMs: number;
  /** Code of ours or class of the error that ended it; undefined: it did what it had to, or was told to stop. */
  readonly error: string | undefined;
  /** The cutover command that it belongs to. */
  readonly commandId?: string;
}

interface PhaseOptions<T> {
  readonly name: string;
  readonly commandId?: string;
  /** Tells a result that says no from one that says yes. */
  readonly refusalOf?: (result: T) => string | undefined;
}

/** Does one phase and tells how long it took, in the log and to the main thread. */
export async function inPhase<T>(
  { log, orders, tell }: Pick<Migration, "log" | "orders" | "tell">,
  { name, commandId, refusalOf }: PhaseOptions<T>,
  work: () => Promise<T>,
): Promise<T> {
  const startedMs = Date.now();
  const end = (error: string | undefined): void => {
    const endedMs = Date.now();
    log.info(
      { event: "phase.ended", phase: name, durationMs: endedMs - startedMs, ...(error === undefined ? {} : { error }) },
      "phase ended",
    );
    tell({ kind: "phase", phase: { name, startedMs, endedMs, error, ...(commandId === undefined ? {} : { commandId }) } });
  };
  try {
    const result = await work();
    end(refusalOf?.(result));
    return result;
  } catch (thrown) {
    end(orders.signal.aborted ? undefined : errorType(thrown));
    throw thrown;
  }
}

const errorType = (thrown: unknown): string =>
  thrown instanceof MigrationError ? thrown.kind : thrown instanceof Error ? thrown.name : "unknown";
