/**
 * A position in the write-ahead log as one unsigned 64-bit number, so that positions compare and subtract as numbers
 * ("9/FF" sorts after "10/0" as text). Text only at the edges.
 */
export type Lsn = bigint & { readonly __brand: "Lsn" };

const LSN_PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** The position before every other one; PostgreSQL never writes a record there. */
export const LSN_ZERO = 0n as Lsn;

/** The position after every other one. */
export const LSN_NEVER = 0xffff_ffff_ffff_ffffn as Lsn;

/**
 * Reads PostgreSQL's text form of a position ("16/B374D848").
 * @throws RangeError when the text is no position.
 */
export function parseLsn(text: string): Lsn {
  const match = LSN_PATTERN.exec(text);
  if (!match)
    throw new RangeError(`"${text}" is not a WAL position (expected two hexadecimal numbers with a slash between them, like 16/B374D848)`);
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** Writes a position as PostgreSQL does: no leading zeros, upper case. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** The later of two positions. */
export const laterLsn = (a: Lsn, b: Lsn): Lsn => (a > b ? a : b);

/** How many bytes of WAL lie between two positions; never below zero. */
export const bytesBetween = (from: Lsn, to: Lsn): number => (to > from ? Number(to - from) : 0);
