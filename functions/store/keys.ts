import { createHash } from "node:crypto";

/** A row's address in its table. */
export interface RowKey {
  readonly partitionKey: string;
  readonly rowKey: string;
}

/** Keys may have 1 KiB (512 UTF-16 units); this much of it is ours to fill, the rest is for prefixes. */
const KEY_CHARS_MAX = 450;

const SEPARATOR = "|";

/**
 * Text as a key: letters, digits, `-`, `.`, `_` and `|` stay, every other byte becomes `=XX`, because keys may hold neither
 * slashes nor control characters. Two texts never share a key: what is too long ends in its hash.
 */
export function encodeKey(text: string): string {
  const encoded = text.replace(/[^A-Za-z0-9._|-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `=${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
  if (encoded.length <= KEY_CHARS_MAX) return encoded;
  const hash = createHash("sha256").update(text).digest("hex");
  return `${encoded.slice(0, KEY_CHARS_MAX - hash.length - 1)}=${hash}`;
}

/** Names of resources as a key: they compare without regard to case. */
export const encodeNames = (...names: readonly string[]): string =>
  names.map((name) => encodeKey(name.toLowerCase()).replaceAll(SEPARATOR, "=7C")).join(SEPARATOR);

/** The first key after all those that begin with `prefix` and the separator. */
export const afterPrefix = (prefix: string): string => `${prefix}}`; // } is the character after |
