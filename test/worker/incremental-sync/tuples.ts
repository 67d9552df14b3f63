import { type Tuple, tupleOf } from "../../../worker/incremental-sync/tuple.ts";

/** Builds a row as pgoutput would send it: text, null, or undefined for an unchanged TOASTed value. */
export function tuple(values: readonly (string | null | undefined)[]): Tuple {
  const columns = values.map((value) => {
    if (value === null) return Buffer.from("n");
    if (value === undefined) return Buffer.from("u");
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeInt32BE(bytes.length);
    return Buffer.concat([Buffer.from("t"), length, bytes]);
  });
  return tupleOf(Buffer.concat(columns));
}
