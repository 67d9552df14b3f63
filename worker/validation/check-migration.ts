import type pg from "pg";
import { errors, MigrationError, reported, type ReportedError } from "../../contracts/errors.ts";
import { type Settings } from "../../contracts/settings.ts";
import { connect } from "../postgres/connect.ts";
import { inDatabase, type Server } from "../postgres/server.ts";
import { readTables, type TableDefinition } from "../source/catalog.ts";
import { readMigration, type MigrationRow } from "../target/bookkeeping.ts";
import { findTargets, readTargetTables } from "../target/find-targets.ts";
import { capacityChecks } from "./capacity.ts";
import { runChecks, type End, type MigrationContext, type Plugin } from "./check.ts";
import { allSourceChecks } from "./check-server.ts";
import { dataRiskChecks } from "./data-risks.ts";
import { readEnd, readServerFacts, type ServerFacts } from "./end.ts";
import { extensionChecks } from "./extensions.ts";
import { leftovers } from "./leftovers.ts";
import { portabilityChecks } from "./portability.ts";
import { targetIsSource } from "./same-database.ts";
import { selectTables } from "./select-tables.ts";
import { publicationObstacles, sourceTableChecks } from "./source-tables.ts";
import { pairServerChecks, targetServerChecks } from "./target-server.ts";
import { targetTableChecks } from "./target-tables.ts";

export interface MigrationCheckInput {
  readonly source: Server;
  readonly target: Server;
  readonly settings: Settings;
  /** Display names of the REST API; empty: every table. */
  readonly selectedTables: readonly string[];
  readonly signal: AbortSignal;
  readonly ownTaskId: string;
  /** Ids under which the task ran before it was restarted: what is left of them on the target is taken over. */
  readonly earlierTaskIds?: readonly string[];
  /** The migration was begun before: what it uses itself is not checked again. */
  readonly resuming: boolean;
}

export interface MigrationCheckResult {
  readonly findings: ReportedError[];
  /** The selected tables, as the source has them. */
  readonly tables: readonly TableDefinition[];
  readonly plugin: Plugin;
  /** False: the database is still to be made (settings.createDatabase). */
  readonly targetDatabaseExists: boolean;
  /** True: the schema is still to be made by migrateSchema. */
  readonly schemaIsOurs: boolean;
  readonly sourceServer: ServerFacts;
  readonly targetServer: ServerFacts;
}

/** Every check of a migration, in the order of the report. */
export const allMigrationChecks = [
  ...allSourceChecks,
  ...targetServerChecks,
  ...pairServerChecks,
  targetIsSource,
  leftovers,
  ...sourceTableChecks,
  ...targetTableChecks,
  ...extensionChecks,
  ...portabilityChecks,
  ...dataRiskChecks,
  ...capacityChecks,
] as const;

/**
 * Makes every check that applies before anything is changed on either side.
 * @throws MigrationError when one of the servers cannot be connected to; the caller tries again when that can help.
 */
export async function checkMigration(input: MigrationCheckInput): Promise<MigrationCheckResult> {
  const { source, target } = await connectBoth(input);
  try {
    return await check(input, source, target);
  } finally {
    await Promise.all([source, target.client].map((client) => client.end().catch(() => undefined)));
  }
}

/** True when a finding stops the migration. */
export const hasErrors = (findings: readonly ReportedError[]): boolean => findings.some(({ severity }) => severity === "error");

interface TargetConnection {
  readonly client: pg.Client;
  readonly server: Server;
  readonly databaseExists: boolean;
}

/** Both ends, each with its own error: when neither answers, the source's error carries the target's as well. */
async function connectBoth(input: MigrationCheckInput): Promise<{ source: pg.Client; target: TargetConnection }> {
  const [source, target] = await Promise.allSettled([connect(input.source, { purpose: "checks" }), connectTarget(input)]);
  if (source.status === "fulfilled" && target.status === "fulfilled") return { source: source.value, target: target.value };
  if (source.status === "fulfilled") await source.value.end().catch(() => undefined);
  if (target.status === "fulfilled") await target.value.client.end().catch(() => undefined);
  if (source.status === "fulfilled") throw (target as PromiseRejectedResult).reason;
  if (target.status === "fulfilled") throw source.reason;
  throw bothFailed(source.reason, target.reason);
}

