import { type Lsn } from "../../contracts/lsn.ts";
import { type Tuple, tupleEnd } from "./tuple.ts";

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
export const POSTGRES_EPOCH_MS = 946_684_800_000;

const readLsn = (buffer: Buffer, offset: number): Lsn => buffer.readBigUInt64BE(offset) as Lsn;
const readTimeMs = (buffer: Buffer, offset: number): number => Number(buffer.readBigInt64BE(offset) / 1000n) + POSTGRES_EPOCH_MS;

/**
 * Reads one message of pgoutput, protocol version 1 (manual, "Logical Replication Message Formats").
 * @throws RangeError when the bytes do not follow the format.
 */
export function parsePgoutput(message: Buffer): PluginMessage {
  switch (message[0]) {
    case 0x42: // B
      return { kind: "begin", commitLsn: readLsn(message, 1), committedAtMs: readTimeMs(message, 9), xid: message.readUInt32BE(17) };
    case 0x43: // C
      return { kind: "commit", commitLsn: readLsn(message, 2), endLsn: readLsn(message, 10), committedAtMs: readTimeMs(message, 18) };
    case 0x52: // R
      return { kind: "relation", relation: parseRelation(message) };
    case 0x49: // I
      return { kind: "insert", relationId: message.readUInt32BE(1), row: parseTuple(message, 6).tuple };
    case 0x55: // U
      return parseUpdate(message);
    case 0x44: // D
      return {
        kind: "delete",
        relationId: message.readUInt32BE(1),
        old: { isFull: message[5] === 0x4f, row: parseTuple(message, 6).tuple },
      };
    case 0x54: // T
      return parseTruncate(message);
    case 0x4d: // M
      return parseLogicalMessage(message);
    default: // O (origin), Y (type): nothing that we need
      return { kind: "other" };
  }
}

function parseTuple(message: Buffer, offset: number): { tuple: Tuple; end: number } {
  const columnCount = message.readUInt16BE(offset);
  const end = tupleEnd(message, offset + 2, columnCount);
  if (end > message.length) throw new RangeError(`a row of ${columnCount} columns ends behind its message of ${message.length} bytes`);
  return { tuple: message.subarray(offset + 2, end), end };
}

function parseUpdate(message: Buffer): PluginMessage {
  const relationId = message.readUInt32BE(1);
  const kind = message[5];
  if (kind === 0x4e) return { kind: "update", relationId, old: undefined, row: parseTuple(message, 6).tuple };
  const old = parseTuple(message, 6);
  // Behind the old row comes the byte 'N' and the new one.
  return { kind: "update", relationId, old: { isFull: kind === 0x4f, row: old.tuple }, row: parseTuple(message, old.end + 1).tuple };
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
