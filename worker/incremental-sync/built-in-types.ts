/** Names of built-in types as format_type writes them; of those whose change could lose something of a value. */
const NAMES: Readonly<Record<number, string>> = {
  16: "boolean",
  17: "bytea",
  20: "bigint",
  21: "smallint",
  23: "integer",
  25: "text",
  114: "json",
  142: "xml",
  700: "real",
  701: "double precision",
  790: "money",
  869: "inet",
  1042: "character",
  1043: "character varying",
  1082: "date",
  1083: "time without time zone",
  1114: "timestamp without time zone",
  1184: "timestamp with time zone",
  1266: "time with time zone",
  1560: "bit",
  1562: "bit varying",
  1700: "numeric",
  2950: "uuid",
  3802: "jsonb",
};

const CHARACTERS = new Set([1042, 1043]);
const TIMES = new Set([1083, 1114, 1184, 1266]);
const BITS = new Set([1560, 1562]);
const NUMERIC = 1700;
const BPCHAR = 1042;

/** Header that these types' modifiers count in (VARHDRSZ of c.h). */
const HEADER = 4;

/**
 * The name of a column's type with its modifier, as format_type writes it (format_type.c and the types' typmodout functions).
 * @returns undefined for types that are not in the list: arrays, the users' own, and rare ones.
 */
export function builtInTypeName(oid: number, modifier: number | undefined): string | undefined {
  const name = NAMES[oid];
  if (name === undefined || modifier === undefined) return undefined;
  if (modifier < 0) return oid === BPCHAR ? undefined : name; // "bpchar", whose name changed between versions
  if (CHARACTERS.has(oid)) return `${name}(${modifier - HEADER})`;
  if (BITS.has(oid)) return `${name}(${modifier})`;
  if (TIMES.has(oid)) return name.replace(" ", `(${modifier}) `);
  if (oid !== NUMERIC) return name;
  const packed = modifier - HEADER;
  // Eleven bits with a sign since 15 (numeric.c, numeric_typmod_scale); before it, scales were never so large.
  const scale = ((packed & 0x7ff) ^ 1024) - 1024;
  return `${name}(${(packed >> 16) & 0xffff},${scale})`;
}
