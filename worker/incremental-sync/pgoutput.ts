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
  | { readonly kind: "commit"; readonly commitLsn: Lsn; readonly endLsn: Lsn; readonly committedAtMs: number }
  | { readonly kind: "relation"; readonly relation: Relation }
  | { readonly kind: "insert"; readonly relationId: number; readonly row: Tuple }
  | { readonly kind: "update"; readonly relationId: number; readonly old: OldRow | undefined; readonly row: Tuple }
  | { readonly kind: "delete"; readonly relationId: number; readonly old: OldRow }
  | { readonly kind: "truncate"; readonly relationIds: readonly number[]; readonly cascade: boolean; readonly restartIdentity: boolean }
  | { readonly kind: "message"; readonly prefix: string; readonly content: Buffer }
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

/**
 * Reads one message of pgoutput, protocol version 1 (manual, "Logical Replication Message Formats").
 * @param bytes hold the message from `at` to `end`.
 * @throws RangeError when the bytes do not follow the format.
 */
export function parsePgoutput(bytes: Buffer, at = 0, end = bytes.length): PluginMessage {
  switch (bytes[at]) {
    case 0x42: // B
      return {
        kind: "begin",
        commitLsn: readLsn(bytes, at + 1),
        committedAtMs: readTimeMs(bytes, at + 9),
        xid: bytes.readUInt32BE(at + 17),
      };
    case 0x43: // C
      return {
        kind: "commit",
        commitLsn: readLsn(bytes, at + 2),
        endLsn: readLsn(bytes, at + 10),
        committedAtMs: readTimeMs(bytes, at + 18),
      };
    case 0x49: // I
      return { kind: "insert", relationId: bytes.readUInt32BE(at + 1), row: readTuple(bytes, at + 6, end) };
    case 0x55: // U
      return parseUpdate(bytes, at, end);
    case 0x44: // D
      return {
        kind: "delete",
        relationId: bytes.readUInt32BE(at + 1),
        old: { isFull: bytes[at + 5] === 0x4f, row: readTuple(bytes, at + 6, end) },
      };
    default:
      return parseRare(bytes.subarray(at, end));
  }
}

/** What comes seldom may cost a view of its bytes. */
function parseRare(message: Buffer): PluginMessage {
  switch (message[0]) {
    case 0x52: // R
      return { kind: "relation", relation: parseRelation(message) };
    case 0x54: // T
      return parseTruncate(message);
    case 0x4d: // M
      return parseLogicalMessage(message);
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
  const relationId = bytes.readUInt32BE(at + 1);
  const kind = bytes[at + 5];
  if (kind === 0x4e) return { kind: "update", relationId, old: undefined, row: readTuple(bytes, at + 6, end) };
  const old = readTuple(bytes, at + 6, end);
  // Behind the old row comes the byte 'N' and the new one.
  return { kind: "update", relationId, old: { isFull: kind === 0x4f, row: old }, row: readTuple(bytes, old.end + 1, end) };
}
function parseTruncate(message: Buffer): PluginMessage {
  const count = message.readUInt32BE(1);
  const options = message[5] ?? 0;
  const relationIds = Array.from({ length: count }, (_, n) => message.readUInt32BE(6 + 4 * n));
  return { kind: "truncate", relationIds, cascade: (options & 1) !== 0, restartIdentity: (options & 2) !== 0 };
}

function parseLogicalMessage(message: Buffer): PluginMessage {
  const prefix = readText(message, 10);
  const length = message.readUInt32BE(prefix.end);
  return { kind: "message", prefix: prefix.text, content: message.subarray(prefix.end + 4, prefix.end + 4 + length) };
}

/** A text that ends with a zero byte. */
function readText(message: Buffer, start: number): { text: string; end: number } {
  const zero = message.indexOf(0, start);
  if (zero < 0) throw new RangeError("a name in the change stream has no end");
  return { text: message.toString("utf8", start, zero), end: zero + 1 };
}

function parseRelation(message: Buffer): Relation {
  const schema = readText(message, 5);
  const name = readText(message, schema.end);
  const columnCount = message.readUInt16BE(name.end + 1);
  const columns: RelationColumn[] = [];
  let offset = name.end + 3;
  for (let n = 0; n < columnCount; n++) {
    const column = readText(message, offset + 1);
    columns.push({
      name: column.text,
      isKey: ((message[offset] ?? 0) & 1) !== 0,
      typeOid: message.readUInt32BE(column.end),
      typeModifier: message.readInt32BE(column.end + 4),
    });
    offset = column.end + 8;
  }
  return {
    id: message.readUInt32BE(1),
    // pgoutput sends an empty name for pg_catalog.
    schema: schema.text === "" ? "pg_catalog" : schema.text,
    name: name.text,
    replicaIdentity: String.fromCharCode(message[name.end] ?? 0),
    columns,
  };
}