function bothFailed(source: unknown, target: unknown): unknown {
  if (!(source instanceof MigrationError) || !(target instanceof MigrationError)) return source;
  return new MigrationError(source.kind, {
    ...source.detail,
    detail: `${source.detail.detail ?? ""} And: ${target.message}`,
    cause: source,
  });
}

/** A database that is still to be made is stood in for by the server's maintenance database. */
async function connectTarget({ target, settings }: MigrationCheckInput): Promise<TargetConnection> {
  try {
    return { client: await connect(target, { purpose: "checks" }), server: target, databaseExists: true };
  } catch (thrown) {
    if (!settings.createDatabase || !(thrown instanceof MigrationError) || thrown.kind !== "TargetDatabaseMissing") throw thrown;
    const maintenance = inDatabase(target, "postgres");
    return { client: await connect(maintenance, { purpose: "checks" }), server: maintenance, databaseExists: false };
  }
}

async function check(
  input: MigrationCheckInput,
  sourceClient: pg.Client,
  targetConnection: TargetConnection,
): Promise<MigrationCheckResult> {
  const source = await readEnd(sourceClient, input.source);
  const target = await readEnd(targetConnection.client, targetConnection.server);
  const context = await readContext(input, source, target, targetConnection.databaseExists);
  return {
    findings: await runSelected(context, input),
    tables: context.tables,
    plugin: context.plugin,
    targetDatabaseExists: context.targetDatabaseExists,
    schemaIsOurs: context.schemaIsOurs,
    sourceServer: await readServerFacts(sourceClient),
    targetServer: await readServerFacts(targetConnection.client),
  };
}

async function readContext(input: MigrationCheckInput, source: End, target: End, databaseExists: boolean): Promise<MigrationContext> {
  const { settings, selectedTables, signal, ownTaskId, earlierTaskIds = [] } = input;
  const { includeTables, excludeTables } = settings;
  const allTables = await readTables(source.client, source.versionNum);
  const selection = selectTables(allTables, { selectedTables, includeTables, excludeTables });
  const bookkeeping = databaseExists ? await readMigration(target.client) : undefined;
  const own = bookkeeping?.taskId === ownTaskId ? bookkeeping : undefined;
  return {
    source,
    target,
    signal,
    settings,
    slotTimeoutSeconds: settings.slotTimeoutSeconds,
    plugin: await choosePlugin(source, selection.tables, settings, own),
    targetDatabaseExists: databaseExists,
    tables: selection.tables,
    allTables,
    targets: databaseExists ? findTargets(selection.tables, await readTargetTables(target.client, target.versionNum)) : new Map(),
    unknownTables: selection.unknown,
    ownTaskId,
    earlierTaskIds,
    bookkeeping,
    schemaIsOurs: settings.migrateSchema && own?.isSchemaDone !== true,
  };
}

/** What a migration began with it keeps; `auto` takes pgoutput where the publication can be made. */
async function choosePlugin(
  source: End,
  tables: readonly TableDefinition[],
  settings: Settings,
  own: MigrationRow | undefined,
): Promise<Plugin> {
  if (own) return own.plugin;
  if (settings.plugin !== "auto") return settings.plugin;
  return (await publicationObstacles(source, tables)).length === 0 ? "pgoutput" : "test_decoding";
}

async function runSelected(context: MigrationContext, { settings, resuming, source }: MigrationCheckInput): Promise<ReportedError[]> {
  const skipped = new Set(settings.skipChecks);
  const made = allMigrationChecks.filter(({ kind, alsoOnResume }) => !skipped.has(errors[kind].code) && (!resuming || alsoOnResume));
  const databaseName = source.connection.databaseName;
  const findings = await runChecks<MigrationContext>(made, context, databaseName);
  // One check may find several kinds of things.
  const kept = findings.filter(({ code }) => !skipped.has(code));
  if (skipped.size === 0) return kept;
  return [...kept, reported("CheckSkipped", { detail: [...skipped].map(sayCheck).join(" "), databaseName })];
}

function sayCheck(code: string): string {
  const known = Object.values(errors).find((error) => error.code === code);
  return known ? `${code} (${known.title})` : `${code} is the code of no check.`;
}
