/** One type: what it needs first, and values as SQL text that is written into a column of it. */
export interface TypeCase {
  readonly type: string;
  /** Values between quotes, as input text of the type; arrays of the type get them too, unless `noArray`. */
  readonly values: readonly string[];
  readonly noArray?: true;
  readonly since?: number;
  /** Arrays of domains came with 11. */
  readonly arraySince?: number;
}

const NEEDED = `
  CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
  CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '', 'a,b', 'NULL');
  CREATE DOMAIN small AS numeric(8, 3) CHECK (value < 1000);
  CREATE DOMAIN deep AS small CHECK (value > -1000); CREATE DOMAIN feeling AS mood; CREATE DOMAIN list AS int[];
  CREATE TYPE pair AS (a int, b text);
  CREATE TYPE nested AS (p pair, ps pair[], m mood, t timestamptz);
  CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");
  CREATE SCHEMA "We.ird ""S"; CREATE TYPE "We.ird ""S"."T y[]pe" AS ENUM ('x', ']:''"');`;

/** What the columns' types need, on both sides. Domains over composite types came with 11. */
export const typesNeeded = (sourceVersionNum: number): string =>
  `${NEEDED} ${sourceVersionNum >= 110_000 ? "CREATE DOMAIN small_pair AS pair" : ""}`;

/** Text that any of the formats on the way might take for something else. */
const TEXTS = [
  "",
  "NULL",
  "null",
  "\\N",
  "\\\\N",
  "\\.",
  "\\x",
  "a\tb\nc\rd\be\ff\vg",
  "it's",
  '"quoted"',
  "{}",
  "(,)",
  "unchanged-toast-datum",
  " x ",
  "é€😀",
  "a: b[c]:'d'",
  "\\",
];

