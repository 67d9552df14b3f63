import { LSN_NEVER, type Lsn } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { type Change } from "./change.ts";
import { changeOfParts, type RowChange } from "./loaded-parts.ts";
import { parsePgoutput, type PluginMessage, type Relation } from "./pgoutput.ts";
import { keptColumns, type Tuple } from "./tuple.ts";
import { type SyncTable, type SyncTarget, toSyncTable } from "./sync-table.ts";
import { truncationOf } from "./truncation.ts";

/** What the sync acts on: the plugin's messages with their tables found and the changes that are loaded already left out. */
export type StreamEvent =
  /** When it was committed on the source, where the plugin says it so early; 0 where it does not. */
  | { readonly kind: "begin"; readonly committedAtMs: number }
  | Change
  | { readonly kind: "commit"; readonly endLsn: Lsn; readonly committedAtMs: number; readonly streamedXid?: number }
  /** Changes of a transaction that has not ended follow, until it pauses; it ends with a commit of its xid or is undone. */
  | { readonly kind: "streamed"; readonly xid: number }
  | { readonly kind: "pause" }
  | { readonly kind: "undone"; readonly xid: number }
  /** From now on nothing may be applied: the stream is only read to know where its transactions end, and then read again. */
  | { readonly kind: "learning" }
  | { readonly kind: "nothing" };

const NOTHING: StreamEvent = { kind: "nothing" };
const PAUSE: StreamEvent = { kind: "pause" };

/** Turns the messages of one stream of pgoutput into events. One for each connection: relations are told anew on each. */
export class PgoutputDecoder {
  readonly #targets: ReadonlyMap<string, SyncTarget>;
  readonly #byOid: ReadonlyMap<number | undefined, SyncTarget>;
  readonly #typeName: (oid: number) => string | undefined;
  readonly #tables = new Map<number, SyncTable | undefined>();
  /** Tables by what the stream says of them: it says the same again for each transaction that it streams. */
  readonly #described = new Map<string, SyncTable>();
  /** Which columns of a relation are kept, where not all are. */
  readonly #kept = new Map<number, readonly boolean[]>();
  /** Tables of ours whose changes are left out, whatever they look like. */
  readonly #suspended = new Set<number>();
  #tableCount = 0;
  /** Where the arriving transaction was committed; of one that has not ended: later than all loaded rows (see mayStream). */
  #commitLsn = 0n as Lsn;
  #isStreamed = false;

  /**
   * @param targets the tables of the migration by tableKey; changes of other tables are left out.
   * @param typeName names of the users' types, see SourceTypes.
   */
  constructor(targets: ReadonlyMap<string, SyncTarget>, typeName: (oid: number) => string | undefined = () => undefined) {
    this.#targets = targets;
    this.#byOid = new Map([...targets.values()].map((target) => [target.sourceOid, target]));
    this.#typeName = typeName;
  }

  /**
   * Reads one message, which lies among the bytes from `start` to `end`. Rows in the answer point into them.
   * @throws MigrationError SourceTableChanged when a table no longer fits.
   */
  decode(bytes: Buffer, start = 0, end = bytes.length): StreamEvent {
    const message = parsePgoutput(bytes, start, end, this.#isStreamed);
    switch (message.kind) {
      case "begin":
        this.#commitLsn = message.commitLsn;
        return { kind: "begin", committedAtMs: message.committedAtMs };
      case "commit":
        return { kind: "commit", endLsn: message.endLsn, committedAtMs: message.committedAtMs };
      case "relation":
        this.#learn(message.relation);
        return NOTHING;
      case "insert":
      case "update":
      case "delete":
        return this.#rowChange(message);
      case "truncate":
        return this.#truncation(message);
      case "streamStart":
        this.#isStreamed = true;
        this.#commitLsn = LSN_NEVER;
        return { kind: "streamed", xid: message.xid };
      case "streamStop":
        this.#isStreamed = false;
        return PAUSE;
      case "streamCommit":
        return { kind: "commit", endLsn: message.endLsn, committedAtMs: message.committedAtMs, streamedXid: message.xid };
      case "streamAbort":
        return { kind: "undone", xid: message.xid };
      case "message":
      case "other":
        return NOTHING;
    }
  }

  #learn(relation: Relation): void {
    // A table that was renamed stays what it is; the cutover asks for its name back.
    const target = this.#targets.get(tableKey(relation)) ?? this.#byOid.get(relation.id);
    if (target?.snapshotLsn === LSN_NEVER) {
      this.#suspended.add(relation.id);
      this.#tables.set(relation.id, undefined);
      return;
    }
    const isKept = relation.columns.map(({ name }) => target?.ignoredColumns?.has(name) !== true);
    if (isKept.includes(false)) this.#kept.set(relation.id, isKept);
    else this.#kept.delete(relation.id);
    const kept = { ...relation, columns: relation.columns.filter((_, n) => isKept[n]) };
    this.#tables.set(relation.id, target && this.#syncTable(this.#withTypeNames(kept), target));
  }

