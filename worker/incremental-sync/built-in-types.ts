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
  1186: "interval",
  1266: "time with time zone",
  1560: "bit",
  1562: "bit varying",
  1700: "numeric",
  2950: "uuid",
  3802: "jsonb",
};

/** Types by those of their arrays, from pg_type.dat. */
const ELEMENTS: Readonly<Record<number, number>> = {
  1000: 16,
  1001: 17,
  1016: 20,
  1005: 21,
  1007: 23,
  1009: 25,
  199: 114,
  143: 142,
  1021: 700,
  1022: 701,
  791: 790,
  1041: 869,
  1014: 1042,
  1015: 1043,
  1182: 1082,
  1183: 1083,
  1115: 1114,
  1185: 1184,
  1187: 1186,
  1270: 1266,
  1561: 1560,
  1563: 1562,
  1231: 1700,
  2951: 2950,
  3807: 3802,
};

const CHARACTERS = new Set([1042, 1043]);
const TIMES = new Set([1083, 1114, 1184, 1266]);
const BITS = new Set([1560, 1562]);
const NUMERIC = 1700;
const BPCHAR = 1042;
const INTERVAL = 1186;

/** Header that these types' modifiers count in (VARHDRSZ of c.h). */
const HEADER = 4;

/**
 * The name of a column's type with its modifier, as format_type writes it (format_type.c and the types' typmodout functions).
 * @returns undefined for types that are not in the list: the users' own, and rare ones.
 */
export function builtInTypeName(oid: number, modifier: number | undefined): string | undefined {
  const element = ELEMENTS[oid];
  if (element === undefined) return scalarName(oid, modifier);
  const name = scalarName(element, modifier);
  return name === undefined ? undefined : `${name}[]`;
}

function scalarName(oid: number, modifier: number | undefined): string | undefined {
  const name = NAMES[oid];
  if (name === undefined || modifier === undefined) return undefined;
  if (modifier < 0) return oid === BPCHAR ? undefined : name; // "bpchar", whose name changed between versions
  if (CHARACTERS.has(oid)) return `${name}(${modifier - HEADER})`;
  if (BITS.has(oid)) return `${name}(${modifier})`;
  if (TIMES.has(oid)) return name.replace(" ", `(${modifier}) `);
  if (oid === INTERVAL) return intervalName(modifier);
  if (oid !== NUMERIC) return name;
  const packed = modifier - HEADER;
  // Eleven bits with a sign since 15 (numeric.c, numeric_typmod_scale); before it, scales were never so large.
  const scale = ((packed & 0x7ff) ^ 1024) - 1024;
  return `${name}(${(packed >> 16) & 0xffff},${scale})`;
}

/** Fields by their mask in the modifier's upper half (timestamp.c, intervaltypmodout; the bits are those of datetime.h). */
const INTERVAL_FIELDS: Readonly<Record<number, string>> = {
  0x4: " year",
  0x2: " month",
  0x8: " day",
  0x400: " hour",
  0x800: " minute",
  0x1000: " second",
  0x6: " year to month",
  0x408: " day to hour",
  0xc08: " day to minute",
  0x1c08: " day to second",
  0xc00: " hour to minute",
  0x1c00: " hour to second",
  0x1800: " minute to second",
};

const FULL_PRECISION = 0xffff;

function intervalName(modifier: number): string {
  const precision = modifier & 0xffff;
  return `interval${INTERVAL_FIELDS[modifier >> 16] ?? ""}${precision === FULL_PRECISION ? "" : `(${precision})`}`;
}
