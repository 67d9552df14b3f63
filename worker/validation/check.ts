import type pg from "pg";
import { reported, type ErrorKind, type ReportedError } from "../../contracts/errors.ts";
import { type Settings } from "../../contracts/settings.ts";
import { displayName, type TableName } from "../../contracts/tables.ts";
import { failureCode, isTransient } from "../postgres/failures.ts";
import { type Server } from "../postgres/server.ts";
import { type TableDefinition } from "../source/catalog.ts";
import { type MigrationRow } from "../target/bookkeeping.ts";
import { type FoundTarget } from "../target/find-targets.ts";

/** What a check found; the kind's title, severity and remedy come from the list of errors. */
export interface FindingDraft {
  /** Another kind than the check's own, where one query answers two questions. */
  readonly kind?: ErrorKind;
  /** What exactly was found. */
  readonly detail: string;
  /** The exact statement that mends it, where the list's remedy is too general. */
  readonly remedy?: string;
  /** Findings about a table have its name; all others of one check are told in one finding. */
  readonly table?: TableName;
}

/** A connection to one end, with what every check wants to know of it. */
export interface End {
  readonly client: pg.Client;
  readonly server: Server;
  /** server_version_num: 130010 for 13.10. */
  readonly versionNum: number;
  /** The role's name, quoted where SQL needs it. */
  readonly role: string;
  readonly isSuperuser: boolean;
}

export interface SourceContext {
  readonly source: End;
  readonly signal: AbortSignal;
  /** How long the temporary slot may take, in seconds. */
  readonly slotTimeoutSeconds: number;
  /** The plugin that the migration is going to use. */
  readonly plugin: Plugin;
}

interface TargetContext {
  readonly target: End;
  readonly signal: AbortSignal;
}

export type Plugin = "pgoutput" | "test_decoding";

export interface MigrationContext extends SourceContext, TargetContext {
  readonly settings: Settings;
  /** False when createDatabase is going to make it; `target` is then connected to another database of the server. */
  readonly targetDatabaseExists: boolean;
  /** The selected tables, as the source has them. */
  readonly tables: readonly TableDefinition[];
  /** Every table of the source database. */
  readonly allTables: readonly TableDefinition[];
  /** Where the rows of the selected tables go, by tableKey of the source's. */
  readonly targets: ReadonlyMap<string, FoundTarget>;
  /** Names and patterns of the selection that no table of the source fits. */
  readonly unknownTables: readonly string[];
  readonly ownTaskId: string;
  /** Ids under which the task ran before it was restarted. */
  readonly earlierTaskIds: readonly string[];
  /** The bookkeeping that the target holds, ours or another's. */
  readonly bookkeeping: MigrationRow | undefined;
  /** The schema is still to be made by us. */
  readonly schemaIsOurs: boolean;
}

interface CheckBase {
  readonly kind: ErrorKind;
  /** Other kinds that its findings may be of. */
  readonly alsoFinds?: readonly ErrorKind[];
  /**
   * Also made when a migration is taken up again: what would make going on wrong. All else is only for the beginning, since
   * a migration under way uses it itself, or waits for it to pass (a fail-over, a right that is missing for a moment).
   */
  readonly alsoOnResume?: true;
}

export type SourceCheck = CheckBase & { readonly scope: "source"; run(context: SourceContext): Promise<FindingDraft[]> };
export type TargetCheck = CheckBase & { readonly scope: "target"; run(context: TargetContext): Promise<FindingDraft[]> };
export type PairCheck = CheckBase & { readonly scope: "both"; run(context: MigrationContext): Promise<FindingDraft[]> };

/** The check as a function of its context, whichever that is. */
interface RunnableCheck<C> extends CheckBase {
  run(context: C): Promise<FindingDraft[]>;
}

/** A draft whose kind is settled. */
type KindedDraft = FindingDraft & { readonly kind: ErrorKind };

/**
 * Makes the checks one after the other, all of them, whatever they find.
 * @returns what they found; a check that could not be made is a finding of its own.
 * @throws what breaks a connection.
 */
export async function runChecks<C extends { readonly signal: AbortSignal }>(
  checks: readonly RunnableCheck<C>[],
  context: C,
  databaseName?: string,
): Promise<ReportedError[]> {
  const drafts: KindedDraft[] = [];
  for (const check of checks) {
    context.signal.throwIfAborted();
    drafts.push(...(await runCheck(check, context)).map((draft) => ({ kind: check.kind, ...draft })));
  }
  return toFindings(drafts, databaseName);
}

async function runCheck<C>(check: RunnableCheck<C>, context: C): Promise<FindingDraft[]> {
  try {
    return await check.run(context);
  } catch (thrown) {
    // Only a statement that the server refused is the check's own failure.
    const sqlState = failureCode(thrown);
    if (isTransient(thrown) || sqlState === undefined || !/^[0-9A-Z]{5}$/.test(sqlState)) throw thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return [{ kind: "CheckFailed", detail: `The check for "${check.kind}" failed: ${reason} (${sqlState}).` }];
  }
}

/** More tables than this with one finding are counted, not listed. */
const TABLES_PER_FINDING_MAX = 50;

/**
 * Findings are told apart by their code and table, so there is one for each kind and table, and one for all else of the
 * kind. Pure.
 */
export function toFindings(drafts: readonly KindedDraft[], databaseName?: string): ReportedError[] {
  const kinds = [...new Set(drafts.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => {
    const ofKind = drafts.filter((draft) => draft.kind === kind);
    const tables = ofKind.filter(({ table }) => table !== undefined);
    const others = ofKind.filter(({ table }) => table === undefined);
    const rest = tables.length - TABLES_PER_FINDING_MAX;
    if (rest > 0) others.push({ kind, detail: `And ${rest} more tables.` });
    return [...(others.length > 0 ? [merged(kind, others)] : []), ...tables.slice(0, TABLES_PER_FINDING_MAX)].map((draft) =>
      toError(draft, databaseName),
    );
  });
}

function merged(kind: ErrorKind, drafts: readonly KindedDraft[]): KindedDraft {
  const remedies = [...new Set(drafts.flatMap(({ remedy }) => remedy ?? []))];
  const detail = drafts.map((draft) => draft.detail).join(" ");
  return { kind, detail, ...(remedies.length === 0 ? {} : { remedy: remedies.join(" ") }) };
}

function toError({ kind, detail, remedy, table }: KindedDraft, databaseName: string | undefined): ReportedError {
  return reported(kind, {
    detail: table ? `${displayName(table)}: ${detail}` : detail,
    ...(remedy === undefined ? {} : { remedy }),
    ...(table === undefined ? {} : { table: displayName(table) }),
    ...(databaseName === undefined ? {} : { databaseName }),
  });
}

const NAMES_SHOWN_MAX = 10;

/** A list of names for a message: the first ten, and how many more. */
export function listed(names: readonly string[]): string {
  const rest = names.length - NAMES_SHOWN_MAX;
  return rest > 0 ? `${names.slice(0, NAMES_SHOWN_MAX).join(", ")} and ${rest} more` : names.join(", ");
}
