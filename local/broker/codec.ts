import rhea from "rhea";

/** An AMQP value with its type, as rhea reads and writes it. */
export interface Typed {
  readonly type: { readonly typecode: number };
  readonly value: unknown;
  readonly descriptor?: { readonly value: unknown };
}

export type AmqpMap = [key: Typed, value: Typed][];

/** The part of rhea's types that is used here; its own declarations lack some and make the rest `any`. */
interface AmqpTypes {
  wrap(value: unknown): Typed;
  wrap_long(value: number | Buffer): Typed;
  wrap_int(value: number): Typed;
  wrap_uint(value: number): Typed;
  wrap_ulong(value: number): Typed;
  wrap_uuid(bytes: Buffer): Typed;
  wrap_string(text: string): Typed;
  wrap_symbol(text: string): Typed;
  wrap_timestamp(timeMs: number): Typed;
  wrap_list(items: readonly unknown[]): Typed;
  wrap_array(values: readonly unknown[], typecode: number, descriptor?: undefined): Typed;
  Map32(items: readonly Typed[]): Typed;
  described(descriptor: Typed, value: Typed): Typed;
  unwrap(value: Typed): unknown;
  Reader: new (bytes: Buffer) => { read(): Typed };
  Writer: new () => { write(value: Typed): void; toBuffer(): Buffer };
}

const types = rhea.types as unknown as AmqpTypes;
const longTypecode = 0x81;
const timestampTypecode = 0x83;

export const long = (value: number): Typed => types.wrap_long(value);
export const int = (value: number): Typed => types.wrap_int(value);
export const uint = (value: number): Typed => types.wrap_uint(value);
export const uuid = (bytes: Buffer): Typed => types.wrap_uuid(bytes);
export const string = (text: string): Typed => types.wrap_string(text);
export const symbol = (text: string): Typed => types.wrap_symbol(text);
export const timestamp = (timeMs: number): Typed => types.wrap_timestamp(timeMs);
export const longArray = (values: readonly number[]): Typed => types.wrap_array(values, longTypecode);
export const timestampArray = (timesMs: readonly number[]): Typed => types.wrap_array(timesMs, timestampTypecode);
/** A value of a type that JavaScript's own type implies (a whole number above zero becomes an AMQP uint). */
export const wrap = (value: unknown): Typed => types.wrap(value);
export const unwrap = (value: Typed): unknown => types.unwrap(value);

export const describedList = (descriptor: number, items: readonly unknown[]): Typed =>
  types.described(types.wrap_ulong(descriptor), types.wrap_list(items));

/** .NET ticks (100 ns since the year 1) as eight bytes: the client decodes bytes, a plain number would break it. */
export function ticks(timeMs: number): Typed {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(timeMs) * 10_000n + 621_355_968_000_000_000n);
  return types.wrap_long(bytes);
}

/** A long, which rhea gives as a number or, above 2^53, as eight bytes; NaN if it is neither. */
export function longValue(value: unknown): number {
  if (typeof value === "number") return value;
  return Buffer.isBuffer(value) && value.length === 8 ? Number(value.readBigInt64BE()) : Number.NaN;
}

function encode(value: Typed): Buffer {
  const writer = new types.Writer();
  writer.write(value);
  return writer.toBuffer();
}

const readValue = (section: Buffer): unknown => new types.Reader(section).read().value;

/** The fields of a list section (header, properties); what is absent at the end is missing, elsewhere a null value. */
export const readList = (section: Buffer | undefined): Typed[] => (section === undefined ? [] : (readValue(section) as Typed[]));

export const writeList = (code: number, fields: readonly (Typed | undefined)[]): Buffer => encode(describedList(code, Array.from(fields)));

/** The pairs of a map section (annotations, application properties), types kept. */
export function readMap(section: Buffer | undefined): AmqpMap {
  const items = section === undefined ? [] : (readValue(section) as Typed[]);
  const pairs: AmqpMap = [];
  for (let index = 0; index + 1 < items.length; index += 2) {
    const [key, value] = items.slice(index, index + 2);
    if (key !== undefined && value !== undefined) pairs.push([key, value]);
  }
  return pairs;
}

export const writeMap = (code: number, pairs: AmqpMap): Buffer =>
  encode(types.described(types.wrap_ulong(code), types.Map32(pairs.flat())));
