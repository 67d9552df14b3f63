import { MigrationError } from "../../contracts/errors.ts";
import { type Lsn } from "../../contracts/lsn.ts";
import { displayName, tableKey } from "../../contracts/tables.ts";
import { type StreamEvent } from "./decoder.ts";
import { type SyncTable, type SyncTarget, toSyncTable } from "./sync-table.ts";
import { parseTestDecoding, type TextRow, type TextTable, type TextValue } from "./test-decoding.ts";
import { truncationOf } from "./truncation.ts";
import { NULL_KIND, TEXT_KIND, type Tuple, UNCHANGED_KIND } from "./tuple.ts";

/**
 * The commit position of a transaction is not known before its commit with test_decoding, but whether its changes are in a
 * table's snapshot already depends on it. Thrown when changes were let through that should not have been: what was
 * learned is kept, and the stream is read again from the last position.
 */
class CommitLearned extends Error {
  readonly code = "57P05"; // tried again like a session that ended
  constructor(xid: number) {
    super(`the commit position of transaction ${xid} is known now; reading it again`);
    this.name = "CommitLearned";
  }
}

/** Commit positions of transactions that had to be read twice, by xid. Outlives the connections of a sync. */
export type LearnedCommits = Map<number, Lsn>;

const NOTHING: StreamEvent = { kind: "nothing" };

/** Turns the messages of one stream of test_decoding into events, with rows in the form of pgoutput. */
export class TestDecodingDecoder {
  readonly #targets: ReadonlyMap<string, SyncTarget>;
  readonly #learned: LearnedCommits;
  readonly #shapes = new Map<string, SyncTable>();
  #xid = 0;
  /** The latest snapshot position of a table that this transaction changed, unless its commit was known. */
  #doubtfulUpTo = 0n as Lsn;

  constructor(targets: ReadonlyMap<string, SyncTarget>, learned: LearnedCommits) {
    this.#targets = targets;
    this.#learned = learned;
  }

  /**
   * @param lsn the position in the message's frame: of a COMMIT the end of its record (logical.c, commit_cb_wrapper).
   * @throws MigrationError SourceTableChanged, CommitLearned.
   */
  decode(bytes: Buffer, lsn: Lsn): StreamEvent {
    const message = parseTestDecoding(bytes);
    switch (message.kind) {
      case "begin":
        this.#xid = message.xid;
        this.#doubtfulUpTo = 0n as Lsn;
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
    // The record's start is not told; its end is past the snapshot's position exactly when its start is at or past it.
    if (this.#doubtfulUpTo >= endLsn) {
      this.#learned.set(xid, endLsn);
      throw new CommitLearned(xid);
    }
    this.#learned.delete(xid);
    return { kind: "commit", endLsn, committedAtMs };
  }

  /** The table of a change, or undefined when it is none of ours or the change is in the loaded rows. */
  #target(table: TextTable): SyncTarget | undefined {
    const target = this.#targets.get(tableKey(table));
    if (!target) return undefined;
    const committed = this.#learned.get(this.#xid);
    if (committed !== undefined) return committed > target.snapshotLsn ? target : undefined;
    if (target.snapshotLsn > this.#doubtfulUpTo) this.#doubtfulUpTo = target.snapshotLsn;
    return target;
  }

  #rowChange(message: Extract<ReturnType<typeof parseTestDecoding>, { kind: "insert" | "update" | "delete" }>): StreamEvent {
    const target = this.#target(message.table);
    if (!target) return NOTHING;
    if (message.kind === "insert") {
      const table = this.#shape(target, message.row);
      return { kind: "change", change: { kind: "insert", table, row: toTuple(table, message.row, null) } };
    }
    if (target.isInsertOnly) return NOTHING;
    if (message.kind === "update") {
      const table = this.#shape(target, message.row);
      const old = message.old && toTuple(table, message.old, null);
      return { kind: "change", change: { kind: "update", table, old, row: toTuple(table, message.row, undefined) } };
    }
    if (!message.old)
      throw new MigrationError("NoReplicaIdentity", {
        table: displayName(target),
        detail: "A row was deleted whose old values were not logged.",
      });
    const table = this.#fullShape(target);
    return { kind: "change", change: { kind: "delete", table, old: toTuple(table, message.old, null) } };
  }

  #truncation({ tables, cascade, restartIdentity }: Extract<ReturnType<typeof parseTestDecoding>, { kind: "truncate" }>): StreamEvent {
    const found = tables.flatMap((table) => this.#target(table) ?? []).map((target) => this.#fullShape(target));
    if (found.length === 0) return NOTHING;
    const sparesOthers = found.length < tables.filter((table) => this.#targets.has(tableKey(table))).length;
    return { kind: "change", change: truncationOf(found, { cascade, restartIdentity, sparesOthers }, this.#targets) };
  }

  /** New rows name all their columns, so a column that came or went shows. */
  #shape(target: SyncTarget, row: TextRow): SyncTable {
    const names = [...row.keys()].filter((name) => target.ignoredColumns?.has(name) !== true);
    return this.#tableOf(target, names);
  }

  /** Old rows leave NULLs out: the pinned columns stand for them. */
  #fullShape(target: SyncTarget): SyncTable {
    return this.#tableOf(target, target.sourceColumns);
  }

  #tableOf(target: SyncTarget, names: readonly string[]): SyncTable {
    const inOrder = target.sourceColumns.filter((name) => names.includes(name));
    const added = names.filter((name) => !target.sourceColumns.includes(name));
    const key = JSON.stringify([target.schema, target.name, inOrder, added]);
    const known = this.#shapes.get(key);
    if (known) return known;
    const columns = [...inOrder, ...added].map((name) => ({ name, isKey: target.keyColumns.includes(name), typeOid: 0 }));
    const table = toSyncTable({ id: 0, schema: target.schema, name: target.name, replicaIdentity: "", columns }, target, this.#shapes.size);
    this.#shapes.set(key, table);
    return table;
  }
}

/** A row in the form of pgoutput. `missing` stands for columns that the text does not name. */
function toTuple(table: SyncTable, row: TextRow, missing: TextValue): Tuple {
  return Buffer.concat(table.columns.flatMap(({ name }) => toColumn(row.has(name) ? row.get(name) : missing)));
}

function toColumn(value: TextValue): Buffer[] {
  if (value === null) return [Buffer.of(NULL_KIND)];
  if (value === undefined) return [Buffer.of(UNCHANGED_KIND)];
  const head = Buffer.allocUnsafe(5);
  head[0] = TEXT_KIND;
  head.writeInt32BE(value.length, 1);
  return [head, value];
}
