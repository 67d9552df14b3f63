import { type Lsn } from "../../contracts/lsn.ts";
import { readColumns, type Tuple } from "./tuple.ts";

/** A column as a Relation message describes it. */
interface RelationColumn {
  readonly name: string;
  readonly isKey: boolean;
  readonly typeOid: number;
  /** pg_attribute.atttypmod: length, precision and the like; -1 without. Only pgoutput tells it. */
  readonly typeModifier?: number;
  /** The type's name without a modifier, where that is known instead: from test_decoding, and of the users' own types. */
  readonly typeName?: string;
}

export interface Relation {
  readonly id: number;
  readonly schema: string;
  readonly name: string;
  /** 'd' default, 'n' nothing, 'f' full, 'i' index: pg_class.relreplident. */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
}

/** What the plugin says, as far as it matters here. Tuples point into the message's bytes. */
export type PluginMessage =
  | { readonly kind: "begin"; readonly commitLsn: Lsn; readonly committedAtMs: number; readonly xid: number }
  | { readonly kind: "commit"; readonly endLsn: Lsn; readonly committedAtMs: number }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "insert"; readonly relationId: number; readonly row: Tuple }
  | { readonly kind: "update"; readonly relationId: number; readonly old: OldRow | undefined; readonly row: Tuple }
  | { readonly kind: "delete"; readonly relationId: number; readonly old: OldRow }
  | { readonly kind: "truncate"; readonly relationIds: readonly number[]; readonly cascade: boolean; readonly restartIdentity: boolean }
  | { readonly kind: "message"; readonly prefix: string; readonly content: Buffer }
  /** What follows until streamStop is of a transaction that has not ended yet. `xid` is always the top-level transaction's. */
  | { readonly kind: "streamStart"; readonly xid: number }
  | { readonly kind: "streamStop" }
  | { readonly kind: "streamCommit"; readonly xid: number; readonly endLsn: Lsn; readonly committedAtMs: number }
  /** All of the transaction was rolled back, or a subtransaction of it. */
  | { readonly kind: "streamAbort"; readonly xid: number }
  | { readonly kind: "other" };

/** The old row: its key columns only ('K'; the others are NULL), or all of it ('O', REPLICA IDENTITY FULL). */
interface OldRow {
  readonly isFull: boolean;
  readonly row: Tuple;
}

/** Milliseconds from 1970 to 2000, PostgreSQL's epoch. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

const readLsn = (buffer: Buffer, offset: number): Lsn => buffer.readBigUInt64BE(offset) as Lsn;

/** A time of the server's, in milliseconds since 1970. Its microseconds stay below 2^53 until the year 2285. */
export const readTimeMs = (buffer: Buffer, offset: number): number =>
  Math.trunc((buffer.readInt32BE(offset) * 0x1_0000_0000 + buffer.readUInt32BE(offset + 4)) / 1000) + POSTGRES_EPOCH_MS;

/** In a block of a streamed transaction each message names the (sub)transaction behind its type. */
const XID_BYTES = 4;

/**
 * Reads one message of pgoutput, protocol version 1 or 2 (manual, "Logical Replication Message Formats").
 * @param bytes hold the message from `start` to `end`.
 * @param isStreamed it comes between streamStart and streamStop.
 * @throws RangeError when the bytes do not follow the format.
 */
export function parsePgoutput(bytes: Buffer, start = 0, end = bytes.length, isStreamed = false): PluginMessage {
  const at = start + 1 + (isStreamed ? XID_BYTES : 0);
  switch (bytes[start]) {
    case 0x49: // I
      return { kind: "insert", relationId: bytes.readUInt32BE(at), row: readTuple(bytes, at + 5, end) };
    case 0x55: // U
      return parseUpdate(bytes, at, end);
    case 0x44: // D
      return {
        kind: "delete",
        relationId: bytes.readUInt32BE(at),
        old: { isFull: bytes[at + 4] === 0x4f, row: readTuple(bytes, at + 5, end) },
      };
    case 0x42: // B
      return { kind: "begin", commitLsn: readLsn(bytes, at), committedAtMs: readTimeMs(bytes, at + 8), xid: bytes.readUInt32BE(at + 16) };
    case 0x43: // C
      return { kind: "commit", endLsn: readLsn(bytes, at + 9), committedAtMs: readTimeMs(bytes, at + 17) };
    default:
      return parseRare(bytes[start], bytes.subarray(at, end));
  }
}

