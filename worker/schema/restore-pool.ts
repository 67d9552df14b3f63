import pg from "pg";
import { reported, type ReportedError } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { failureCode, isTransient } from "../postgres/failures.ts";
import { withRetry } from "../postgres/retry.ts";
import { quietEventTriggers } from "../target/replica-role.ts";
import { type Ownership } from "../target/ownership.ts";
import { abortable, closeSession, openSession, type Session } from "./abortable.ts";
import { recordFailure, restoreDefinition, type DeferredDefinition } from "./deferred-ddl.ts";

export interface RestoreOptions {
  readonly connectTarget: () => Promise<pg.Client>;
  readonly ownership: Ownership;
  /** How many statements run at once. */
  readonly indexBuilders: number;
  readonly maintenanceWorkMemMB: number;
  /** An index of a smaller table is built by one process, whatever the server would take for it. */
  readonly largeTableMB: number;
  readonly signal: AbortSignal;
  /** Told after each definition: how many of this stage are done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What came of bringing definitions back. */
export interface RestoreResult {
  readonly restored: number;
  /** One for each that could not be brought back; they stay in pgdms.deferred_ddl. */
  readonly failures: readonly ReportedError[];
}

/**
 * Brings definitions back, a bounded number at once. A statement that the server refuses is a failure in the result;
 * everything else (ownership lost, signal aborted) ends the whole pool, and every restore rejects with it.
 */
export class RestorePool {
  readonly failures: ReportedError[] = [];
  restored = 0;
  private readonly options: RestoreOptions;
  private readonly stopped = new AbortController();
  private readonly signal: AbortSignal;
  private free: number;
  private readonly waiting: (() => void)[] = [];
  private readonly idle: Session[] = [];

  constructor(options: RestoreOptions) {
    this.options = options;
    this.free = options.indexBuilders;
    this.signal = AbortSignal.any([options.signal, this.stopped.signal]);
  }

  /** @returns whether it is back. */
  async restore(definition: DeferredDefinition): Promise<boolean> {
    await this.enter();
    try {
      this.signal.throwIfAborted();
      return await withRetry(() => this.tryRestore(definition), { signal: this.signal });
    } catch (thrown) {
      this.stop(thrown);
      throw thrown;
    } finally {
      this.leave();
    }
  }

  /** Ends everything that is under way, and closes what is not. */
  stop(reason: unknown): void {
    this.stopped.abort(reason);
    void this.close();
  }

  /** Closes the sessions; for when nothing is under way. */
  async close(): Promise<void> {
    await Promise.all(this.idle.splice(0).map(closeSession));
  }

  /** A session in which something broke is not used again. */
  private async tryRestore(definition: DeferredDefinition): Promise<boolean> {
    const session = this.idle.pop() ?? (await this.open());
    try {
      const isBack = await abortable(session, this.options.connectTarget, this.signal, (client) => this.restoreOn(client, definition));
      if (this.signal.aborted) await closeSession(session);
      else this.idle.push(session);
      return isBack;
    } catch (thrown) {
      await closeSession(session);
      throw thrown;
    }
  }

  private async open(): Promise<Session> {
    const session = await openSession(this.options.connectTarget);
    await session.client.query(sessionSql(this.options));
    await quietEventTriggers(session.client);
    return session;
  }

  private async restoreOn(client: pg.Client, definition: DeferredDefinition): Promise<boolean> {
    try {
      await restoreDefinition(client, this.options.ownership, definition);
    } catch (thrown) {
      if (isTransient(thrown) || !(thrown instanceof pg.DatabaseError)) throw thrown;
      if (await recordFailure(client, definition, thrown.message)) {
        this.failures.push(toFailure(definition, thrown));
        return false;
      }
    }
    this.restored++;
    return true;
  }

  private async enter(): Promise<void> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private leave(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free++;
  }
}

/**
 * By itself a server gives one more process to the index of a table from 8 MB on, two from 24 MB on (compute_parallel_worker in
 * optimizer/path/allpaths.c): beside the other builders and the load that is only more work for the same index. Where one build
 * may become what all wait for, it has its way. The setting is there since 10.
 */
const sessionSql = ({ maintenanceWorkMemMB, largeTableMB }: RestoreOptions): string =>
  `SET maintenance_work_mem = '${maintenanceWorkMemMB}MB'; SET default_tablespace = '';
   SELECT set_config(name, '${largeTableMB}MB', false) FROM pg_settings WHERE name = 'min_parallel_table_scan_size'`;

function toFailure({ kind, table, objectName, restoreSql }: DeferredDefinition, thrown: pg.DatabaseError): ReportedError {
  const what = kind === "validation" ? `The foreign key ${objectName} is back, but NOT VALID` : `The ${kind} ${objectName} is not back`;
  const said = [thrown.message, thrown.detail].filter(Boolean).join(" ");
  const sqlState = failureCode(thrown);
  return reported("DefinitionNotRestored", {
    detail: `${displayName(table)}: ${what}: ${said}`,
    remedy: `Mend the cause, then run on the target: ${restoreSql};`,
    table: displayName(table),
    ...(sqlState === undefined ? {} : { sqlState }),
  });
}
