/** Values as JSON over several string properties: one property may hold 32 K characters, one row 1 MiB. */

const CHUNK_CHARS = 32_000;
const CHUNKS_MAX = 15;

/** One less for each chunk: a chunk does not end in the middle of a character. */
const DOCUMENT_CHARS_MAX = CHUNK_CHARS * CHUNKS_MAX - CHUNKS_MAX;

/** A value that does not fit into one row. */
export class RowTooLarge extends Error {
  constructor(chars: number) {
    super(`a row of ${chars} characters is too large`);
    this.name = "RowTooLarge";
  }
}

const isHighSurrogate = (code: number): boolean => code >= 0xd800 && code <= 0xdbff;

/**
 * Cuts a value into properties `json0`, `json1`, …
 * @throws RowTooLarge when it is too large for one row
 */
export function toChunks(value: unknown): Record<string, string> {
  const json = JSON.stringify(value);
  if (json.length > DOCUMENT_CHARS_MAX) throw new RowTooLarge(json.length);
  const chunks: Record<string, string> = {};
  for (let start = 0, count = 0; start < json.length; count++) {
    let end = Math.min(start + CHUNK_CHARS, json.length);
    if (end < json.length && isHighSurrogate(json.charCodeAt(end - 1))) end--; // half a character is not storable
    chunks[`json${count}`] = json.slice(start, end);
    start = end;
  }
  return chunks;
}

/** Puts the properties of `toChunks` together again. */
export function fromChunks(properties: Readonly<Record<string, unknown>>): unknown {
  let json = "";
  for (let count = 0; count < CHUNKS_MAX; count++) {
    const chunk = properties[`json${count}`];
    if (typeof chunk !== "string") break;
    json += chunk;
  }
  return JSON.parse(json);
}
