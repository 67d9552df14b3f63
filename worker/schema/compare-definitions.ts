import type pg from "pg";
import { type DefinitionDifference, type DefinitionsReport } from "../../contracts/reports.ts";
import { versionNum } from "../postgres/connect.ts";
import { definitionQueries, type DefinitionQuery } from "./definition-queries.ts";

export interface CompareDefinitions {
  readonly source: pg.Client;
  readonly target: pg.Client;
  /** `schema.table`, unquoted: only these and what belongs to them. Undefined: everything. */
  readonly onlyTables: readonly string[] | undefined;
  /** Off where the migration has changed it on the source for the time being. */
  readonly withReplicaIdentity: boolean;
  /** Only these kinds of object. Undefined: all. */
  readonly kinds?: readonly string[];
}

/**
 * Compares the definitions of both databases: what the catalogs say of every object of the user's, without owners and rights.
 * Both sides are read in the same order and page by page, so that thousands of tables take no memory.
 */
export async function compareDefinitions({
  source,
  target,
  onlyTables,
  withReplicaIdentity,
  kinds,
}: CompareDefinitions): Promise<DefinitionsReport> {
  const [sourceVersion, targetVersion] = [await versionNum(source), await versionNum(target)];
  const floor = Math.min(sourceVersion, targetVersion);
  const queries = (version: number, withInvalidIndexes: boolean): DefinitionQuery[] =>
    definitionQueries({ versionNum: version, floor, withInvalidIndexes, withReplicaIdentity }).filter(
      ({ kind, isOfTable }) => (isOfTable || onlyTables === undefined) && (kinds?.includes(kind) ?? true),
    );
  const targetQueries = new Map(queries(targetVersion, true).map((query) => [query.kind, query]));
  const found = new Found();
  const crosses16 = floor < 160_000 && Math.max(sourceVersion, targetVersion) >= 160_000;
  try {
    for (const client of [source, target]) await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    for (const query of queries(sourceVersion, false)) {
      const words = (text: string): string => sameWords(query.kind, text, crosses16);
      const ofTarget = targetQueries.get(query.kind);
      if (ofTarget) await compareKind(query.kind, pages(source, query, onlyTables), pages(target, ofTarget, onlyTables), words, found);
    }
  } finally {
    for (const client of [source, target]) await client.query("ROLLBACK").catch(() => undefined); // nothing was written
  }
  return found.report();
}

interface Definition {
  readonly name: string;
  readonly definition: string;
}

const PAGE_ROWS = 1_000;

/** The definitions of one kind by name, a page at a time. Byte order of UTF-8: both sides sort alike, whatever their collation. */
async function* pages(
  client: pg.Client,
  { sql, isOfTable }: DefinitionQuery,
  onlyTables: readonly string[] | undefined,
): AsyncGenerator<Definition> {
  const isChosen = isOfTable && onlyTables !== undefined ? "WHERE owner = ANY ($1::text[])" : "";
  await client.query(
    `DECLARE pgdms_definitions NO SCROLL CURSOR FOR SELECT name, definition FROM (${sql}) o ${isChosen} ORDER BY convert_to(name, 'UTF8')`,
    isChosen === "" ? [] : [onlyTables],
  );
  try {
    for (;;) {
      const { rows } = await client.query<Definition>(`FETCH ${PAGE_ROWS} FROM pgdms_definitions`);
      yield* rows;
      if (rows.length < PAGE_ROWS) return;
    }
  } finally {
    await client.query("CLOSE pgdms_definitions");
  }
}

/** Walks both lists side by side; what stands on one side only has no partner there. */
async function compareKind(
  kind: string,
  sources: AsyncGenerator<Definition>,
  targets: AsyncGenerator<Definition>,
  words: (text: string) => string,
  found: Found,
): Promise<void> {
  let [source, target] = [await sources.next(), await targets.next()];
  while (source.done !== true || target.done !== true) {
    const order = source.done === true ? 1 : target.done === true ? -1 : byteOrder(source.value.name, target.value.name);
    const ours = order <= 0 && source.done !== true ? source.value : undefined;
    const theirs = order >= 0 && target.done !== true ? target.value : undefined;
    const isSame = ours !== undefined && theirs !== undefined && words(ours.definition) === words(theirs.definition);
    found.add({ kind, name: (ours ?? theirs)?.name ?? "", source: ours?.definition ?? null, target: theirs?.definition ?? null }, isSame);
    if (ours) source = await sources.next();
    if (theirs) target = await targets.next();
  }
}

const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What versions of the server say in other words, made alike for comparing. The list is in docs/schema.md. */
function sameWords(kind: string, definition: string, crosses16: boolean): string {
  switch (kind) {
    // 11 and later write FUNCTION where all took PROCEDURE before.
    case "trigger":
      return definition.replace(/ EXECUTE PROCEDURE /, " EXECUTE FUNCTION ");
    // 14 and later say IN for the arguments of procedures.
    case "function":
      return definition.replace(/^CREATE OR REPLACE PROCEDURE .*/, (head) => head.replaceAll(/(?<=[(,] ?)IN (?=["\w])/g, ""));
    // 16 and later leave the table's name before a column out where only one table is read.
    case "view":
    case "materialized view":
    case "rule":
      return crosses16 ? definition.replaceAll(/(?<=[\s(])(?:"(?:[^"]|"")*"|\w+)\.(?=["\w]+(?:[\s,);]|$))/gm, "") : definition;
    default:
      return definition;
  }
}

/** Room for differences in one report: it is one message, and one row of the control plane. */
const DIFFERENCES_CHARACTERS_MAX = 20_000;
const DEFINITION_CHARACTERS_MAX = 1_200;

/** Counts everything, and keeps as many differences as the report has room for. */
class Found {
  readonly #differences: DefinitionDifference[] = [];
  #roomLeft = DIFFERENCES_CHARACTERS_MAX;
  #compared = 0;
  #missing = 0;
  #different = 0;
  #onlyOnTarget = 0;

  add(difference: DefinitionDifference, isSame: boolean): void {
    this.#compared++;
    if (isSame) return;
    if (difference.target === null) this.#missing++;
    else if (difference.source === null) this.#onlyOnTarget++;
    else this.#different++;
    this.#keep({ ...difference, source: cut(difference.source), target: cut(difference.target) });
  }

  #keep(difference: DefinitionDifference): void {
    const size = JSON.stringify(difference).length;
    if (size > this.#roomLeft) return;
    this.#roomLeft -= size;
    this.#differences.push(difference);
  }

  report(): DefinitionsReport {
    return {
      compared: this.#compared,
      missing: this.#missing,
      different: this.#different,
      onlyOnTarget: this.#onlyOnTarget,
      differences: this.#differences,
    };
  }
}

const cut = (text: string | null): string | null =>
  text === null || text.length <= DEFINITION_CHARACTERS_MAX ? text : `${text.slice(0, DEFINITION_CHARACTERS_MAX)}…`;
