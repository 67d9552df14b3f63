import { MigrationError } from "../../contracts/errors.ts";
import { laterLsn, type Lsn, LSN_NEVER, LSN_ZERO } from "../../contracts/lsn.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { type StreamEvent } from "./decoder.ts";
import { type Column } from "../source/catalog.ts";
import { changeOfParts, type RowChange } from "./loaded-parts.ts";
import { modifierCheck } from "./modifier-check.ts";
import { identityChanged, modifierChanged, type SyncTable, type SyncTarget, toSyncTable } from "./sync-table.ts";
import { type NameReader, parseTestDecoding, type TextMessage, type TextRow, type TextTable, type TextValue } from "./test-decoding.ts";
import { truncationOf } from "./truncation.ts";
import { NULL_KIND, TEXT_KIND, type Tuple, tupleOf, UNCHANGED_KIND } from "./tuple.ts";

/**
 * The commit position of a transaction is not known before its commit with test_decoding, but whether its changes are in a
 * table's snapshot already depends on it. Thrown when changes were let through that should not have been: what was
 * learned is kept, and the stream is read again from the last position.
 */
export class CommitLearned extends Error {
  constructor(count: number) {
    super(`the commit positions of ${count} transactions are known now; reading them again`);
    this.name = "CommitLearned";
  }
}

/** Commit positions of transactions that had to be read twice, by xid. Outlives the connections of a sync. */
export type LearnedCommits = Map<number, Lsn>;

/** So many are learned in one reading at most. */
const LEARNED_MAX = 100_000;

const NOTHING: StreamEvent = { kind: "nothing" };
const LEARNING: StreamEvent = { kind: "learning" };

interface TextDecoderOptions {
  readonly learned: LearnedCommits;
  readonly readName: NameReader;
  /** Of the source, in which the values are. */
  readonly encoding: string;
}

type RowMessage = Extract<TextMessage, { kind: "insert" | "update" | "delete" }>;
type TruncateMessage = Extract<TextMessage, { kind: "truncate" }>;

/** A table with one set of columns, as rows of the stream name them. */
interface Shape {
  readonly table: SyncTable;
  /** Types of the columns, as far as the stream has named them. */
  readonly types: ReadonlyMap<string, string>;
  /** For each column of the table, its place in the text of a new row. */
  readonly places: readonly number[];
  /** Columns whose values may show that their precision or length is another now: the text names types without it. */
  readonly limits: readonly { readonly column: Column; readonly place: number; readonly fits: (value: Buffer) => boolean }[];
}

/** Turns the messages of one stream of test_decoding into events, with rows in the form of pgoutput. */
export class TestDecodingDecoder {
  readonly #targets: ReadonlyMap<string, SyncTarget>;
  readonly #options: TextDecoderOptions;
  readonly #shapes = new Map<SyncTarget, Map<string, Shape>>();
  /** What the stream showed last of a table. */
  readonly #latest = new Map<SyncTarget, Shape>();
  /** One for each set of columns, whatever shape it was seen in: changes of one row are folded by it. */
  readonly #tables = new Map<string, SyncTable>();
  #xid = 0;
  /** The latest snapshot position of a table that this transaction changed, unless its commit was known. */
  #doubtfulUpTo = LSN_ZERO;
  /** Past it every change is after the snapshot of its table. */
  readonly #certainFrom: Lsn;
  /** A transaction has begun to arrive. */
  #isArriving = false;
  /** The transaction that arrives, and all after it, commit past this position. */
  #passedLsn = LSN_ZERO;
  /** Something was let through that should not have been: nothing is applied any more, and the rest is read to learn from. */
  #isLearning = false;

  constructor(targets: ReadonlyMap<string, SyncTarget>, options: TextDecoderOptions) {
    this.#targets = targets;
    this.#options = options;
    const snapshots = [...targets.values()].map(certainFrom).filter((lsn) => lsn !== LSN_NEVER); // not the suspended
    this.#certainFrom = snapshots.reduce(laterLsn, LSN_ZERO);
  }

