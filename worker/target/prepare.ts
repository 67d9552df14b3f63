import { createHash } from "node:crypto";
import type pg from "pg";
import { tableKey, type TableName } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { type Migration } from "../migration.ts";
import { connect, versionNum, withConnection } from "../postgres/connect.ts";
import { commonEncoding, readEncoding } from "../postgres/encoding.ts";
import { quoteTable } from "../postgres/quote.ts";
import { withRetry } from "../postgres/retry.ts";
import { createDatabase } from "../schema/create-database.ts";
import { deferDefinitions } from "../schema/deferral.ts";
import { migrateSchema } from "../schema/migrate-schema.ts";
import { ensurePublication, type PublishedTable } from "../source/publication.ts";
import { type Checked } from "../validation/validate.ts";
import { changeMigration, type MigrationRow, takeOver } from "./bookkeeping.ts";
import { readTargetTables } from "./find-targets.ts";
import { showKnownProgress } from "./known-progress.ts";
import { listTables, readListedTables, type ListedTable } from "./listed-tables.ts";
import { canSetReplicaRole } from "./replica-role.ts";

/** What the later phases find ready. */
export interface Prepared {
  readonly row: MigrationRow;
  /** The tables of the migration, with what was pinned of them when it began, or when they were loaded anew. */
  tables: readonly ListedTable[];
  readonly sourceVersionNum: number;
  readonly targetVersionNum: number;
  /** Whether triggers and foreign keys stay quiet by session_replication_role. */
  readonly canBeReplica: boolean;
  /** UTF8, unless one side has bytes of no known encoding, which must pass unconverted. */
  readonly clientEncoding: string;
  /** Another one comes when a table joins that has no identity. */
  publications: readonly string[];
}

/** Sessions of one migration on either server carry the task's first digits in their application_name. */
const purposeOf = ({ ownership }: Migration, what: string): string => `${ownership.taskId.slice(0, 8)} ${what}`;

/**
 * Makes the target ours and ready for the load: bookkeeping, schema, and everything off that would slow the load or break
 * it. Each step finds out by itself whether it is done already.
 */
export async function prepare(migration: Migration, checked: Checked, signal: AbortSignal): Promise<Prepared> {
  const { board, log, tell } = migration;
  return withRetry(() => prepareOnce(migration, checked, signal), {
    signal,
    onRetry: (thrown, attempt) => {
      log.warn({ event: "prepare.retry", attempt, err: thrown }, "the preparation was interrupted; trying again");
      tell({ kind: "retried", what: "prepare" });
      board.change({ step: "waiting for the servers" });
    },
  });
}

async function prepareOnce(migration: Migration, checked: Checked, signal: AbortSignal): Promise<Prepared> {
  const { source, target, settings, ownership, board } = migration;
  if (settings.createDatabase && !checked.targetDatabaseExists) await createDatabase(source, target);
  const session = await connect(target, { purpose: purposeOf(migration, "prepare") });
  try {
    const row = await takeOwnership(migration, session, checked);
    enter(migration, row);
    if (!row.isSchemaDone) await makeSchema(migration, session, checked, signal);
    // Tables that came to the source since then join only when somebody asks for it.
    if (row.phase === "preparing" || row.phase === "loading")
      await listTables(session, ownership, {
        source: checked.tables,
        target: await readTargetTables(session, await versionNum(session)),
        tablesWithoutKey: settings.tablesWithoutKey,
      });
    await passing("tables-listed");
    const tables = await readListedTables(session, checked.tables);
    for (const table of tables)
      board.table(table, { rowsEstimate: table.definition.rowsEstimate, bytesEstimate: table.definition.sizeBytes });
    await showKnownProgress(board, session, row, tables);
    if (row.phase === "preparing") {
      board.change({ step: "setting indexes, constraints and triggers aside" });
      // Which tables are kept, and their indexes with them, the load finds out.
      await setAside(migration, tables, { deferIndexes: settings.deferIndexes && settings.onExistingRows !== "keepEqual", signal });
    }
    return { row, tables, ...(await prepareSource(migration, session, tables, row)) };
  } finally {
    await session.end();
  }
}

/** Takes away what slows or breaks the load of tables; what is away or back already stays so. */
export async function setAside(
  migration: Migration,
  tables: readonly ListedTable[],
  { deferIndexes, signal }: { readonly deferIndexes: boolean; readonly signal: AbortSignal },
): Promise<void> {
  await deferDefinitions({
    connectTarget: connectTo(migration),
    ownership: migration.ownership,
    tables: targetNames(tables),
    deferIndexes,
    small: smallTargets(tables),
    signal,
    onProgress: (done, total) => migration.board.change({ step: `setting indexes, constraints and triggers aside (${done} of ${total})` }),
  });
}

/** Takes the target over from whoever had it, and ends what an earlier worker may still have open. */
async function takeOwnership(migration: Migration, session: pg.Client, { plugin, known }: Checked): Promise<MigrationRow> {
  const { ownership, job, source, board } = migration;
  const name = objectName(job.taskId, job.selected.name);
  const startedOn = board.database.startedOn ?? new Date().toISOString();
  const { taskId, earlierTaskIds, selected } = job;
  const fresh = { taskId, earlierTaskIds, sourceDatabase: selected.name, slot: name, publication: name, plugin, startedOn };
  if (known) {
    await endEarlierSessions(session, migration);
    await withConnection(source, { purpose: "take-over" }, (client) => endEarlierSessions(client, migration));
  }
  const row = await takeOver(session, ownership.epoch, fresh);
  await passing("target-owned");
  return row;
}

