import pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { failureCode, isTransient } from "../postgres/failures.ts";
import { type Server } from "../postgres/server.ts";
import { readTables } from "../source/catalog.ts";
import { changeMigration } from "../target/bookkeeping.ts";
import { inOwnedTransaction, type Ownership } from "../target/ownership.ts";
import { inSession } from "./abortable.ts";
import { cleanDump } from "./dump-text.ts";
import { dumpSchema, type DumpOptions } from "./dump.ts";

export interface SchemaMigration extends DumpOptions {
  readonly source: Server;
  /** Opens a session on the target database; closed here. */
  readonly connectTarget: () => Promise<pg.Client>;
  readonly ownership: Ownership;
  /** The selected tables: the schema is made when the target has none of them. */
  readonly tables: readonly TableName[];
  /** Told of the restore: how many statements are done, of about how many. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** What became of the schema. */
export type SchemaOutcome = "made" | "takenAsItIs";

/**
 * Makes the source's whole schema on the target (tables, indexes, constraints, triggers, all), in one transaction that
 * also marks it as done: it is there entirely or not at all, so a worker that takes over just calls this again.
 *
 * When the target has all selected tables already, the schema is taken as it is. When it has some of them, that is an
 * error: whoever made them must say what was meant.
 * @throws MigrationError PgDumpUnusable, SchemaRestoreFailed, TableMissingOnTarget, LostOwnership.
 */
export function migrateSchema({
  source,
  connectTarget,
  ownership,
  tables,
  onProgress,
  ...options
}: SchemaMigration): Promise<SchemaOutcome> {
  return inSession(connectTarget, options.signal, async (client) => {
    const target = await readTarget(client, tables);
    if (target.absent.length === 0 && tables.length > 0) {
      await changeMigration(client, ownership, { isSchemaDone: true });
      return "takenAsItIs";
    }
    refuseSome(target.absent, tables);
    const dump = cleanDump(await dumpSchema(source, options), target.versionNum);
    const hasPublic = await withConnection(source, { purpose: "schemas" }, hasPublicSchema);
    options.signal.throwIfAborted();
    const sql = hasPublic ? `CREATE SCHEMA IF NOT EXISTS public;\n${dump}` : dump;
    const stopCounting = countStatements(client, sql, onProgress);
    await restore(client, ownership, sql).finally(stopCounting);
    return "made";
  });
}

async function readTarget(client: pg.Client, tables: readonly TableName[]): Promise<{ absent: TableName[]; versionNum: number }> {
  const version = await versionNum(client);
  const present = new Set((await readTables(client, version)).map(tableKey));
  return { absent: tables.filter((table) => !present.has(tableKey(table))), versionNum: version };
}

function refuseSome(absent: readonly TableName[], all: readonly TableName[]): void {
  if (absent.length === all.length) return;
  throw new MigrationError("TableMissingOnTarget", {
    detail: `The target has some of the selected tables, but not ${absent.slice(0, 10).map(displayName).join(", ")}.`,
    remedy: "Empty the target database to have the whole schema made, or restore what is missing by hand.",
  });
}

/** pg_dump never writes CREATE SCHEMA public, since every new database has it; a target may have lost it. */
async function hasPublicSchema(client: pg.ClientBase): Promise<boolean> {
  return (await client.query("SELECT FROM pg_namespace WHERE nspname = 'public'")).rowCount === 1;
}

/** Statements end with a line; a function's body has such lines as well, so the total is a little too high. */
const STATEMENT_END = /;\n/g;

/** The server says of each statement that it is done, also within one simple query. */
function countStatements(client: pg.Client, sql: string, onProgress: SchemaMigration["onProgress"]): () => void {
  if (!onProgress) return () => undefined;
  const total = sql.match(STATEMENT_END)?.length ?? 0;
  let done = 0;
  const onDone = (): void => onProgress(Math.min(++done, total), total);
  client.connection.on("commandComplete", onDone);
  return () => client.connection.off("commandComplete", onDone);
}

/** The dump's text changes settings of its session, so the session is used for nothing else afterwards. */
async function restore(client: pg.Client, ownership: Ownership, sql: string): Promise<void> {
  await inOwnedTransaction(client, ownership, async () => {
    try {
      await client.query(sql);
    } catch (thrown) {
      throw restoreFailure(thrown, sql);
    }
    await changeMigration(client, ownership, { isSchemaDone: true });
  });
}

const STATEMENT_CHARS_MAX = 300;

/** The table of locks is full (also other memory, which a restore does not need): waiting does not mend it. */
const OUT_OF_MEMORY = "53200";

const MORE_LOCKS =
  "On the target: ALTER SYSTEM SET max_locks_per_transaction = 1024; and restart it (on Azure: set the server parameter). Then run the task again.";

function restoreFailure(thrown: unknown, sql: string): unknown {
  if (failureCode(thrown) === OUT_OF_MEMORY && thrown instanceof pg.DatabaseError) {
    const detail = `${[thrown.message, thrown.hint].filter(Boolean).join(" ")}`;
    // Without its cause, which would be tried again for ever.
    return new MigrationError("SchemaRestoreFailed", { detail, sqlState: OUT_OF_MEMORY, remedy: MORE_LOCKS });
  }
  if (isTransient(thrown) || !(thrown instanceof pg.DatabaseError)) return thrown;
  const said = [thrown.message, thrown.detail, thrown.hint].filter(Boolean).join(" ");
  const place = thrown.position === undefined ? "" : ` Near: ${excerpt(sql, Number(thrown.position))}`;
  const sqlState = failureCode(thrown);
  return new MigrationError("SchemaRestoreFailed", {
    detail: `${said}.${place}`,
    cause: thrown,
    ...(sqlState === undefined ? {} : { sqlState }),
  });
}

/** The statement around a position (in characters, from 1), as far as blank lines tell; no further, for the next may hold a password. */
export function excerpt(sql: string, position: number): string {
  const start = sql.lastIndexOf("\n\n", position - 1) + 2;
  const end = sql.indexOf("\n\n", start);
  const statement = sql.slice(start, end < 0 ? undefined : end);
  return /^CREATE (USER MAPPING|SERVER)/.test(statement)
    ? "a statement that may hold a password."
    : statement.slice(0, STATEMENT_CHARS_MAX).trim();
}
