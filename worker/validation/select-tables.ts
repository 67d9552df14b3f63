import { displayName, parseTableName, tableKey, type TableName } from "../../contracts/tables.ts";
import { type TableDefinition } from "../source/catalog.ts";

export interface TableSelection {
  /** Display names; a partitioned table means its partitions. Empty: every table. */
  readonly selectedTables: readonly string[];
  /** Patterns; `*` and `?` match any characters. Empty: no further limit. */
  readonly includeTables: readonly string[];
  readonly excludeTables: readonly string[];
}

export interface SelectedTables {
  readonly tables: readonly TableDefinition[];
  /** Names and include patterns that fit no table, as they were given. */
  readonly unknown: readonly string[];
}

/** A table is meant by its own name, or by that of a partitioned table that it is a part of, at any height. */
export const namesOf = (table: TableDefinition): TableName[] => [
  table,
  ...(table.partitionAncestors ?? []),
  ...(table.partitionRoot ? [table.partitionRoot] : []),
];

/**
 * Which of all tables are to be migrated. Pure; the order of `all` is kept.
 */
export function selectTables(all: readonly TableDefinition[], selection: TableSelection): SelectedTables {
  const unknown: string[] = [];
  const named = selection.selectedTables.length === 0 ? all : pickNamed(all, selection.selectedTables, unknown);
  const included = selection.includeTables.length === 0 ? named : pickMatching(named, selection.includeTables, unknown);
  const excluded = selection.excludeTables.map(matcher);
  return { tables: included.filter((table) => !excluded.some((matches) => namesOf(table).some(matches))), unknown };
}

function pickNamed(all: readonly TableDefinition[], names: readonly string[], unknown: string[]): TableDefinition[] {
  const known = new Set(all.flatMap(namesOf).map(tableKey));
  const wanted = new Set<string>();
  for (const text of names) {
    const name = parseTableName(text);
    if (name && known.has(tableKey(name))) wanted.add(tableKey(name));
    else unknown.push(text);
  }
  return all.filter((table) => namesOf(table).some((name) => wanted.has(tableKey(name))));
}

function pickMatching(tables: readonly TableDefinition[], patterns: readonly string[], unknown: string[]): TableDefinition[] {
  const matchers = patterns.map((pattern) => ({ pattern, matches: matcher(pattern) }));
  for (const { pattern, matches } of matchers) {
    if (!tables.some((table) => namesOf(table).some(matches))) unknown.push(pattern);
  }
  return tables.filter((table) => matchers.some(({ matches }) => namesOf(table).some(matches)));
}

/** A pattern as a test; what is no table name matches nothing. */
function matcher(pattern: string): (name: TableName) => boolean {
  const parsed = parseTableName(pattern);
  if (!parsed) return () => false;
  const [isSchema, isName] = [wildcard(parsed.schema), wildcard(parsed.name)];
  return (table) => isSchema(table.schema) && isName(table.name);
}

/**
 * `*` and `?` as in a shell. No regular expression: one with many stars takes longer than anybody waits on a name that nearly
 * fits. Here the last star alone is tried again, so the time is the product of both lengths at most.
 */
function wildcard(pattern: string): (name: string) => boolean {
  const wanted = [...pattern];
  return (name) => {
    const given = [...name];
    let [at, star, resumeAt] = [0, -1, 0];
    for (let index = 0; index < given.length;) {
      if (wanted[at] === "*") [star, resumeAt] = [at++, index];
      else if (wanted[at] === "?" || wanted[at] === given[index]) [at, index] = [at + 1, index + 1];
      else if (star >= 0) [at, index] = [star + 1, ++resumeAt];
      else return false;
    }
    return wanted.slice(at).every((sign) => sign === "*");
  };
}

const PLAIN = /^[^".]+$/s;

const writtenPart = (part: string): string => (PLAIN.test(part) && part.trim() === part ? part : `"${part.replaceAll('"', '""')}"`);

/** A table's name so that parseTableName reads it back, whatever it holds: dots and quotes make it quoted. */
export const writtenName = ({ schema, name }: TableName): string => displayName({ schema: writtenPart(schema), name: writtenPart(name) });