/**
 * Ends the sessions of the worker before, so that nobody waits for locks or for the slot that a dead worker's half-open
 * connection still holds. Only sessions of the same role, task and database; never those of anybody else.
 */
async function endEarlierSessions(client: pg.ClientBase, migration: Migration): Promise<void> {
  await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE usename = session_user AND datname = current_database() AND pid <> pg_backend_pid()
        AND left(application_name, length($1)) = $1`,
    [`pgdms: ${purposeOf(migration, "")}`],
  );
}

/** A name for slot and publication that no other migration has: the task's id and a digest of the database's name. */
export const objectName = (taskId: string, databaseName: string): string =>
  `pgdms_${taskId.replaceAll("-", "")}_${createHash("sha256").update(databaseName).digest("hex").slice(0, 8)}`;

/** Puts the state on the board: the next one for a fresh migration, the one where it was for one that goes on. */
function enter({ board, log, ownership }: Migration, row: MigrationRow): void {
  if (row.phase === "preparing") {
    if (board.state === "UNDEFINED") board.event("validationBegan");
    if (board.state === "CONFIGURING") board.event("preparationBegan");
    board.change({ startedOn: row.startedOn });
    return;
  }
  log.info(
    { event: "migration.resumed", phase: row.phase, epoch: ownership.epoch, position: row.position?.toString() },
    "going on where the last worker was",
  );
  board.resumeAt(row.phase === "completing" ? "COMPLETING" : row.isReady ? "READY_TO_COMPLETE" : "RUNNING", row.startedOn);
}

async function makeSchema(migration: Migration, session: pg.Client, { schemaIsOurs, tables }: Checked, signal: AbortSignal): Promise<void> {
  const { source, ownership, job, board, settings } = migration;
  if (!schemaIsOurs) return await changeMigration(session, ownership, { isSchemaDone: true });
  board.change({ step: "reading the schema with pg_dump" });
  const outcome = await migrateSchema({
    source,
    connectTarget: connectTo(migration),
    ownership,
    tables,
    owners: settings.migrateOwners,
    privileges: settings.migratePrivileges,
    signal,
    onProgress: (done, total) => board.change({ step: `restoring the schema (${done} of ${total} statements)` }),
    ...(job.pgDumpPath === undefined ? {} : { pgDumpPath: job.pgDumpPath }),
  });
  if (outcome === "takenAsItIs") await changeMigration(session, ownership, { isSchemaDone: true });
}

const connectTo = (migration: Migration) => (): Promise<pg.Client> =>
  connect(migration.target, { purpose: purposeOf(migration, "schema") });

/** Identities and publications, before the slot: the plugin looks them up as they were at each change. */
async function prepareSource(
  migration: Migration,
  session: pg.Client,
  tables: readonly ListedTable[],
  row: MigrationRow,
): Promise<Omit<Prepared, "row" | "tables">> {
  const targetVersionNum = await versionNum(session);
  const canBeReplica = await canSetReplicaRole(session);
  return withConnection(migration.source, { purpose: purposeOf(migration, "prepare") }, async (client) => {
    const sourceVersionNum = await versionNum(client);
    const clientEncoding = commonEncoding(await readEncoding(client), await readEncoding(session));
    const publications = await publish(client, sourceVersionNum, tables, row);
    await passing("source-prepared");
    return { sourceVersionNum, targetVersionNum, canBeReplica, clientEncoding, publications };
  });
}

/** Makes the source log and publish what the tables need. @returns the publications to follow. */
export async function publish(
  source: pg.ClientBase,
  sourceVersionNum: number,
  tables: readonly ListedTable[],
  { plugin, publication }: Pick<MigrationRow, "plugin" | "publication">,
): Promise<readonly string[]> {
  for (const table of tables) if (needsIdentity(table)) await source.query(`ALTER TABLE ONLY ${quoteTable(table)} REPLICA IDENTITY FULL`);
  return plugin === "pgoutput" ? ensurePublication(source, sourceVersionNum, publication, tables.map(asPublished)) : [];
}

/** It is to have our identity, and has none yet. */
export const needsIdentity = (table: ListedTable): boolean => hasOurIdentity(table) && table.definition.identity.kind === "nothing";

/** A table as it is published: with the identity that it gets from us, where it has none. */
export const asPublished = (table: ListedTable): PublishedTable => ({
  ...table.definition,
  identity: hasOurIdentity(table) ? { kind: "full" } : table.definition.identity,
});

/** Its updates and deletes carry the whole old row because the setting asked for it. */
const hasOurIdentity = ({ hadNoIdentity, isInsertOnly }: ListedTable): boolean => hadNoIdentity && !isInsertOnly;

const targetNames = (tables: readonly ListedTable[]): TableName[] => [
  ...new Map(tables.map(({ target }) => [tableKey(target), target])).values(),
];

/** Up to this size of the source's table, rows go in as fast with the indexes in place. */
const SMALL_TABLE_BYTES = 1024 * 1024;

/** Targets that take the rows of small tables only. */
function smallTargets(tables: readonly ListedTable[]): TableName[] {
  const large = new Set(tables.filter(({ definition }) => definition.sizeBytes > SMALL_TABLE_BYTES).map(({ target }) => tableKey(target)));
  return targetNames(tables).filter((target) => !large.has(tableKey(target)));
}
