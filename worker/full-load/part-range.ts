import { quoteLiteral, quoteName } from "../postgres/quote.ts";

/** Which rows of a table a part holds. `from` is included, `to` is not; without them the range is open. */
export type PartRange =
  | { readonly kind: "whole" }
  /** Pages of the heap. Row addresses are only the same within one snapshot, and only while nobody rewrites the table. */
  | { readonly kind: "ctid"; readonly from: bigint; readonly to: bigint | undefined }
  /** Values of the first key column. */
  | { readonly kind: "key"; readonly column: string; readonly from: bigint | undefined; readonly to: bigint | undefined };

export const WHOLE: PartRange = { kind: "whole" };

/** Cuts the pages of a table into ranges of one size; the last one is open, since the table may have grown. */
export function cutPages(pages: number, count: number): PartRange[] {
  const starts = startsOf(Math.max(pages, 1), count, (n) => BigInt(n));
  return starts.map((from, n) => ({ kind: "ctid", from, to: starts[n + 1] }));
}

/**
 * Cuts the values of an integer key into ranges.
 * @param values ascending; evenly filled ranges come from the bounds of a histogram, evenly wide ones from a minimum and a maximum.
 */
export function cutValues(column: string, values: readonly bigint[], count: number): PartRange[] {
  const inner = values.length > 2 ? cutsOfHistogram(values, count) : cutsOfSpan(values, count);
  const cuts = inner.filter((cut, n) => n === 0 || cut > (inner[n - 1] ?? cut));
  if (cuts.length === 0) return [WHOLE];
  const starts = [undefined, ...cuts];
  return starts.map((from, n) => ({ kind: "key", column, from, to: starts[n + 1] }));
}

/** 0 and the positions that cut `length` into `count` pieces, none of them empty. */
function startsOf<T>(length: number, count: number, valueAt: (position: number) => T): T[] {
  const step = Math.ceil(length / count);
  return Array.from({ length: Math.ceil(length / step) }, (_, n) => valueAt(n * step));
}

const cutsOfHistogram = (values: readonly bigint[], count: number): bigint[] =>
  startsOf(values.length - 1, Math.min(count, values.length - 1), (n) => values[n] ?? 0n).slice(1);

function cutsOfSpan(values: readonly bigint[], count: number): bigint[] {
  const [from, to] = [values[0], values.at(-1)];
  if (from === undefined || to === undefined) return [];
  return Array.from({ length: count - 1 }, (_, n) => from + ((to - from) * BigInt(n + 1)) / BigInt(count));
}

/** The condition for a WHERE clause; undefined for all rows. */
export function conditionOf(range: PartRange): string | undefined {
  if (range.kind === "whole") return undefined;
  const subject = range.kind === "ctid" ? "ctid" : quoteName(range.column);
  const literal = (value: bigint): string => (range.kind === "ctid" ? `'(${value},0)'` : quoteLiteral(String(value)));
  const conditions = [
    ...(range.from === undefined ? [] : [`${subject} >= ${literal(range.from)}`]),
    ...(range.to === undefined ? [] : [`${subject} < ${literal(range.to)}`]),
  ];
  return conditions.length > 0 ? conditions.join(" AND ") : undefined;
}

/** The range in words, for logs and messages. */
export const sayRange = (range: PartRange): string => conditionOf(range) ?? "all rows";
