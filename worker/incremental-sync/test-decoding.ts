/**
 * Reads the text of the test_decoding plugin (contrib/test_decoding/test_decoding.c), byte by byte: values may hold anything,
 * so nothing is searched for that could stand inside one. All that the format uses is ASCII, which no byte of another
 * character looks like in the encodings that PostgreSQL servers have.
 */

/** A value as text; null for NULL, undefined for a TOASTed value that was not sent. */
export type TextValue = Buffer | null | undefined;

/**
 * Columns in the order of the table: name, type (as format_type writes it, without a modifier), value. Of old rows, NULLs are
 * not sent: what is missing is NULL or not of the key.
 */
export interface TextRow {
  readonly names: readonly string[];
  readonly types: readonly string[];
  readonly values: readonly TextValue[];
}

/** Reads a name, given its bytes as a latin1 string. The plugin writes names in the source's own encoding. */
export type NameReader = (bytes: string) => string;

const readUtf8: NameReader = (bytes) => Buffer.from(bytes, "latin1").toString("utf8");

export interface TextTable {
  readonly schema: string;
  readonly name: string;
}

export type TextMessage =
  | { readonly kind: "begin"; readonly xid: number }
  | { readonly kind: "commit"; readonly xid: number; readonly committedAtMs: number }
  | { readonly kind: "insert"; readonly table: TextTable; readonly row: TextRow }
  | { readonly kind: "update"; readonly table: TextTable; readonly old: TextRow | undefined; readonly row: TextRow }
  /** Without a row: the table has no replica identity, so the old row was not logged. */
  | { readonly kind: "delete"; readonly table: TextTable; readonly old: TextRow | undefined }
  | { readonly kind: "truncate"; readonly tables: readonly TextTable[]; readonly cascade: boolean; readonly restartIdentity: boolean }
  | { readonly kind: "other" };

const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const DOT = 0x2e;
const COLON = 0x3a;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const SPACE = 0x20;
const COMMA = 0x2c;

/** @throws RangeError when the text does not follow the plugin's format. */
export function parseTestDecoding(message: Buffer, readName: NameReader = readUtf8): TextMessage {
  const scan = new Scanner(message, readName);
  if (scan.skip("BEGIN ")) return { kind: "begin", xid: Number(scan.rest()) };
  if (scan.skip("COMMIT ")) return parseCommit(scan);
  if (scan.skip("table ")) return parseChange(scan);
  return { kind: "other" };
}

function parseCommit(scan: Scanner): TextMessage {
  const match = /^(\d+)(?: \(at (.+)\))?$/.exec(scan.rest());
  if (!match) throw scan.unexpected("the end of a commit");
  return { kind: "commit", xid: Number(match[1]), committedAtMs: match[2] === undefined ? 0 : Date.parse(toIso(match[2])) };
}

/** PostgreSQL's ISO style with a space and a short time zone, as Date reads it. */
const toIso = (text: string): string => text.replace(" ", "T").replace(/([+-]\d\d)$/, "$1:00");

function parseChange(scan: Scanner): TextMessage {
  const tables = [scan.table()];
  while (scan.skip(", ")) tables.push(scan.table());
  const [table] = tables as [TextTable];
  scan.expect(": ");
  if (scan.skip("INSERT:")) return { kind: "insert", table, row: scan.row() };
  if (scan.skip("UPDATE:")) return parseUpdate(scan, table);
  if (scan.skip("DELETE:")) return { kind: "delete", table, old: scan.skip(" (no-tuple-data)") ? undefined : scan.row() };
  scan.expect("TRUNCATE:");
  const flags = scan.rest();
  return { kind: "truncate", tables, cascade: flags.includes(" cascade"), restartIdentity: flags.includes(" restart_seqs") };
}

function parseUpdate(scan: Scanner, table: TextTable): TextMessage {
  if (!scan.skip(" old-key:")) return { kind: "update", table, old: undefined, row: scan.row() };
  const old = scan.row(" new-tuple:");
  return { kind: "update", table, old, row: scan.row() };
}

class Scanner {
  readonly #bytes: Buffer;
  readonly #readName: NameReader;
  #at = 0;

  constructor(bytes: Buffer, readName: NameReader) {
    this.#bytes = bytes;
    this.#readName = readName;
  }

