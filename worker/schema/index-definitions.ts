import { displayName } from "../../contracts/tables.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { type Definition } from "./deferred-ddl.ts";
import { type ConstraintFacts, type IndexFacts } from "./index-catalog.ts";

/** Things that go and come together. */
export interface DeferralGroup {
  readonly definitions: readonly Definition[];
  /** Statements that take them away. */
  readonly drops: readonly string[];
  /** How many locks the statements take. */
  readonly locks: number;
}

/** What stays although it was to be deferred. */
export interface KeptDefinition {
  readonly table: string;
  readonly objectName: string;
  readonly because: string;
}

/** How to take one tree of indexes away (mostly a single one) and how to bring it back. */
export function indexGroup(tree: readonly IndexFacts[]): DeferralGroup {
  const top = tree.find(({ depth }) => depth === 0);
  if (!top) throw new Error("a tree of indexes has no top");
  return {
    definitions: [
      ...tree.flatMap((index) => (index.isPartitioned ? [parentDefinition(index)] : leafDefinitions(index))),
      ...tree.flatMap(attributes),
      ...tree.flatMap(attachment),
    ],
    drops: [dropStatement(top)],
    locks: 2 * tree.length,
  };
}

/** Partitions' indexes and constraints go with their parent's. */
const dropStatement = ({ constraint, table, name }: IndexFacts): string =>
  constraint
    ? `ALTER TABLE ${quoteTable(table)} DROP CONSTRAINT ${quoteName(constraint.name)}`
    : `DROP INDEX ${quoteTable({ schema: table.schema, name })}`;

const inTablespace = (tablespace: string | null, sql: string): string =>
  tablespace === null ? sql : `SET LOCAL default_tablespace = ${quoteName(tablespace)};\n${sql}`;

/**
 * A key is built as a unique index, which several sessions can do on one table at once, and then made a constraint.
 * Exclusion and period constraints can only be made whole, and so is a key that would change what its table inherits.
 */
function leafDefinitions(index: IndexFacts): Definition[] {
  const { constraint, table, name } = index;
  const build = (): Definition => ({
    stage: "load",
    kind: "index",
    table,
    objectName: name,
    restoreSql: inTablespace(index.tablespace, index.definition),
  });
  if (!constraint) return [build()];
  const add = `ALTER TABLE ONLY ${quoteTable(table)} ADD CONSTRAINT ${quoteName(constraint.name)}`;
  const whole = isMadeWhole(constraint) || (constraint.type === "primary" && index.inheritsNotNull);
  const restoreSql = whole
    ? inTablespace(index.tablespace, `${add} ${withOptions(constraint, index.options)}`)
    : `${add} ${constraint.type === "primary" ? "PRIMARY KEY" : "UNIQUE"} USING INDEX ${quoteName(name)}${deferrability(constraint)}`;
  const key: Definition = { stage: "load", kind: "constraint", table, objectName: constraint.name, restoreSql };
  return whole ? [key] : [build(), key];
}

const isMadeWhole = ({ type }: ConstraintFacts): boolean => type === "exclusion" || type === "period";

const deferrability = ({ isDeferrable, isDeferred }: ConstraintFacts): string =>
  `${isDeferrable ? " DEFERRABLE" : ""}${isDeferred ? " INITIALLY DEFERRED" : ""}`;

/** pg_get_indexdef writes ON ONLY for partitioned tables; pg_get_constraintdef leaves storage parameters out. */
function parentDefinition({ constraint, table, name, definition, options, tablespace }: IndexFacts): Definition {
  const sql = constraint
    ? `ALTER TABLE ONLY ${quoteTable(table)} ADD CONSTRAINT ${quoteName(constraint.name)} ${withOptions(constraint, options)}`
    : definition;
  return { stage: "load", kind: "parent", table, objectName: name, restoreSql: inTablespace(tablespace, sql) };
}

function withOptions(constraint: ConstraintFacts, options: string | null): string {
  const { definition, type } = constraint;
  // pg_dump itself leaves them out of exclusion constraints.
  if (options === null || type === "exclusion") return definition;
  const end = deferrability(constraint);
  return `${definition.slice(0, definition.length - end.length)} WITH (${options})${end}`;
}

/** Marks and comments, in one record: they are quick and go together. */
function attributes(index: IndexFacts): Definition[] {
  const { table, name, constraint } = index;
  const indexName = quoteTable({ schema: table.schema, name });
  const statements = [
    ...index.statistics.map((change) => `ALTER INDEX ${indexName} ${change}`),
    ...index.extensions.map((extension) => `ALTER INDEX ${indexName} DEPENDS ON EXTENSION ${extension}`),
    ...(index.isClustered ? [`ALTER TABLE ${quoteTable(table)} CLUSTER ON ${quoteName(name)}`] : []),
    ...(index.isReplicaIdentity ? [`ALTER TABLE ONLY ${quoteTable(table)} REPLICA IDENTITY USING INDEX ${quoteName(name)}`] : []),
    ...(index.comment === null ? [] : [`COMMENT ON INDEX ${indexName} IS ${quoteLiteral(index.comment)}`]),
    ...(!constraint || constraint.comment === null
      ? []
      : [`COMMENT ON CONSTRAINT ${quoteName(constraint.name)} ON ${quoteTable(table)} IS ${quoteLiteral(constraint.comment)}`]),
  ];
  if (statements.length === 0) return [];
  return [{ stage: "load", kind: "attributes", table, objectName: name, restoreSql: statements.join(";\n") }];
}

/** Recorded under the partition; made after all indexes of the stage. */
function attachment({ parent, table, name }: IndexFacts): Definition[] {
  if (!parent) return [];
  const restoreSql = `ALTER INDEX ${quoteTable(parent)} ATTACH PARTITION ${quoteTable({ schema: table.schema, name })}`;
  return [{ stage: "load", kind: "attach", table, objectName: name, restoreSql }];
}

/**
 * Which trees may go. A tree stays when a view or a function needs one of its indexes, or when dropping it would take more
 * locks than the server has to give.
 */
export function chooseTrees(indexes: readonly IndexFacts[], locksMax: number): { trees: IndexFacts[][]; kept: KeptDefinition[] } {
  const byTop = new Map<number, IndexFacts[]>();
  for (const index of indexes) {
    const tree = byTop.get(index.topOid);
    if (tree) tree.push(index);
    else byTop.set(index.topOid, [index]);
  }
  const trees: IndexFacts[][] = [];
  const kept: KeptDefinition[] = [];
  for (const tree of byTop.values()) {
    const reason = reasonToKeep(tree, locksMax);
    if (reason === undefined) trees.push(tree);
    else
      kept.push({ table: displayName((tree.at(-1) as IndexFacts).table), objectName: (tree.at(-1) as IndexFacts).name, because: reason });
  }
  return { trees, kept };
}

function reasonToKeep(tree: readonly IndexFacts[], locksMax: number): string | undefined {
  if (tree.some(({ isNeeded }) => isNeeded)) return "a view or a function depends on it";
  // "No support currently for comparing exclusion indexes" (index.c, CompareIndexInfo), which attaching them would need.
  if (tree.length > 1 && tree.some(({ constraint }) => constraint && isMadeWhole(constraint)))
    return "PostgreSQL cannot attach partitions to an exclusion or WITHOUT OVERLAPS constraint";
  return 2 * tree.length > locksMax ? "dropping it takes more locks than max_locks_per_transaction allows" : undefined;
}