export const TYPE_CASES: readonly TypeCase[] = [
  { type: "text", values: TEXTS },
  { type: "varchar(40)", values: TEXTS },
  { type: "char(40)", values: TEXTS.filter((text) => text !== " x ") },
  { type: "name", values: ["", "it's", "\\N"] },
  { type: '"char"', values: ["", "x", "\\", "'"] },
  { type: "boolean", values: ["t", "f"] },
  { type: "smallint", values: ["-32768", "0", "32767"] },
  { type: "integer", values: ["-2147483648", "2147483647"] },
  { type: "bigint", values: ["-9223372036854775808", "9223372036854775807", "9007199254740993"] },
  { type: "oid", values: ["0", "4294967295"] },
  {
    type: "numeric",
    values: [
      "NaN",
      "1",
      "1.0",
      "1.00",
      "-0.000",
      `${"9".repeat(500)}.${"1".repeat(500)}`,
      "1e-100",
      "123456789012345678901234567890.000001",
    ],
  },
  { type: "numeric", values: ["Infinity", "-Infinity"], since: 140_000 },
  { type: "numeric(5,-2)", values: ["0", "1234500", "-100"], since: 150_000 },
  { type: "numeric(2,5)", values: ["0.00012"], since: 150_000 },
  { type: "numeric(20,5)", values: ["NaN", "123456789012345.12345", "-0.00001"] },
  { type: "real", values: ["NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1", "16777217"] },
  {
    type: "double precision",
    values: ["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1", "0.30000000000000004"],
  },
  { type: "money", values: ["-92233720368547758.08", "92233720368547758.07", "0.01"] },
  { type: "date", values: ["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2000-02-29"] },
  { type: "time", values: ["00:00:00", "24:00:00", "23:59:59.999999"] },
  { type: "time(3)", values: ["12:00:00.123"] },
  { type: "time(0)", values: ["24:00:00"] },
  { type: "timetz(2)", values: ["12:00:00.12-08"] },
  { type: "timestamp(0)", values: ["294276-12-31 23:59:59", "infinity"] },
  { type: "timestamptz(3)", values: ["2026-01-01 00:00:00.123+00", "-infinity"] },
  { type: "timetz", values: ["24:00:00+15:59", "00:00:00.000001-15:59:59"] },
  {
    type: "timestamp",
    values: ["infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "2026-03-29 02:30:00.000001"],
  },
  {
    type: "timestamptz",
    values: ["infinity", "-infinity", "4713-01-02 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "1900-01-01 00:00:00+00:19:32"],
  },
  { type: "interval", values: ["24:00:00", "1 day", "30 days", "1 mon", "-1 mon +2 days -00:00:00.000001", "178000000 years", "0"] },
  // Signs that the styles write in different ways: sql_standard has one for all fields, iso_8601 one for each.
  {
    type: "interval",
    values: ["-1 year -2 mons +3 days -04:05:06.789", "1 year -1 day", "-1 day +00:00:01", "1-2", "-1-2", "-23:59:59.999999"],
  },
  { type: "interval(3)", values: ["1.123", "-0.001"] },
  { type: "interval year to month", values: ["1-2", "-1-2"] },
  { type: "interval day to second(2)", values: ["-3 04:05:06.78"] },
  { type: "interval hour to minute", values: ["25:10"] },
  { type: "bytea", values: ["", "\\x", "\\x00", "\\x5c4e0a09", "\\xdeadbeef", "\\x4e554c4c"] },
  { type: "bit(5)", values: ["10101", "00000"] },
  { type: "bit varying(5)", values: ["", "10101"] },
  { type: "bit", values: ["1"] },
  { type: "bit varying", values: ["", "0", "1101"] },
  { type: "uuid", values: ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"] },
  { type: "json", values: ["null", '""', ' {"a" : 1.0, "a":2}', '"\\u0041"', "[1e400, 12345678901234567890.1]", `"it's"`] },
  { type: "jsonb", values: ["null", '""', '{"a": 1.0}', '"\\\\N"', "[12345678901234567890.123456789]", '{"": {"b": [null]}}'] },
  { type: "xml", values: ["", "<a>it's &amp; <b/></a>", '<?xml version="1.0"?><a/>', "text only"] },
  { type: "inet", values: ["10.0.0.1", "10.0.0.1/8", "::1", "::ffff:1.2.3.4/128"] },
  { type: "cidr", values: ["10.0.0.0/8", "::/0"] },
  { type: "macaddr", values: ["08:00:2b:01:02:03"] },
  { type: "macaddr8", values: ["08:00:2b:01:02:03:04:05"] },
  { type: "point", values: ["(1.5,-0)", "(NaN,Infinity)", "(0.1,5e-324)"] },
  { type: "line", values: ["{1,-1,0}"] },
  { type: "lseg", values: ["[(0,0),(0.1,1)]"] },
  { type: "box", values: ["(1,1),(0,-0.1)"] },
  { type: "path", values: ["[(0,0),(1,0.1)]", "((0,0),(1,1))"] },
  { type: "polygon", values: ["((0,0),(1,1),(0.1,0))"] },
  { type: "circle", values: ["<(0,0.1),5>"] },
  { type: "tsvector", values: ["", "'it''s':2A b:1,3C", "'\\\\\\\\' c"] },
  { type: "tsquery", values: ["", "a & (b | !c) <-> d:*A"] },
  { type: "int4range", values: ["empty", "(,)", "[1,5)", "[1,)"] },
  { type: "numrange", values: ["(1.0,1.00]", "[-0.5,)"] },
  { type: "tsrange", values: ['["2020-01-01 00:00:00","infinity")', "empty"] },
  { type: "tstzrange", values: ['["-infinity",)', '["2020-01-01 00:00:00+00","2020-01-01 00:00:00.000001+00")'] },
  { type: "daterange", values: ["[2020-01-01,infinity)", "(,2020-01-01)"] },
  { type: "int8range", values: ["[9223372036854775806,9223372036854775807)"] },
  { type: "text_range", values: ['["a,b","c""d")', '["",)', "empty"] },
  { type: "int4multirange", values: ["{}", "{[1,3),[5,)}"], since: 140_000 },
  { type: "nummultirange", values: ["{(1.0,1.00],[2,)}"], since: 140_000 },
  { type: "int8multirange", values: ["{[9223372036854775806,9223372036854775807)}"], since: 140_000 },
  { type: "tsmultirange", values: ['{["2020-01-01 00:00:00","infinity")}'], since: 140_000 },
  { type: "datemultirange", values: ["{[2020-01-01,2020-01-02),[2021-01-01,infinity)}"], since: 140_000 },
  { type: "text_multirange", values: ['{["a,b","c""d")}', "{}"], since: 140_000 },
  { type: "tstzmultirange", values: ['{["2020-01-01 00:00:00+00","infinity")}'], since: 140_000 },
  { type: "mood", values: ["sad", "it's ok", "", "a,b", "NULL"] },
  { type: '"We.ird ""S"."T y[]pe"', values: ["x", "]:'\""] },
  { type: "small", values: ["999.999", "-1", "0.10"], arraySince: 110_000 },
  { type: "deep", values: ["-999.999", "0.10"], arraySince: 110_000 },
  { type: "feeling", values: ["it's ok", "", "NULL"], arraySince: 110_000 },
  { type: "list", values: ["{}", "{NULL,1}", "[0:1]={7,8}"], noArray: true },
  { type: "pair", values: ["(,)", '(1,"")', '(2,"a,b\\"c")', '(3,"NULL")', '(,"\\\\N")'] },
  { type: "small_pair", values: ["(1,x)"], since: 110_000 },
  { type: "nested", values: [`("(1,""a,b"")","{""(1,x)"",NULL}","it's ok",infinity)`, "(,,,)"] },
  { type: "citext", values: ["A", "a", "", "it's"] },
  { type: "hstore", values: ["", `a=>NULL, "b c"=>"", "q"=>"it's \\"x\\""`] },
  { type: "ltree", values: ["", "a.b.c"] },
  { type: "lquery", values: ["a.*{1,2}.b@|c"] },
  { type: "pg_lsn", values: ["0/0", "FFFFFFFF/FFFFFFFF"] },
  { type: "jsonpath", values: ['$."a b"[*] ? (@.c > 1 && @.d == "it\'s")', "strict $"], since: 120_000 },
  { type: "xid8", values: ["0", "18446744073709551615"], since: 130_000 },
  { type: "pg_snapshot", values: ["10:20:10,14,15"], since: 130_000 },
  { type: "ltxtquery", values: ["a & !b@"] },
  { type: "refcursor", values: ["", "it's"] },
  { type: "aclitem", values: ["postgres=r*w/postgres", "=r/postgres"] },
  { type: "regprocedure", values: ["pg_catalog.now()", "-"] },
  { type: "regoperator", values: ["+(integer,integer)"] },
  { type: "regconfig", values: ["simple"] },
  { type: "regdictionary", values: ["simple"] },
  { type: "regnamespace", values: ["pg_catalog"] },
  { type: "regrole", values: ["postgres"] },
  { type: "txid_snapshot", values: ["10:20:10,14,15"] },
  { type: "regclass", values: ["pg_class", "-"] },
  { type: "regtype", values: ["integer", "pg_catalog.text[]"] },
  { type: "regproc", values: ["pg_catalog.now"] },
  { type: "tid", values: ["(1,2)"] },
  { type: "xid", values: ["4294967295"] },
  { type: "cid", values: ["7"] },
  { type: "oidvector", values: ["1 2 3"], noArray: true },
  { type: "int2vector", values: ["1 2 3"], noArray: true },
  { type: "integer[]", values: ["{}", "{NULL,1}", "[0:1]={7,8}", "[-2:-1][3:4]={{1,2},{NULL,4}}", "{{{1}}}"], noArray: true },
  { type: "text[]", values: ['{"",NULL,"NULL",null}', "{{NULL},{NULL}}", '{"\\"","\\\\","\\\\N","a,b","{}"}', "[5:5]={x}"], noArray: true },
  { type: "jsonb[]", values: ['{"null",NULL,"{\\"a\\": \\"b,c\\"}"}'], noArray: true },
];
