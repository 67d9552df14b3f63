import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseTableName, type TableName } from "../../../contracts/tables.ts";
import { type TableDefinition } from "../../../worker/source/catalog.ts";
import { selectTables, type TableSelection, writtenName } from "../../../worker/validation/select-tables.ts";
import { anyText } from "../../setup/any-text.ts";

const table = (schema: string, name: string, partitionRoot?: TableName): TableDefinition => ({
  oid: 1,
  schema,
  name,
  columns: [],
  identity: { kind: "full" },
  primaryKey: [],
  partitionRoot,
  partitionPath: undefined,
  isUnlogged: false,
  hasRowSecurity: false,
  sizeBytes: 0,
  pages: 0,
  rowsEstimate: 0,
});

const byYear = { schema: "archive", name: "log_by_year" };
const log = { schema: "public", name: "log" };
const all = [
  table("public", "orders"),
  table("public", "Orders"),
  table("public", "order.items"),
  table("sales", "orders"),
  table("archive", "log_2024", log),
  table("archive", "log_2025", log),
  { ...table("archive", "log_2026_01", log), partitionAncestors: [byYear] },
  table("public", "100% [a](b)"),
];

const select = (selection: Partial<TableSelection>): { names: string[]; unknown: readonly string[] } => {
  const { tables, unknown } = selectTables(all, { selectedTables: [], includeTables: [], excludeTables: [], ...selection });
  return { names: tables.map(({ schema, name }) => `${schema}.${name}`), unknown };
};

describe.each<[string, Partial<TableSelection>, string[], string[]]>([
  ["nothing asked: everything", {}, all.map(({ schema, name }) => `${schema}.${name}`), []],
  ["a name is taken as it is written", { selectedTables: ["public.Orders"] }, ["public.Orders"], []],
  ["a name without schema is public", { selectedTables: ["orders"] }, ["public.orders"], []],
  ["a name with a dot is quoted", { selectedTables: ['public."order.items"'] }, ["public.order.items"], []],
  [
    "a partitioned table means its partitions",
    { selectedTables: ["public.log"] },
    ["archive.log_2024", "archive.log_2025", "archive.log_2026_01"],
    [],
  ],
  ["also one that is a partition itself", { selectedTables: ["archive.log_by_year"] }, ["archive.log_2026_01"], []],
  ["and by pattern", { includeTables: ["archive.*_by_year"] }, ["archive.log_2026_01"], []],
  ["and in an exclusion", { selectedTables: ["log"], excludeTables: ["archive.log_by_*"] }, ["archive.log_2024", "archive.log_2025"], []],
  ["a partition may be named itself", { selectedTables: ["archive.log_2024"] }, ["archive.log_2024"], []],
  ["what is not there is told", { selectedTables: ["public.orders", "public.nope", "a.b.c"] }, ["public.orders"], ["public.nope", "a.b.c"]],
  ["patterns match any characters", { includeTables: ["*.orders"] }, ["public.orders", "sales.orders"], []],
  ["a question mark is one character", { includeTables: ["archive.log_202?"] }, ["archive.log_2024", "archive.log_2025"], []],
  ["a pattern that fits nothing is told", { includeTables: ["nope.*", "sales.*"] }, ["sales.orders"], ["nope.*"]],
  ["other signs mean themselves", { includeTables: ["public.100% [a](b)"] }, ["public.100% [a](b)"], []],
  [
    "the root's name fits its partitions",
    { includeTables: ["public.l?g"] },
    ["archive.log_2024", "archive.log_2025", "archive.log_2026_01"],
    [],
  ],
  ["exclusion comes last", { includeTables: ["public.*"], excludeTables: ["public.o*", "public.log", "public.1*"] }, ["public.Orders"], []],
  [
    "patterns narrow what is named",
    { selectedTables: ["orders", "public.log"], includeTables: ["archive.*"] },
    ["archive.log_2024", "archive.log_2025", "archive.log_2026_01"],
    [],
  ],
  ["an exclusion that fits nothing is no fault", { selectedTables: ["orders"], excludeTables: ["x.*"] }, ["public.orders"], []],
])("%s", (_title, selection, names, unknown) => {
  test(JSON.stringify(selection), () => expect(select(selection)).toEqual({ names, unknown }));
});

test("a pattern with many stars takes no longer than another", { timeout: 5_000 }, () => {
  const long = table("public", "a".repeat(63));
  const pattern = `public.${"*a".repeat(30)}b`;
  expect(selectTables([long], { selectedTables: [], includeTables: [pattern], excludeTables: [] }).unknown).toEqual([pattern]);
});

test("a pattern fits what its regular expression would", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "列", "😀"), minLength: 1, maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "列", "😀", "*", "?"), minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(letters, pattern, (name, text) => {
      const fits = new RegExp(`^${text.replaceAll("*", ".*").replaceAll("?", ".")}$`, "su").test(name);
      const { tables } = selectTables([table("public", name)], { selectedTables: [], includeTables: [text], excludeTables: [] });
      expect(tables.length).toBe(fits ? 1 : 0);
    }),
    { numRuns: 2000 },
  );
});

test("whatever a name holds, what is shown is read back as the same name", () => {
  const part = anyText({ minLength: 1 }).filter((text) => !text.includes("\0"));
  fc.assert(
    fc.property(part, part, (schema, name) => {
      expect(parseTableName(writtenName({ schema, name }))).toEqual({ schema, name });
    }),
  );
});
