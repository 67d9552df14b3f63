import { MigrationError } from "../../contracts/errors.ts";
import { type Lsn } from "../../contracts/lsn.ts";
import { displayName, type TableName } from "../../contracts/tables.ts";
import { type Column } from "../source/catalog.ts";
import { quoteName, quoteTable } from "../postgres/quote.ts";
import { typesFit, withoutModifier } from "../schema/compare.ts";
import { builtInTypeName } from "./built-in-types.ts";
import { type Spread } from "./lanes.ts";
import { type LoadedParts } from "./loaded-parts.ts";
import { type Relation } from "./pgoutput.ts";

/** What the migration knows of a table before its first change arrives. */
export interface SyncTarget extends TableName {
  /** Where it is known: the table on the source, whatever it is called by now. */
  readonly sourceOid?: number;
  /** Name on the target; a partition may go to a table that is cut otherwise. */
  readonly target: TableName;
  readonly isTargetPartitioned: boolean;
  /** Other tables of the source go to the same table of the target. */
  readonly isTargetShared?: boolean;
  /** What all rows of a source's partition fulfil and no others, as SQL; undefined where no expression says it. */
  readonly partitionCondition?: string | undefined;
  /** Columns of the target's table by name, generated ones left out. */
  readonly targetColumns: ReadonlyMap<string, Column>;
  /** Columns pinned when the snapshot was taken. */
  readonly sourceColumns: readonly string[];
  /** Columns that test_decoding names although nobody wants them: generated ones. */
  readonly ignoredColumns?: ReadonlySet<string>;
  /** Names of the source's types, in which test_decoding may write letters of its own encoding. */
  readonly sourceTypeNames?: readonly string[];
  /** Key columns on the target that identify a row; empty when rows can only be told apart by all their values. */
  readonly keyColumns: readonly string[];
  /** Changes that committed before it are in the loaded rows. */
  readonly snapshotLsn: Lsn;
  /** Parts of the table are of later snapshots. */
  readonly parts?: LoadedParts;
  /** How its changes may be spread over several sessions of the target; left out: not at all. */
  readonly spread?: Spread;
  /** Whether updates and deletes are published at all. */
  readonly isInsertOnly: boolean;
}

/** A table of the stream: how the columns of its rows map to the target. Made once for each Relation message. */
export interface SyncTable {
  readonly definition: SyncTarget;
  /** Number of the table within this session: names of staging tables and prepared statements come from it. */
  readonly number: number;
  readonly columns: readonly SyncColumn[];
  /** Positions of the key columns in a row of the stream; empty: rows are told apart by all their values. */
  readonly keyPositions: readonly number[];
  /** `ONLY "s"."t"`, or without ONLY when the target is partitioned. */
  readonly targetSql: string;
}

export interface SyncColumn {
  readonly name: string;
  /** Position in a row of the stream. */
  readonly position: number;
  readonly quoted: string;
  readonly typeName: string;
  readonly typeOid: number;
  /** As in Column. */
  readonly enumName?: string;
}

/** Old rows carry the columns of a key only: the primary key's, or an index's. */
const KEY_IDENTITIES = new Set(["d", "i"]);

/**
 * Fits a relation of the stream to the table that was loaded.
 * @throws MigrationError SourceTableChanged when its columns are no longer those of the load, with the statement that mends the target.
 */
