import fc from "fast-check";

/** One table of a random schema. */
export interface TableShape {
  /** `full`: no key, REPLICA IDENTITY FULL; `index`: told apart by a unique index. */
  readonly key: "int" | "numeric" | "composite" | "index" | "full" | "text";
  readonly unique: "none" | "plain" | "partial" | "expression" | "deferred" | "deferrable" | "composite" | "nullsNotDistinct";
  readonly structure: "plain" | "partitioned" | "inherited" | "referred";
  readonly values: readonly ValueType[];
  readonly hasToast: boolean;
  readonly hasGenerated: boolean;
  readonly hasIdentity: boolean;
}

/** Types by name, with an expression of a value for the integer expression `h`; some of them give NULL. */
const VALUES = {
  text: (h: string) => `(ARRAY['', NULL, E'\\\\N', E'a\\tb\\nc\\\\', 'it''s', 'null', 'é€😀', ' x '])[1 + abs(${h}) % 8]`,
  bytea: (h: string) => `(ARRAY['', NULL, '\\x00ff', '\\x5c4e'])[1 + abs(${h}) % 4]::bytea`,
  "numeric(30,10)": (h: string) => `CASE abs(${h}) % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN NULL ELSE ${h} / 7.0 END::numeric`,
  numeric: (h: string) =>
    `(ARRAY['1', '1.0', '1.00', 'NaN', '-0.000', '12345678901234567890.123456789', NULL])[1 + abs(${h}) % 7]::numeric`,
  bigint: (h: string) => `9223372036854775807 - abs(${h})`,
  "double precision": (h: string) =>
    `CASE abs(${h}) % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' WHEN 3 THEN '5e-324' ELSE '0.1' END::float8 + ${h}::float8 / 3`,
  boolean: (h: string) => `(ARRAY[true, false, NULL])[1 + abs(${h}) % 3]`,
  "timestamp with time zone": (h: string) =>
    `(ARRAY['infinity', '-infinity', '0044-03-15 12:00:00.000001 BC', '2026-01-01 00:00:00.123456+05', NULL])[1 + abs(${h}) % 5]::timestamptz`,
  date: (h: string) => `(ARRAY['4713-01-01 BC', '5874897-12-31', 'infinity', '2020-02-29'])[1 + abs(${h}) % 4]::date`,
  interval: (h: string) => `(ARRAY['24:00', '1 day', '-1 mon +2 days -00:00:00.000001', NULL])[1 + abs(${h}) % 4]::interval`,
  json: (h: string) => `(ARRAY['null', ' {"a": 1.0,"a":2}', '"\\u0041"', NULL])[1 + abs(${h}) % 4]::json`,
  jsonb: (h: string) => `(ARRAY['null', '{"a": 1.0}', '[]', NULL])[1 + abs(${h}) % 4]::jsonb`,
  "integer[]": (h: string) => `(ARRAY['{}', '{1,NULL}', '[0:1]={7,8}', '{{1,2},{3,4}}'])[1 + abs(${h}) % 4]::int[]`,
  "text[]": (h: string) => `(ARRAY['{NULL,"NULL","",a b}', '{{NULL},{NULL}}', '{"\\"","\\\\"}', NULL])[1 + abs(${h}) % 4]::text[]`,
  inet: (h: string) => `(ARRAY['::1', '10.0.0.1/8', NULL])[1 + abs(${h}) % 3]::inet`,
  "bit varying": (h: string) => `(ARRAY[B'', B'0101', NULL])[1 + abs(${h}) % 3]::varbit`,
  mood: (h: string) => `(ARRAY['sad', 'o''k', ''])[1 + abs(${h}) % 3]::mood`,
  pair: (h: string) => `(ARRAY['(1,"a,b")', '(,)', '(2,"")', NULL])[1 + abs(${h}) % 4]::pair`,
  small: (h: string) => `(abs(${h}) % 100)::small`,
  int4range: (h: string) => `(ARRAY['empty', '[1,5)', '(,)', NULL])[1 + abs(${h}) % 4]::int4range`,
  point: (h: string) => `point(${h}, 0.1)`,
  '"char"': (h: string) => `(ARRAY['', 'x', '\\'])[1 + abs(${h}) % 3]::"char"`,
  "character(3)": (h: string) => `(ARRAY['', 'a', 'ab '])[1 + abs(${h}) % 3]::char(3)`,
  money: (h: string) => `(${h}::numeric / 100)::money`,
  tsvector: (h: string) => `(ARRAY['', 'a:1A b', $$'it''s':2$$])[1 + abs(${h}) % 3]::tsvector`,
} as const;

