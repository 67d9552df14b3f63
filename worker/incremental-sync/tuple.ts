/**
 * A row as pgoutput sends it (protocol manual, "Logical Replication Message Formats", TupleData), without the leading
 * count: for each column one kind byte, and for 't' (text) and 'b' (binary) a length and the bytes. Rows stay where the
 * source's socket put them until they are written to the target's: no strings, no numbers, no copies but one. Not a Buffer of
 * its own: making a view of a few bytes is a good part of all that is done to a row.
 */
export interface Tuple {
  readonly bytes: Buffer;
  /** Where the row lies among the bytes. */
  readonly start: number;
  readonly end: number;
}

export const NULL_KIND = 0x6e; // 'n'
export const UNCHANGED_KIND = 0x75; // 'u': a TOASTed value that the change did not touch and did not send
export const TEXT_KIND = 0x74; // 't'
const BINARY_KIND = 0x62; // 'b'

/** In front of a value: its kind and its length. */
export const VALUE_HEADER_BYTES = 5;

/** A row that has the bytes to itself. */
export const tupleOf = (bytes: Buffer): Tuple => ({ bytes, start: 0, end: bytes.length });

/** Where the value ends whose column begins at the offset: a big-endian length is behind the kind. */
export const valueEnd = (bytes: Buffer, offset: number): number =>
  offset +
  VALUE_HEADER_BYTES +
  ((((bytes[offset + 1] as number) << 24) |
    ((bytes[offset + 2] as number) << 16) |
    ((bytes[offset + 3] as number) << 8) |
    (bytes[offset + 4] as number)) >>>
    0);

/** Where the column ends that begins at the offset. */
function columnEnd(bytes: Buffer, offset: number): number {
  const kind = bytes[offset];
  return kind === TEXT_KIND || kind === BINARY_KIND ? valueEnd(bytes, offset) : offset + 1;
}

/** The row of so many columns that begins at `start` of a message; the message may go on behind it. */
export function readColumns(bytes: Buffer, start: number, columnCount: number): Tuple {
  let end = start;
  for (let n = 0; n < columnCount; n++) end = columnEnd(bytes, end);
  return { bytes, start, end };
}

/** Where all columns begin, for those who need several. Reuses the array given. */
export function columnOffsets({ bytes, start, end }: Tuple, into: number[]): number[] {
  let count = 0;
  for (let offset = start; offset < end; offset = columnEnd(bytes, offset)) into[count++] = offset;
  if (into.length !== count) into.length = count; // setting it costs, also to the same
  return into;
}

/** Kind byte of the column at the offset. */
export const kindAt = ({ bytes }: Tuple, offset: number): number => bytes[offset] ?? NULL_KIND;

/** Bytes of the value at the offset: null for NULL, undefined for an unchanged TOASTed value. */
function valueAt({ bytes }: Tuple, offset: number): Buffer | null | undefined {
  const kind = bytes[offset];
  if (kind === NULL_KIND) return null;
  if (kind === UNCHANGED_KIND) return undefined;
  return bytes.subarray(offset + VALUE_HEADER_BYTES, valueEnd(bytes, offset));
}

/** All values of a tuple. For the slow paths; the fast ones work on offsets. */
export const valuesOf = (tuple: Tuple): (Buffer | null | undefined)[] => columnOffsets(tuple, []).map((offset) => valueAt(tuple, offset));

/** Whether a value of the tuple was not sent. */
export function hasUnchanged({ bytes, start, end }: Tuple): boolean {
  for (let offset = start; offset < end; offset = columnEnd(bytes, offset)) if (bytes[offset] === UNCHANGED_KIND) return true;
  return false;
}

/** The newer row, with values that it did not send taken from the older one (which may not have them either). */
export function withUnchangedFrom(older: Tuple, newer: Tuple): Tuple {
  if (!hasUnchanged(newer)) return newer;
  const [before, after] = [columnsOf(older), columnsOf(newer)];
  return tupleOf(Buffer.concat(after.map((column, n) => (column[0] === UNCHANGED_KIND ? (before[n] as Buffer) : column))));
}

/** The row without the columns that are not kept. */
export const keptColumns = (tuple: Tuple, isKept: readonly boolean[]): Tuple =>
  tupleOf(Buffer.concat(columnsOf(tuple).filter((_, n) => isKept[n] !== false)));

/** The bytes of each column, with its kind. */
const columnsOf = (tuple: Tuple): Buffer[] =>
  columnOffsets(tuple, []).map((offset) => tuple.bytes.subarray(offset, columnEnd(tuple.bytes, offset)));

/** Bytes that tell rows of one table apart by some columns, as a string for maps. */
export function keyOf({ bytes, start }: Tuple, columns: readonly number[]): string {
  let key = "";
  for (const column of columns) {
    let offset = start;
    for (let n = 0; n < column; n++) offset = columnEnd(bytes, offset);
    // Kind, length and bytes: no two different keys look alike.
    key += bytes.toString("latin1", offset, columnEnd(bytes, offset));
  }
  return key;
}
