import { type Column } from "../source/catalog.ts";

export type CopyFormat = "binary" | "text";

/**
 * Types whose binary form is the same in every version since 10, holds no oid of anything else, and depends on no setting:
 * oids from pg_type.dat. Left out on purpose: reg… (their binary form is an oid, which means another object elsewhere),
 * xml (its binary form names an encoding), aclitem (has none), ranges (few versions, and rare in bulk).
 */
const BINARY_SCALARS = [
  16, 17, 18, 19, 20, 21, 23, 25, 26, 27, 28, 29, 114, 600, 601, 602, 603, 604, 628, 650, 700, 701, 718, 774, 790, 829, 869, 1042, 1043,
  1082, 1083, 1114, 1184, 1186, 1266, 1560, 1562, 1700, 2950, 3220, 3614, 3615, 3802,
];
const BINARY_ARRAYS = [
  199, 629, 651, 719, 775, 791, 1000, 1001, 1002, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028,
  1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270, 1561, 1563, 2951, 3221, 3643, 3645, 3807,
];
const BINARY_TYPES = new Set([...BINARY_SCALARS, ...BINARY_ARRAYS]);

/** Before 10 a server may have been built with times as floating point numbers, which shows in their binary form. */
const BINARY_SINCE_VERSION = 100_000;

/**
 * How a table travels: in binary form where every column's type is the same on both sides and known to be safe (15 to 20 %
 * less work for the target), else as text, which crosses versions, types and oids.
 */
export function copyFormat(
  columns: readonly Pick<Column, "name" | "typeOid">[],
  targetColumns: ReadonlyMap<string, Pick<Column, "typeOid">>,
  sourceVersionNum: number,
): CopyFormat {
  if (sourceVersionNum < BINARY_SINCE_VERSION) return "text";
  const isSafe = columns.every(({ name, typeOid }) => BINARY_TYPES.has(typeOid) && targetColumns.get(name)?.typeOid === typeOid);
  return isSafe ? "binary" : "text";
}