  /** Steps over the words if they are next. */
  skip(words: string): boolean {
    if (this.#bytes.toString("latin1", this.#at, this.#at + words.length) !== words) return false;
    this.#at += words.length;
    return true;
  }

  expect(words: string): void {
    if (!this.skip(words)) throw this.unexpected(JSON.stringify(words));
  }

  rest(): string {
    return this.#bytes.toString("latin1", this.#at);
  }

  /** Tells where, never what: the text holds values. */
  unexpected(wanted: string): RangeError {
    return new RangeError(`test_decoding: ${wanted} was expected at byte ${this.#at} of ${this.#bytes.length}`);
  }

  table(): TextTable {
    const schema = this.#identifier();
    this.expect(".");
    return { schema, name: this.#identifier() };
  }

  /** Columns up to the end of the message, or up to the words, which are stepped over. */
  row(end?: string): TextRow {
    const row = { names: [] as string[], types: [] as string[], values: [] as TextValue[] };
    if (this.skip(" (no-tuple-data)")) return row;
    while (this.#at < this.#bytes.length) {
      if (end !== undefined && this.skip(end)) return row;
      this.expect(" ");
      row.names.push(this.#identifier());
      row.types.push(this.#type());
      this.expect(":");
      row.values.push(this.#value());
    }
    if (end !== undefined) throw this.unexpected(end);
    return row;
  }

  /** An identifier as quote_identifier writes it. */
  #identifier(): string {
    if (this.#bytes[this.#at] !== QUOTE) return this.#plainIdentifier();
    const start = this.#at + 1;
    this.#stepOverQuoted();
    return this.#readName(this.#bytes.toString("latin1", start, this.#at - 1).replaceAll('""', '"'));
  }

  #stepOverQuoted(): void {
    this.#at++;
    for (;;) {
      const end = this.#bytes.indexOf(QUOTE, this.#at);
      if (end < 0) throw this.unexpected("the end of a quoted name");
      this.#at = end + 1;
      if (this.#bytes[this.#at] !== QUOTE) return;
      this.#at++;
    }
  }

  #plainIdentifier(): string {
    const start = this.#at;
    while (this.#at < this.#bytes.length && !isEndOfIdentifier(this.#bytes[this.#at] as number)) this.#at++;
    if (this.#at === start) throw this.unexpected("a name");
    return this.#readName(this.#bytes.toString("latin1", start, this.#at));
  }

  /** `[type]`: the type may have brackets itself (arrays) and quoted names with anything in them. */
  #type(): string {
    this.expect("[");
    const start = this.#at;
    for (let depth = 1; depth > 0; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw this.unexpected("the end of a type");
      if (byte === QUOTE) {
        this.#stepOverQuoted();
        this.#at--;
      } else if (byte === OPEN) depth++;
      else if (byte === CLOSE) depth--;
    }
    return this.#readName(this.#bytes.toString("latin1", start, this.#at - 1));
  }

  #value(): TextValue {
    if (this.#bytes[this.#at] === APOSTROPHE) return this.#quoted();
    if (this.skip("B'")) {
      this.#at--; // bit strings: B'0101'
      return this.#quoted();
    }
    const start = this.#at;
    const space = this.#bytes.indexOf(SPACE, start);
    this.#at = space < 0 ? this.#bytes.length : space;
    const value = this.#bytes.subarray(start, this.#at);
    // Strings are always quoted, so these words can only be what they say.
    const word = value.length > 21 ? "" : value.toString("latin1");
    if (word === "null") return null;
    if (word === "unchanged-toast-datum") return undefined;
    return value;
  }

  /** A string whose apostrophes are doubled; nothing else is escaped. */
  #quoted(): Buffer {
    const start = ++this.#at;
    let hasDoubled = false;
    for (;;) {
      const end = this.#bytes.indexOf(APOSTROPHE, this.#at);
      if (end < 0) throw this.unexpected("the end of a string");
      this.#at = end + 1;
      if (this.#bytes[this.#at] !== APOSTROPHE) {
        const value = this.#bytes.subarray(start, end);
        return hasDoubled ? withoutDoubled(value) : value;
      }
      hasDoubled = true;
      this.#at++;
    }
  }
}

const isEndOfIdentifier = (byte: number): boolean => byte === DOT || byte === COLON || byte === OPEN || byte === COMMA || byte === SPACE;

function withoutDoubled(value: Buffer): Buffer {
  const out = Buffer.allocUnsafe(value.length);
  let length = 0;
  for (let n = 0; n < value.length; n++) {
    out[length++] = value[n] as number;
    if (value[n] === APOSTROPHE) n++;
  }
  return out.subarray(0, length);
}
