import { expect, test } from "vitest";
import { tableKey } from "../../../contracts/tables.ts";
import { compareTables, sayDifference, typesFit } from "../../../worker/schema/compare.ts";
import { type Column, type TableDefinition } from "../../../worker/source/catalog.ts";

test.each([
  ["integer", "integer", true],
  ["integer", "bigint", true],
  ["bigint", "integer", false],
  ["smallint", "text", true],
  ["character varying(10)", "character varying(20)", true],
  ["character varying(20)", "character varying(10)", false],
  ["character varying(20)", "character varying", true],
  ["character varying", "character varying(20)", false],
  ["character varying(20)", "text", true],
  ["text", "character varying", true],
  ["character(3)", "character", false],
  ["numeric(10,2)", "numeric", true],
  ["numeric(10,2)", "numeric(8,2)", false],
  ["timestamp(3) without time zone", "timestamp without time zone", true],
  ["timestamp without time zone", "timestamp with time zone", false],
  ["public.citext", "extensions.citext", true],
  ['"my.schema"."my type"', 'public."my type"', true],
  ["public.mood", "public.moods", false],
  ["integer[]", "bigint[]", false],
  ["date", "text", false],
])("a column of %s into one of %s: %s", (source, target, fits) => {
  expect(typesFit(source, target)).toBe(fits);
});

const column = (name: string, typeName = "integer", isGenerated = false): Column => ({
  name,
  typeName,
  typeOid: 23,
  isBuiltInType: true,
  isNotNull: false,
  isGenerated,
  identity: "none",
});

const table = (name: string, columns: readonly Column[]): TableDefinition => ({
  oid: 1,
  schema: "public",
  name,
  columns,
  identity: { kind: "full" },
  primaryKey: [],
  partitionRoot: undefined,
  partitionPath: undefined,
  isUnlogged: false,
  hasRowSecurity: false,
  sizeBytes: 0,
  pages: 0,
  rowsEstimate: 0,
});

test("missing tables and each kind of difference are found, columns in any order are none", () => {
  const source = [
    table("same", [column("a"), column("b")]),
    table("gone", []),
    table("other", [column("lost"), column("typed", "date"), column("g", "integer", true), column("h")]),
  ];
  const target = [
    table("same", [column("b"), column("extra"), column("a")]),
    table("other", [column("typed", "text"), column("g"), column("h", "integer", true)]),
  ];
  const { missing, different } = compareTables(source, new Map(target.map((each) => [tableKey(each), each])));
  expect(missing.map(({ name }) => name)).toEqual(["gone"]);
  expect(different.map(({ table: { name }, differences }) => [name, differences.map(sayDifference)])).toEqual([
    [
      "other",
      [
        "the target has no column lost (integer)",
        "column typed is date on the source, text on the target",
        "column g is generated on the source only: the target would get no values for it",
        "column h is generated on the target only",
      ],
    ],
  ]);
});