type ValueType = keyof typeof VALUES;
const valueTypes = Object.keys(VALUES) as ValueType[];

/** What the columns' types need, on both sides. */
export const TYPES_SQL = `CREATE TYPE mood AS ENUM ('sad', 'o''k', ''); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int CHECK (value < 1000);`;

/** @param isSince15 whether the source knows NULLS NOT DISTINCT; half of the tables then have it. */
export const tableShape = (isSince15: boolean): fc.Arbitrary<TableShape> => {
  const unique = fc.constantFrom(...(["none", "plain", "partial", "expression", "deferred", "deferrable", "composite"] as const));
  return fc.record({
    key: fc.constantFrom("int", "numeric", "composite", "index", "full", "text"),
    unique: isSince15 ? fc.oneof(unique, fc.constant("nullsNotDistinct" as const)) : unique,
    structure: fc.constantFrom("plain", "plain", "partitioned", "inherited", "referred"),
    values: fc.uniqueArray(fc.constantFrom(...valueTypes), { minLength: 1, maxLength: 4 }),
    hasToast: fc.boolean(),
    hasGenerated: fc.boolean(),
    hasIdentity: fc.boolean(),
  });
};

const KEY_TYPE = { int: "int", numeric: "numeric", composite: "int", index: "int", full: "int", text: "text" } as const;

/** The tables' own names and those with the rows (partitions, children, referring tables). */
export function tableNames({ structure }: TableShape, n: number): string[] {
  switch (structure) {
    case "plain":
      return [`t${n}`];
    case "partitioned":
      return [`t${n}_0`, `t${n}_1`, `t${n}_d`];
    case "inherited":
      return [`t${n}`, `t${n}_c`];
    case "referred":
      return [`t${n}`, `t${n}_r`];
  }
}

/** Statements that make one table with all that belongs to it. A shape that PostgreSQL does not allow loses what is in the way. */
export function createSql(shape: TableShape, n: number): string {
  const { key, structure } = shape;
  const name = `t${n}`;
  const unique = uniqueOf(shape);
  const columns = [
    `k ${KEY_TYPE[key]}${key === "full" ? "" : " NOT NULL"}`,
    `k2 text${key === "composite" || key === "index" ? " NOT NULL" : ""} DEFAULT 'k'`,
    "u int",
    ...shape.values.map((type, c) => `v${c} ${type}`),
    ...(shape.hasToast ? ["large text"] : []),
    ...(shape.hasGenerated ? ["g int GENERATED ALWAYS AS (coalesce(u, 0) * 2) STORED"] : []),
    ...(shape.hasIdentity && structure === "plain" ? ["i int GENERATED ALWAYS AS IDENTITY"] : []),
    ...(key === "composite" ? ["PRIMARY KEY (k2, k)"] : key === "index" || key === "full" ? [] : ["PRIMARY KEY (k)"]),
    ...(unique === "deferred" ? ["UNIQUE (u) DEFERRABLE INITIALLY DEFERRED"] : []),
    ...(unique === "deferrable" ? ["UNIQUE (u) DEFERRABLE INITIALLY IMMEDIATE"] : []),
  ];
  const after = (table: string): string[] => [
    ...(shape.hasToast ? [`ALTER TABLE ${table} ALTER large SET STORAGE EXTERNAL`] : []),
    ...(key === "index"
      ? [`CREATE UNIQUE INDEX ${table}_key ON ${table} (k, k2)`, `ALTER TABLE ONLY ${table} REPLICA IDENTITY USING INDEX ${table}_key`]
      : []),
    ...(unique === "plain" ? [`CREATE UNIQUE INDEX ${table}_u ON ${table} (u)`] : []),
    ...(unique === "partial" ? [`CREATE UNIQUE INDEX ${table}_u ON ${table} (u) WHERE u > 3`] : []),
    ...(unique === "expression" ? [`CREATE UNIQUE INDEX ${table}_u ON ${table} (abs(u))`] : []),
    ...(unique === "nullsNotDistinct" ? [`CREATE UNIQUE INDEX ${table}_u ON ${table} (u) NULLS NOT DISTINCT`] : []),
    ...(unique === "composite" ? [`CREATE UNIQUE INDEX ${table}_u ON ${table} (u, k2)`] : []),
  ];
  const body = `(${columns.join(", ")})`;
  switch (structure) {
    case "plain":
      return [`CREATE TABLE ${name} ${body}`, ...after(name)].join("; ");
    case "partitioned":
      return [
        `CREATE TABLE ${name} ${body} PARTITION BY RANGE (k)`,
        ...partitions(shape, name),
        ...tableNames(shape, n).flatMap((leaf) => after(leaf)),
      ].join("; ");
    case "inherited":
      return [
        `CREATE TABLE ${name} ${body}`,
        ...after(name),
        `CREATE TABLE ${name}_c (more text) INHERITS (${name})`,
        ...(shape.hasToast ? [] : []),
      ].join("; ");
    case "referred":
      return [
        `CREATE TABLE ${name} ${body}`,
        ...after(name),
        `CREATE TABLE ${name}_r (id serial PRIMARY KEY, k ${KEY_TYPE[key]}${key === "composite" || key === "index" || key === "full" ? "" : ` REFERENCES ${name} (k) ON UPDATE CASCADE ON DELETE SET NULL`})`,
      ].join("; ");
  }
}