  /**
   * The source has sent everything before this position.
   * @throws CommitLearned when there is no more to learn.
   */
  reached(lsn: Lsn): void {
    if (this.#isLearning && !this.#isArriving && lsn > this.#certainFrom) throw new CommitLearned(this.#options.learned.size);
  }

  /**
   * Asked before a part of the transaction that arrives is applied. Where its changes may be in the loaded rows that would fail
   * (a row comes twice, or is gone), so it is read to its end first, and then again.
   * @returns whether nothing may be applied any more.
   */
  learnsFirst(): boolean {
    if (this.#doubtfulUpTo > this.#passedLsn) this.#isLearning = true;
    return this.#isLearning;
  }

  /**
   * @param lsn the position in the message's frame: of a change its own, of a COMMIT the end of its record (logical.c, commit_cb_wrapper).
   * @throws MigrationError SourceTableChanged, CommitLearned.
   */
  decode(bytes: Buffer, lsn: Lsn): StreamEvent {
    const event = this.#decode(bytes, lsn);
    this.#passedLsn = laterLsn(this.#passedLsn, lsn);
    return this.#isLearning ? LEARNING : event;
  }

  #decode(bytes: Buffer, lsn: Lsn): StreamEvent {
    const message = parseTestDecoding(bytes, this.#options.readName);
    switch (message.kind) {
      case "begin":
        this.#xid = message.xid;
        this.#doubtfulUpTo = LSN_ZERO;
        this.#isArriving = true;
        return { kind: "begin", committedAtMs: 0 };
      case "commit":
        return this.#commit(message.xid, lsn, message.committedAtMs);
      case "insert":
      case "update":
      case "delete":
        return this.#rowChange(message);
      case "truncate":
        return this.#truncation(message);
      case "other":
        return NOTHING;
    }
  }

  #commit(xid: number, endLsn: Lsn, committedAtMs: number): StreamEvent {
    this.#isArriving = false;
    // The record's start is not told; its end is past the snapshot's position exactly when its start is at or past it. What is
    // read again is learned even where it is past it: it may be too large to be held until its end.
    if (this.#doubtfulUpTo >= endLsn || (this.#isLearning && this.#doubtfulUpTo > LSN_ZERO)) {
      this.#options.learned.set(xid, endLsn);
      this.#isLearning = true;
      if (this.#options.learned.size >= LEARNED_MAX) throw new CommitLearned(this.#options.learned.size);
    }
    this.reached(endLsn);
    if (!this.#isLearning) this.#options.learned.delete(xid);
    return { kind: "commit", endLsn, committedAtMs };
  }

  /** The table of a change, or undefined when it is none of ours or the change is in the loaded rows. */
  #target(table: TextTable): SyncTarget | undefined {
    const target = this.#targets.get(tableKey(table));
    if (!target || target.snapshotLsn === LSN_NEVER) return undefined;
    const committed = this.#options.learned.get(this.#xid);
    if (committed !== undefined) return committed > target.snapshotLsn ? target : undefined;
    this.#doubtfulUpTo = laterLsn(this.#doubtfulUpTo, certainFrom(target));
    return target;
  }

  #rowChange(message: RowMessage): StreamEvent {
    const target = this.#target(message.table);
    if (!target) return NOTHING;
    if (message.kind === "insert") {
      const shape = this.#newShape(target, message.row);
      return this.#event({ kind: "insert", table: shape.table, row: newTuple(shape, message.row) });
    }
    if (target.isInsertOnly) return NOTHING;
    if (message.kind === "update") {
      const shape = this.#newShape(target, message.row);
      if (!message.old && shape.table.keyPositions.length === 0) throw identityChanged(target, undefined);
      const old = message.old && oldTuple(shape, message.old);
      return this.#event({ kind: "update", table: shape.table, old, row: newTuple(shape, message.row) });
    }
    if (!message.old)
      throw new MigrationError("NoReplicaIdentity", {
        table: displayName(target),
        detail: "A row was deleted whose old values were not logged.",
      });
    const shape = this.#oldShape(target, message.old);
    return this.#event({ kind: "delete", table: shape.table, old: oldTuple(shape, message.old) });
  }

  /** A transaction whose commit is not known is let through whole; where that was wrong its commit is learned. */
  #event(change: RowChange): StreamEvent {
    const { parts } = change.table.definition;
    const committed = this.#options.learned.get(this.#xid);
    if (parts === undefined || committed === undefined) return change;
    return changeOfParts(change, parts, (lsn) => committed > lsn) ?? NOTHING;
  }