/** What comes seldom may cost a view of its bytes: `body` is what follows the type and, in a block, the transaction. */
function parseRare(type: number | undefined, body: Buffer): PluginMessage {
  switch (type) {
    case 0x52: // R
      return { kind: "relation", relation: parseRelation(body) };
    case 0x54: // T
      return parseTruncate(body);
    case 0x4d: // M
      return parseLogicalMessage(body);
    case 0x53: // S
      return { kind: "streamStart", xid: body.readUInt32BE(0) };
    case 0x45: // E
      return { kind: "streamStop" };
    case 0x63: // c
      return { kind: "streamCommit", xid: body.readUInt32BE(0), endLsn: readLsn(body, 13), committedAtMs: readTimeMs(body, 21) };
    case 0x41: // A
      return { kind: "streamAbort", xid: body.readUInt32BE(0) };
    default: // O (origin), Y (type): nothing that we need
      return { kind: "other" };
  }
}

/** The row whose column count is at `at`, in a message that ends at `messageEnd`. */
function readTuple(bytes: Buffer, at: number, messageEnd: number): Tuple {
  const columnCount = bytes.readUInt16BE(at);
  const tuple = readColumns(bytes, at + 2, columnCount);
  if (tuple.end > messageEnd) throw new RangeError(`a row of ${columnCount} columns goes ${tuple.end - messageEnd} bytes past its message`);
  return tuple;
}

function parseUpdate(bytes: Buffer, at: number, end: number): PluginMessage {
  const relationId = bytes.readUInt32BE(at);
  const kind = bytes[at + 4];
  if (kind === 0x4e) return { kind: "update", relationId, old: undefined, row: readTuple(bytes, at + 5, end) };
  const old = readTuple(bytes, at + 5, end);
  // Behind the old row comes the byte 'N' and the new one.
  return { kind: "update", relationId, old: { isFull: kind === 0x4f, row: old }, row: readTuple(bytes, old.end + 1, end) };
}

function parseTruncate(body: Buffer): PluginMessage {
  const count = body.readUInt32BE(0);
  const options = body[4] ?? 0;
  const relationIds = Array.from({ length: count }, (_, n) => body.readUInt32BE(5 + 4 * n));
  return { kind: "truncate", relationIds, cascade: (options & 1) !== 0, restartIdentity: (options & 2) !== 0 };
}

function parseLogicalMessage(body: Buffer): PluginMessage {
  const prefix = readText(body, 9);
  const length = body.readUInt32BE(prefix.end);
  return { kind: "message", prefix: prefix.text, content: body.subarray(prefix.end + 4, prefix.end + 4 + length) };
}

/** A text that ends with a zero byte. */
function readText(message: Buffer, start: number): { text: string; end: number } {
  const zero = message.indexOf(0, start);
  if (zero < 0) throw new RangeError("a name in the change stream has no end");
  return { text: message.toString("utf8", start, zero), end: zero + 1 };
}

function parseRelation(body: Buffer): Relation {
  const schema = readText(body, 4);
  const name = readText(body, schema.end);
  const columnCount = body.readUInt16BE(name.end + 1);
  const columns: RelationColumn[] = [];
  let offset = name.end + 3;
  for (let n = 0; n < columnCount; n++) {
    const column = readText(body, offset + 1);
    columns.push({
      name: column.text,
      isKey: ((body[offset] ?? 0) & 1) !== 0,
      typeOid: body.readUInt32BE(column.end),
      typeModifier: body.readInt32BE(column.end + 4),
    });
    offset = column.end + 8;
  }
  return {
    id: body.readUInt32BE(0),
    // pgoutput sends an empty name for pg_catalog.
    schema: schema.text === "" ? "pg_catalog" : schema.text,
    name: name.text,
    replicaIdentity: String.fromCharCode(body[name.end] ?? 0),
    columns,
  };
}