  #syncTable(relation: Relation, target: SyncTarget): SyncTable {
    const description = JSON.stringify(relation);
    const known = this.#described.get(description);
    if (known) return known;
    const table = toSyncTable(relation, target, this.#tableCount++);
    this.#described.set(description, table);
    return table;
  }

  /** Generated columns come along where the source must publish them (see needsGenerated in source/publication.ts). */
  #keptOf(relationId: number, row: Tuple): Tuple {
    const isKept = this.#kept.get(relationId);
    return isKept === undefined ? row : keptColumns(row, isKept);
  }

  #withTypeNames(relation: Relation): Relation {
    const columns = relation.columns.map((column) => {
      const typeName = this.#typeName(column.typeOid);
      return typeName === undefined ? column : { ...column, typeName };
    });
    return { ...relation, columns };
  }

  /** The table of a change, or undefined when it is none of ours or the change is in the loaded rows already. */
  #table(relationId: number): SyncTable | undefined {
    if (!this.#tables.has(relationId)) throw new RangeError(`the stream names relation ${relationId} without having described it`);
    const table = this.#tables.get(relationId);
    // A snapshot holds what committed before its position, so a change counts from there on (as PostgreSQL's own table
    // synchronisation reasons: should_apply_changes_for_rel in replication/logical/worker.c).
    return table !== undefined && this.#commitLsn >= table.definition.snapshotLsn ? table : undefined;
  }

  #rowChange(message: Extract<PluginMessage, { kind: "insert" | "update" | "delete" }>): StreamEvent {
    const table = this.#table(message.relationId);
    if (table === undefined) return NOTHING;
    const id = message.relationId;
    if (message.kind === "insert") return this.#event({ kind: "insert", table, row: this.#keptOf(id, message.row) });
    if (table.definition.isInsertOnly) return NOTHING;
    if (message.kind === "delete") return this.#event({ kind: "delete", table, old: this.#keptOf(id, message.old.row) });
    const old = message.old && this.#keptOf(id, message.old.row);
    return this.#event({ kind: "update", table, old, row: this.#keptOf(id, message.row) });
  }

  #event(change: RowChange): StreamEvent {
    const { parts } = change.table.definition;
    if (parts === undefined || this.#commitLsn >= parts.alikeFrom) return change;
    return changeOfParts(change, parts, (lsn) => this.#commitLsn >= lsn) ?? NOTHING;
  }

  #truncation({ relationIds, cascade, restartIdentity }: Extract<PluginMessage, { kind: "truncate" }>): StreamEvent {
    const tables = relationIds.flatMap((id) => this.#table(id) ?? []);
    if (tables.length === 0) return NOTHING;
    const listed = relationIds.filter((id) => this.#tables.get(id) !== undefined || this.#suspended.has(id));
    const sparesOthers = tables.length < listed.length;
    return truncationOf(tables, { cascade, restartIdentity, sparesOthers }, this.#targets);
  }
}