function partitions({ key }: TableShape, name: string): string[] {
  const at = (value: number): string => (key === "text" ? `'${value}'` : String(value));
  return [
    `CREATE TABLE ${name}_0 PARTITION OF ${name} FOR VALUES FROM (${key === "text" ? "''" : "MINVALUE"}) TO (${at(5)})`,
    `CREATE TABLE ${name}_1 PARTITION OF ${name} FOR VALUES FROM (${at(5)}) TO (${key === "text" ? "'8'" : at(60)})`,
    `CREATE TABLE ${name}_d PARTITION OF ${name} DEFAULT`,
  ];
}

/** A unique constraint of a partitioned table must hold its key; indexes of the leaves need not. */
const uniqueOf = ({ unique, structure }: TableShape): TableShape["unique"] =>
  structure === "partitioned" && (unique === "deferred" || unique === "deferrable") ? "none" : unique;

/** One change of one table, as numbers that the table's shape gives a meaning. */
export interface Operation {
  readonly kind:
    | "insert"
    | "insertMany"
    | "update"
    | "updateUnique"
    | "updateKey"
    | "updateKeyAndMore"
    | "swap"
    | "freed"
    | "freedNull"
    | "shift"
    | "noop"
    | "scale"
    | "toast"
    | "delete"
    | "replace"
    | "truncate"
    | "truncateAll"
    | "child"
    | "refer"
    | "updateMany";
  readonly table: number;
  readonly a: number;
  readonly b: number;
}

/** What one of two sessions does next. */
export interface Step {
  readonly session: 0 | 1;
  readonly act: Operation | "commit" | "rollback" | "savepoint" | "rollbackTo" | "release";
}

const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom(
    "insert",
    "insert",
    "insert",
    "insertMany",
    "update",
    "update",
    "updateUnique",
    "updateKey",
    "updateKeyAndMore",
    "swap",
    "swap",
    "freed",
    "freed",
    "freedNull",
    "shift",
    "noop",
    "scale",
    "toast",
    "delete",
    "delete",
    "replace",
    "replace",
    "truncate",
    "truncateAll",
    "child",
    "refer",
    "updateMany",
  ),
  table: fc.nat(5),
  a: fc.nat(11),
  b: fc.nat(11),
});

export const history: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    session: fc.constantFrom(0 as const, 0 as const, 1 as const),
    act: fc.oneof(
      { weight: 9, arbitrary: operation },
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          "commit" as const,
          "rollback" as const,
          "commit" as const,
          "savepoint" as const,
          "rollbackTo" as const,
          "release" as const,
        ),
      },
    ),
  }),
  { minLength: 3, maxLength: 30, size: "max" },
);

