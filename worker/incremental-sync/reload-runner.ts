import { MigrationError, type ReportedError, reported, reportedFrom } from "../../contracts/errors.ts";
import { displayName, parseTableName, tableKey, type TableName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { type ReloadOrder } from "../orders.ts";
import { inPhase } from "../phase.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { readStepsToFit } from "../schema/fit-table.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { inOwnedTransaction } from "../target/ownership.ts";
import { type Prepared } from "../target/prepare.ts";
import { askReload, readSuspended, type SuspendedTable } from "../target/table-states.ts";
import { type Turn } from "../turn.ts";
import { joinTables } from "./join.ts";
import { OwnReloads } from "./own-reloads.ts";
import { reloadTables } from "./reload.ts";
import { suspend, whySuspended, withNeighbours } from "./suspend.ts";
import { type RunningSync } from "./sync-phase.ts";

/** How often it is looked whether a table whose definition was changed fits again. */
const FITS_INTERVAL_MS = 3_000;

/** The code of tables that are suspended until their definition fits. */
const CHANGED = reported("SourceTableChanged").code;

/** Loads tables anew, one batch after the other, when users ask for it and when what they were suspended for is mended. */
export class ReloadRunner {
  readonly #migration: Migration;
  readonly #prepared: Prepared;
  readonly #sync: RunningSync;
  readonly #turn: Turn;
  readonly #ownReloads = new OwnReloads();
  /** Orders under way, with the keys of their tables. */
  readonly #open = new Map<string, ReadonlySet<string>>();

  constructor(migration: Migration, prepared: Prepared, { sync, turn }: { readonly sync: RunningSync; readonly turn: Turn }) {
    this.#migration = migration;
    this.#prepared = prepared;
    this.#sync = sync;
    this.#turn = turn;
  }

  /** Runs until the signal ends it. */
  async run(): Promise<never> {
    const { orders, signal, log } = this.#migration;
    for (;;) {
      await withRetry(() => this.#once(), {
        signal,
        onRetry: (thrown) => log.warn({ event: "reload.retry", err: thrown }, "a reload could not go on yet; trying again"),
      });
      await orders.reloadAsked(signal, FITS_INTERVAL_MS);
    }
  }

  async #once(): Promise<void> {
    const { orders, target } = this.#migration;
    // Not while a cutover goes on, which has seen by then that no table is left out.
    for (const order of orders.waitingReloads()) await this.#turn.run(() => this.#accept(order));
    const suspended = await withConnection(target, { purpose: "reload" }, readSuspended);
    const asked = [...suspended.values()].filter(({ isReloadAsked }) => isReloadAsked);
    const wanted = new Set([...asked, ...(await this.#mended(suspended))].map(tableKey));
    const tables = this.#prepared.tables.filter((table) => wanted.has(tableKey(table)));
    if (tables.length > 0) await this.#turn.run(() => this.#reload(tables));
  }

  /** Writes the wish down where it lasts. */
  async #accept(order: ReloadOrder): Promise<void> {
    const { orders, target, ownership, tell, settings } = this.#migration;
    const refuse = (error: ReportedError): void => {
      orders.reloadTaken(order);
      tell({ kind: "commandDone", commandId: order.commandId, errors: [error] });
    };
    if (settings.onExistingRows === "append")
      return refuse(
        reported("Conflict", {
          detail: "With onExistingRows append a table cannot be emptied: the rows of before cannot be told from the migrated ones.",
          remedy: "Start a new migration for the table.",
        }),
      );
    const found = await joinTables(this.#migration, this.#prepared, order.tableNames.map(toName)).catch((thrown: unknown) => {
      if (thrown instanceof MigrationError && !ENDS.has(thrown.kind)) return thrown;
      throw thrown;
    });
    if (found instanceof MigrationError) return refuse(reportedFrom(found));
    if (found.unknown.length > 0)
      return refuse(reported("TableMissingOnSource", { detail: `The migration has no such table: ${found.unknown.join(", ")}.` }));
    const tables = withNeighbours(this.#prepared.tables, found.tables);
    await withConnection(target, { purpose: "reload" }, (client) => inOwnedTransaction(client, ownership, () => askReload(client, tables)));
    this.#open.set(order.commandId, new Set(tables.map(tableKey)));
    orders.reloadTaken(order);
  }

  /** Tables whose definition fits again. */
  async #mended(suspended: ReadonlyMap<string, SuspendedTable>): Promise<ListedTable[]> {
    const { source, target, settings } = this.#migration;
    if (settings.onExistingRows === "append") return [];
    const changed = this.#prepared.tables.filter((table) => suspended.get(tableKey(table))?.error?.code === CHANGED);
    const fitting: ListedTable[] = [];
    for (const table of changed) {
      const key = tableKey(table);
      if (!this.#ownReloads.isDue(key, Date.now()) || (await readStepsToFit(source, target, table))?.length !== 0) continue;
      this.#ownReloads.began(key, Date.now());
      fitting.push(table);
    }
    return fitting;
  }

  async #reload(tables: readonly ListedTable[]): Promise<void> {
    const [migration, prepared] = [this.#migration, this.#prepared];
    try {
      await inPhase(migration, { name: "reload" }, () => reloadTables(migration, prepared, this.#sync, tables));
    } catch (thrown) {
      // What is about the tables, or about taking their snapshot, is theirs; all else is tried again or ends the migration.
      if (migration.signal.aborted || !(thrown instanceof MigrationError) || ENDS.has(thrown.kind)) throw thrown;
      await suspend(migration, withNeighbours(prepared.tables, tables), whySuspended(migration, thrown, "Then reload the table."));
    }
    await this.#settle();
  }

  /** Tells the orders whose tables are done, one way or the other. */
  async #settle(): Promise<void> {
    const { target, tell } = this.#migration;
    const suspended = await withConnection(target, { purpose: "reload" }, readSuspended);
    for (const [commandId, keys] of this.#open) {
      const left = [...keys].flatMap((key) => suspended.get(key) ?? []);
      if (left.some(({ isReloadAsked }) => isReloadAsked)) continue;
      this.#open.delete(commandId);
      tell({ kind: "commandDone", commandId, errors: left.map(({ error, ...table }) => error ?? reportedFrom(displayName(table))) });
    }
  }
}

/** Failures that are nobody's own: the runner's retry or the migration's end has to deal with them. */
const ENDS: ReadonlySet<string> = new Set(["LostOwnership", "SlotLost", "SourceUnreachable", "TargetUnreachable"]);

const toName = (text: string): TableName => parseTableName(text) ?? { schema: "", name: text };