export function toSyncTable(relation: Relation, definition: SyncTarget, number: number): SyncTable {
  const columns = relation.columns.map((column, position) => {
    const found = definition.targetColumns.get(column.name);
    const typeNow = column.typeName ?? builtInTypeName(column.typeOid, column.typeModifier);
    if (!found)
      throw columnChanged(definition, `Column ${column.name} was added or renamed on the source.`, { name: column.name, typeNow });
    // A name without a modifier can only be held against another such.
    const expected = column.typeName === undefined ? found.typeName : withoutModifier(found.typeName);
    if (typeNow !== undefined && !typesFit(typeNow, expected)) throw typeChanged(definition, found, typeNow);
    const { typeName, typeOid, enumName } = found;
    return { name: column.name, position, quoted: quoteName(column.name), typeName, typeOid, ...(enumName ? { enumName } : {}) };
  });
  const sent = new Set(relation.columns.map((column) => column.name));
  const gone = definition.sourceColumns.find((name) => !sent.has(name));
  if (gone !== undefined) throw columnChanged(definition, `Column ${gone} was dropped or renamed on the source.`);
  const lost = definition.keyColumns.find((name) => !relation.columns.some((column) => column.name === name && column.isKey));
  if (
    KEY_IDENTITIES.has(relation.replicaIdentity) &&
    !definition.isInsertOnly &&
    (lost !== undefined || definition.keyColumns.length === 0)
  )
    throw identityChanged(definition, lost);
  const keyPositions = definition.keyColumns.map((name) => relation.columns.findIndex((column) => column.name === name));
  return {
    definition,
    number,
    columns,
    keyPositions: keyPositions.includes(-1) ? [] : keyPositions,
    targetSql: `${definition.isTargetPartitioned ? "" : "ONLY "}${quoteTable(definition.target)}`,
  };
}

/** Types whose bare name means a length of one. */
const ONE_LONG = /^(character|bit)(?=(\[\])*$)/;

/** The type as a statement may name it, when its modifier is not known. */
const bareType = (typeName: string): string => typeName.replace(ONE_LONG, (name) => `${name}(…)`);

function typeChanged(table: SyncTarget, column: Column, typeNow: string): MigrationError {
  return new MigrationError("SourceTableChanged", {
    table: displayName(table),
    detail: `Column ${column.name} is ${typeNow} on the source now, ${column.typeName} on the target.`,
    remedy: `On the target: ${alterType(table, column, bareType(typeNow))}; the migration goes on by itself.`,
  });
}

/** A value came that the target's type would round, cut or pad: the source's has another length or precision now. */
export function modifierChanged(table: SyncTarget, column: Column): MigrationError {
  const bare = bareType(withoutModifier(column.typeName));
  return new MigrationError("SourceTableChanged", {
    table: displayName(table),
    detail: `Column ${column.name} is ${column.typeName} on the target, and the source sent a value that this would change.`,
    remedy: `On the target: ${alterType(table, column, bare)}; (or with the source's own length or precision). The migration goes on by itself.`,
  });
}

const alterType = (table: SyncTarget, column: Column, typeName: string): string =>
  `ALTER TABLE ${quoteTable(table.target)} ALTER COLUMN ${quoteName(column.name)} TYPE ${typeName}`;

/** Old rows no longer carry what tells the target's rows apart: a column of the key, or, without one, all of them. */
export function identityChanged(table: SyncTarget, keyColumn: string | undefined): MigrationError {
  const lost = keyColumn === undefined ? "the whole old row" : `the key column ${keyColumn}`;
  return new MigrationError("SourceTableChanged", {
    table: displayName(table),
    detail: `Its replica identity was changed on the source: changes no longer carry ${lost}.`,
    remedy: `Give ${quoteTable(table)} on the source the replica identity that it had, and start a new migration: changes without it are in the stream already.`,
  });
}

function columnChanged(
  table: SyncTarget,
  detail: string,
  added?: { readonly name: string; readonly typeNow: string | undefined },
): MigrationError {
  const target = quoteTable(table.target);
  const type = added?.typeNow === undefined ? "with the source's type" : bareType(added.typeNow);
  return new MigrationError("SourceTableChanged", {
    table: displayName(table),
    detail,
    ...(added === undefined
      ? {}
      : { remedy: `On the target: ALTER TABLE ${target} ADD COLUMN ${quoteName(added.name)} ${type}; the migration goes on by itself.` }),
  });
}
