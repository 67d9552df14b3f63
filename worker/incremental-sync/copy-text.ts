import { columnOffsets, kindAt, NULL_KIND, type Tuple, VALUE_HEADER_BYTES, valueEnd } from "./tuple.ts";

/** How large one piece of COPY data grows before it is handed on, in bytes. */
const PIECE_BYTES = 64 * 1024;

/**
 * COPY's text format (manual, COPY, "Text Format"): columns end with a tab, rows with a newline; a backslash, tab, newline and
 * carriage return inside a value are escaped. Only ASCII bytes are touched, so any encoding whose other bytes are
 * above 127 passes through. Zero: the byte stays.
 */
const ESCAPES: Uint8Array = Object.assign(new Uint8Array(256), {
  0x08: 0x62, // \b
  0x09: 0x74, // \t
  0x0a: 0x6e, // \n
  0x0b: 0x76, // \v
  0x0c: 0x66, // \f
  0x0d: 0x72, // \r
  0x5c: 0x5c, // \\
});

/** Writes the given columns of rows as COPY text, in pieces of bounded size (a row larger than that is a piece of its own). */
export function* copyText(rows: readonly Tuple[], positions: readonly number[]): Generator<Buffer> {
  let piece = Buffer.allocUnsafe(PIECE_BYTES);
  let length = 0;
  const offsets: number[] = [];
  for (const row of rows) {
    columnOffsets(row, offsets);
    const sizeMax = (row.end - row.start) * 2 + positions.length * 2 + 1;
    if (length + sizeMax > piece.length) {
      if (length > 0) yield piece.subarray(0, length);
      piece = Buffer.allocUnsafe(Math.max(PIECE_BYTES, sizeMax));
      length = 0;
    }
    length = writeRow(piece, length, row, offsets, positions);
  }
  if (length > 0) yield piece.subarray(0, length);
}

function writeRow(into: Buffer, start: number, row: Tuple, offsets: readonly number[], positions: readonly number[]): number {
  let length = start;
  for (let n = 0; n < positions.length; n++) {
    if (n > 0) into[length++] = 0x09;
    const offset = offsets[positions[n] as number] as number;
    if (kindAt(row, offset) === NULL_KIND) {
      into[length++] = 0x5c;
      into[length++] = 0x4e; // \N
    } else {
      length = writeEscaped(into, length, row.bytes, offset + VALUE_HEADER_BYTES, valueEnd(row.bytes, offset));
    }
  }
  into[length++] = 0x0a;
  return length;
}

/** Few values have anything to escape: they are copied first, and written again only if it was seen that they do. */
function writeEscaped(into: Buffer, start: number, bytes: Buffer, from: number, to: number): number {
  let length = start;
  let escapes = 0;
  for (let n = from; n < to; n++) {
    const byte = bytes[n] as number;
    into[length++] = byte;
    escapes |= ESCAPES[byte] as number;
  }
  if (escapes === 0) return length;
  length = start;
  for (let n = from; n < to; n++) {
    const byte = bytes[n] as number;
    const escape = ESCAPES[byte] as number;
    if (escape !== 0) into[length++] = 0x5c;
    into[length++] = escape === 0 ? byte : escape;
  }
  return length;
}