/** The statements of an operation. They may fail on the source, which is the source's affair. */
export function operationSql(shapes: readonly TableShape[], { kind, table, a, b }: Operation): string {
  const n = table % shapes.length;
  const shape = shapes[n] as TableShape;
  const t = `t${n}`;
  const key = (value: number | string): string => (shape.key === "text" ? `(${value})::text` : `${value}`);
  const at = `k = ${key(a)}`;
  const [low, high] = a < b ? [a, b] : [b, a];
  const range = `k IN (SELECT ${key("x")} FROM generate_series(${low}, ${high}) x)`;
  const insert = (from: number, to: number, salt: number): string => {
    const large = shape.hasToast ? [`CASE x % 3 WHEN 0 THEN repeat(md5((x + ${salt})::text), 90) WHEN 1 THEN 'short' END`] : [];
    const values = [key("x"), "'k'", `x + ${salt} % 5`, ...shape.values.map((type, c) => VALUES[type](`(x * 3 + ${salt + c})`)), ...large];
    const columns = ["k", "k2", "u", ...shape.values.map((_, c) => `v${c}`), ...(shape.hasToast ? ["large"] : [])];
    const fresh = shape.key === "full" ? "" : ` WHERE NOT EXISTS (SELECT FROM ${t} WHERE k = ${key("x")})`;
    return `INSERT INTO ${t} (${columns.join(", ")}) SELECT ${values.join(", ")} FROM generate_series(${from}, ${to}) x${fresh}`;
  };
  const keep = (name: string, value: number): string =>
    `SELECT set_config('p.${name}', coalesce((SELECT min(u)::text FROM ${t} WHERE k = ${key(value)}), ''), false)`;
  const kept = (name: string): string => `nullif(current_setting('p.${name}'), '')::int`;
  switch (kind) {
    case "insert":
      return insert(a, a + (b % 4), b);
    case "insertMany":
      return insert(100 + a * 10, 100 + a * 10 + 70, 0);
    case "update":
      return `UPDATE ${t} SET ${shape.values.map((type, c) => `v${c} = ${VALUES[type](`(u * 7 + ${a + b + c})`)}`).join(", ")} WHERE ${range}`;
    case "updateUnique":
      return `UPDATE ${t} SET u = ${b} WHERE ${at}`;
    case "updateKey":
      return `UPDATE ${t} SET k = ${key(b)} WHERE ${at}`;
    case "updateKeyAndMore":
      return `UPDATE ${t} SET k = ${key(b)}, k2 = k2 || 'x', u = u + 1 WHERE ${at}`;
    case "swap":
      return `${keep("a", a)}; ${keep("b", b)}; UPDATE ${t} SET u = NULL WHERE ${at}; UPDATE ${t} SET u = ${kept("a")} WHERE k = ${key(b)}; UPDATE ${t} SET u = ${kept("b")} WHERE ${at}`;
    case "freed":
      return `${keep("a", a)}; DELETE FROM ${t} WHERE ${at}; UPDATE ${t} SET u = ${kept("a")} WHERE k = ${key(b)}; ${insert(a, a, b)}`;
    case "freedNull":
      return `UPDATE ${t} SET u = ${a + 20} WHERE u IS NULL; UPDATE ${t} SET u = NULL WHERE k = ${key(b)}`;
    case "shift":
      return `UPDATE ${t} SET u = u ${a % 2 === 0 ? "+" : "-"} 1 WHERE ${range}`;
    case "noop":
      return `UPDATE ${t} SET u = u, k = k WHERE ${range}`;
    case "scale":
      return shape.key === "numeric" ? `UPDATE ${t} SET k = k + 0.0 WHERE ${range}` : `UPDATE ${t} SET k2 = k2 || 'y' WHERE ${range}`;
    case "toast":
      return shape.hasToast ? `UPDATE ${t} SET large = repeat(md5('${a}'), 80) WHERE ${range}` : `UPDATE ${t} SET u = NULL WHERE ${at}`;
    case "delete":
      return `DELETE FROM ${t} WHERE ${range}`;
    case "replace":
      return `DELETE FROM ${t} WHERE ${at}; ${insert(a, a, b)}`;
    case "truncate":
      return `TRUNCATE ${t}${a % 2 === 0 ? " RESTART IDENTITY" : ""} CASCADE`;
    case "truncateAll":
      return `TRUNCATE ${shapes.flatMap((each, m) => (each.structure === "referred" ? tableNames(each, m) : [`t${m}`])).join(", ")}`;
    case "child":
      if (shape.structure === "inherited") return `INSERT INTO ${t}_c (k, k2, u, more) SELECT ${key(a)}, 'k', ${b}, 'child'`;
      return `UPDATE ${t} SET k2 = 'z' WHERE ${at}`;
    case "refer":
      return shape.structure === "referred"
        ? `INSERT INTO ${t}_r (k) SELECT k FROM ${t} WHERE ${at}`
        : `UPDATE ${t} SET u = -u WHERE ${range}`;
    case "updateMany":
      return `UPDATE ${t} SET u = u + 1000 WHERE k NOT IN (SELECT ${key("x")} FROM generate_series(0, 90) x)`;
  }
}

/** Brings the tables back to the rows with which each history begins, through the sync like all else. */
export function resetSql(shapes: readonly TableShape[]): string {
  const names = shapes.flatMap((shape, n) => (shape.structure === "referred" ? tableNames(shape, n) : [`t${n}`]));
  const fill = shapes.map((_, n) => operationSql(shapes, { kind: "insert", table: n, a: 1, b: 3 }));
  const more = shapes.map((_, n) => operationSql(shapes, { kind: "insert", table: n, a: 6, b: 3 }));
  // Who refers goes first. Not TRUNCATE, whose new files would cost more than all else.
  return ["BEGIN", ...names.toReversed().map((name) => `DELETE FROM ${name}`), ...fill, ...more, "COMMIT"].join("; ");
}