  #truncation({ tables, cascade, restartIdentity }: TruncateMessage): StreamEvent {
    const found = tables.flatMap((table) => this.#target(table) ?? []).map((target) => this.#lastShape(target).table);
    if (found.length === 0) return NOTHING;
    const sparesOthers = found.length < tables.filter((table) => this.#targets.has(tableKey(table))).length;
    return truncationOf(found, { cascade, restartIdentity, sparesOthers }, this.#targets);
  }

  /** New rows name all their columns, so a column that came, went or got another type shows. */
  #newShape(target: SyncTarget, { names, types }: TextRow): Shape {
    let known = this.#shapes.get(target);
    if (!known) this.#shapes.set(target, (known = new Map<string, Shape>()));
    const key = `${names.join("\0")}\0\0${types.join("\0")}`;
    let shape = known.get(key);
    if (!shape) {
      const wanted = names.filter((name) => target.ignoredColumns?.has(name) !== true);
      shape = this.#makeShape(target, wanted, new Map(names.map((name, n) => [name, types[n] as string])), names);
      known.set(key, shape);
    }
    this.#latest.set(target, shape);
    return shape;
  }

  /** Old rows leave NULLs out, so only what they name can show a change. */
  #oldShape(target: SyncTarget, old: TextRow): Shape {
    const last = this.#lastShape(target);
    const isOld = (name: string, n: number): boolean => last.types.get(name) === old.types[n] || target.ignoredColumns?.has(name) === true;
    if (old.names.every(isOld)) return last;
    const types = new Map([...last.types, ...old.names.map((name, n) => [name, old.types[n] as string] as const)]);
    const columns = last.table.columns.map(({ name }) => name);
    const added = old.names.filter((name) => !columns.includes(name) && target.ignoredColumns?.has(name) !== true);
    const shape = this.#makeShape(target, [...columns, ...added], types, []);
    this.#latest.set(target, shape);
    return shape;
  }

  /** Before the first new row the pinned columns stand for a table. */
  #lastShape(target: SyncTarget): Shape {
    return this.#latest.get(target) ?? this.#makeShape(target, target.sourceColumns, new Map(), []);
  }

  #makeShape(target: SyncTarget, wanted: readonly string[], types: ReadonlyMap<string, string>, names: readonly string[]): Shape {
    const inOrder = target.sourceColumns.filter((name) => wanted.includes(name));
    const added = wanted.filter((name) => !target.sourceColumns.includes(name));
    const columns = [...inOrder, ...added].map((name) => {
      const typeName = types.get(name);
      return { name, isKey: target.keyColumns.includes(name), typeOid: 0, ...(typeName === undefined ? {} : { typeName }) };
    });
    const relation = { id: 0, schema: target.schema, name: target.name, replicaIdentity: "", columns };
    const checked = toSyncTable(relation, target, this.#tables.size);
    const key = JSON.stringify([target.schema, target.name, inOrder, added]);
    const table = this.#tables.get(key) ?? checked;
    this.#tables.set(key, table);
    const places = table.columns.map(({ name }) => names.indexOf(name));
    return { table, types, places, limits: limitsOf(target, table, places, this.#options.encoding) };
  }
}

/** Past it every change of the table is after its snapshot, or after the latest of its parts. */
const certainFrom = ({ snapshotLsn, parts }: SyncTarget): Lsn => parts?.alikeFrom ?? snapshotLsn;

function limitsOf(target: SyncTarget, table: SyncTable, places: readonly number[], encoding: string): Shape["limits"] {
  return table.columns.flatMap(({ name }, n) => {
    const [column, place] = [target.targetColumns.get(name), places[n]];
    const fits = column && modifierCheck(column.typeName, encoding);
    return column && fits && place !== undefined && place >= 0 ? [{ column, place, fits }] : [];
  });
}

/**
 * A new row in the form of pgoutput.
 * @throws MigrationError SourceTableChanged when a value shows that the source's column holds more than the target's.
 */
function newTuple({ table, places, limits }: Shape, { values }: TextRow): Tuple {
  for (const { column, place, fits } of limits) {
    const value = values[place];
    if (value && !fits(value)) throw modifierChanged(table.definition, column);
  }
  return tupleOf(Buffer.concat(places.flatMap((place) => toColumn(values[place]))));
}

/**
 * An old row in the form of pgoutput: what it does not name is NULL.
 * @throws MigrationError SourceTableChanged when the key is not in it: the source's table has another replica identity now.
 */
function oldTuple({ table }: Shape, { names, values }: TextRow): Tuple {
  const places = new Map(names.map((name, n) => [name, n]));
  const lost = table.keyPositions.map((position) => table.columns[position]?.name ?? "").find((name) => !places.has(name));
  if (lost !== undefined) throw identityChanged(table.definition, lost);
  const columns = table.columns.flatMap(({ name }) => {
    const place = places.get(name);
    return toColumn(place === undefined ? null : values[place]);
  });
  return tupleOf(Buffer.concat(columns));
}

function toColumn(value: TextValue): Buffer[] {
  if (value === null) return [NULL_COLUMN];
  if (value === undefined) return [UNCHANGED_COLUMN];
  const head = Buffer.allocUnsafe(5);
  head[0] = TEXT_KIND;
  head.writeInt32BE(value.length, 1);
  return [head, value];
}

const NULL_COLUMN = Buffer.of(NULL_KIND);
const UNCHANGED_COLUMN = Buffer.of(UNCHANGED_KIND);
