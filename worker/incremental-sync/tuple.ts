/**
 * A row as pgoutput sends it (protocol manual, "Logical Replication Message Formats", TupleData), without the leading
 * count: for each column one kind byte, and for 't' (text) and 'b' (binary) a length and the bytes. Rows stay in this
 * form from the source's socket to the target's: no strings, no numbers, no copies but one.
 */
export type Tuple = Buffer;

export const NULL_KIND = 0x6e; // 'n'
export const UNCHANGED_KIND = 0x75; // 'u': a TOASTed value that the change did not touch and did not send
export const TEXT_KIND = 0x74; // 't'
const BINARY_KIND = 0x62; // 'b'

/** Length of the column that starts at the offset, with its kind byte. */
function columnLength(tuple: Tuple, offset: number): number {
  const kind = tuple[offset];
  return kind === TEXT_KIND || kind === BINARY_KIND ? 5 + tuple.readInt32BE(offset + 1) : 1;
}

/** Where a tuple of so many columns ends in a message; the message may go on behind it. */
export function tupleEnd(message: Buffer, start: number, columnCount: number): number {
  let offset = start;
  for (let n = 0; n < columnCount; n++) offset += columnLength(message, offset);
  return offset;
}

/** Offsets of all columns, for those who need several. Reuses the array given. */
export function columnOffsets(tuple: Tuple, into: number[]): number[] {
  let count = 0;
  for (let offset = 0; offset < tuple.length; offset += columnLength(tuple, offset)) into[count++] = offset;
  into.length = count;
  return into;
}

/** Kind byte of the column at the offset. */
export const kindAt = (tuple: Tuple, offset: number): number => tuple[offset] ?? NULL_KIND;

/** Bytes of the value at the offset: null for NULL, undefined for an unchanged TOASTed value. */
function valueAt(tuple: Tuple, offset: number): Buffer | null | undefined {
  const kind = tuple[offset];
  if (kind === NULL_KIND) return null;
  if (kind === UNCHANGED_KIND) return undefined;
  return tuple.subarray(offset + 5, offset + 5 + tuple.readInt32BE(offset + 1));
}

/** All values of a tuple. For the slow paths; the fast ones work on offsets. */
export const valuesOf = (tuple: Tuple): (Buffer | null | undefined)[] => columnOffsets(tuple, []).map((offset) => valueAt(tuple, offset));

/** Whether a value of the tuple was not sent. */
export function hasUnchanged(tuple: Tuple): boolean {
  for (let offset = 0; offset < tuple.length; offset += columnLength(tuple, offset)) if (tuple[offset] === UNCHANGED_KIND) return true;
  return false;
}

/** The newer row, with values that it did not send taken from the older one (which may not have them either). */
export function withUnchangedFrom(older: Tuple, newer: Tuple): Tuple {
  if (!hasUnchanged(newer)) return newer;
  const parts: Buffer[] = [];
  let from = 0;
  for (let offset = 0; offset < newer.length;) {
    const length = columnLength(newer, offset);
    const source = newer[offset] === UNCHANGED_KIND ? older : newer;
    const start = source === older ? from : offset;
    const olderLength = columnLength(older, from);
    parts.push(source.subarray(start, start + (source === older ? olderLength : length)));
    offset += length;
    from += olderLength;
  }
  return Buffer.concat(parts);
}

/** The row without the columns that are not kept. */
export function keptColumns(tuple: Tuple, isKept: readonly boolean[]): Tuple {
  const ends = [...columnOffsets(tuple, []).slice(1), tuple.length];
  return Buffer.concat(ends.flatMap((end, n) => (isKept[n] === false ? [] : [tuple.subarray(n === 0 ? 0 : ends[n - 1], end)])));
}

/** Bytes that tell rows of one table apart by some columns, as a string for maps. */
export function keyOf(tuple: Tuple, columns: readonly number[]): string {
  let key = "";
  for (const column of columns) {
    let offset = 0;
    for (let n = 0; n < column; n++) offset += columnLength(tuple, offset);
    // Kind, length and bytes: no two different keys look alike.
    key += tuple.toString("latin1", offset, offset + columnLength(tuple, offset));
  }
  return key;
}
