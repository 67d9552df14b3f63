import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseLsn } from "../../../contracts/lsn.ts";
import { tableKey } from "../../../contracts/tables.ts";
import { type Column } from "../../../worker/source/catalog.ts";
import { copyFormat } from "../../../worker/full-load/copy-format.ts";
import { copyFromSql, copyToSql } from "../../../worker/full-load/copy-sql.ts";
import { type LedgerPart } from "../../../worker/full-load/ledger.ts";
import { conditionOf, cutPages, cutValues, WHOLE } from "../../../worker/full-load/part-range.ts";
import { cutsByKey, planLoad, type LoadTable, type TablePlan } from "../../../worker/full-load/plan.ts";
import { decideLoad } from "../../../worker/full-load/resume.ts";

const column = (name: string, typeOid = 23, more: Partial<Column> = {}): Column => ({
  name,
  typeName: "integer",
  typeOid,
  isBuiltInType: true,
  isNotNull: true,
  isGenerated: false,
  identity: "none",
  ...more,
});

function table(name: string, megabytes: number, more: Partial<LoadTable> & { columns?: Column[]; primaryKey?: string[] } = {}): LoadTable {
  const columns = more.columns ?? [column("id"), column("note", 25)];
  return {
    schema: "public",
    name,
    target: { schema: "public", name },
    isTargetPartitioned: false,
    sourceColumns: columns.map((each) => each.name),
    targetColumns: new Map(columns.map((each) => [each.name, each])),
    ...more,
    definition: {
      oid: 1,
      schema: "public",
      name,
      columns,
      identity: { kind: "nothing" },
      primaryKey: more.primaryKey ?? ["id"],
      partitionRoot: undefined,
      partitionPath: undefined,
      isUnlogged: false,
      hasRowSecurity: false,
      sizeBytes: megabytes * 1024 * 1024,
      pages: megabytes * 128,
      rowsEstimate: 0,
      ...more.definition,
    },
  };
}

const settings = { largeTablePartMB: 100, onExistingRows: "refuse" } as const;

describe("cutting tables into parts", () => {
  test("the largest table comes first, and only what is larger than a part is cut", () => {
    const plan = planLoad([table("small", 1), table("large", 250), table("middle", 100)], settings, { sourceVersionNum: 170_000 });
    expect(plan.map((each) => [each.table.name, each.parts.length])).toEqual([
      ["large", 3],
      ["middle", 1],
      ["small", 1],
    ]);
    expect(plan[0]?.parts.map(({ range }) => conditionOf(range))).toEqual([
      "ctid >= '(0,0)' AND ctid < '(10667,0)'",
      "ctid >= '(10667,0)' AND ctid < '(21334,0)'",
      "ctid >= '(21334,0)'",
    ]);
  });

  test("before PostgreSQL 14 ranges are of an integer key; without one the table is one part", () => {
    const keyed = table("keyed", 250, { primaryKey: ["id"] });
    const texts = table("texts", 250, { primaryKey: ["note"] });
    expect(cutsByKey([keyed, texts, table("small", 1)], settings, 130_000).map(({ name }) => name)).toEqual(["keyed"]);
    expect(cutsByKey([keyed], settings, 140_000)).toEqual([]);
    const facts = { sourceVersionNum: 130_000, keyValues: new Map([[tableKey(keyed), [-10n, 20n]]]) };
    const [first, second] = planLoad([keyed, texts], settings, facts);
    expect(first?.parts.map(({ range }) => conditionOf(range))).toEqual([`"id" < '0'`, `"id" >= '0' AND "id" < '10'`, `"id" >= '10'`]);
    expect(second?.parts.map(({ range }) => range)).toEqual([WHOLE]);
  });

  test("what may be appended to rows of the user's is never cut", () => {
    const plan = planLoad([table("large", 10_000)], { ...settings, onExistingRows: "append" }, { sourceVersionNum: 170_000 });
    expect(plan[0]?.parts).toEqual([{ part: 0, range: WHOLE }]);
  });

  test("ranges of pages leave no gap, overlap nowhere and end open", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 5_000 }), fc.integer({ min: 2, max: 300 }), (pages, count) => {
        const ranges = cutPages(pages, count);
        expect(ranges.length).toBeLessThanOrEqual(count);
        ranges.forEach((range, n) => {
          if (range.kind !== "ctid") throw new Error("not a ctid range");
          expect(range.to).toBe(n + 1 < ranges.length ? (ranges[n + 1] as typeof range).from : undefined);
          if (range.to !== undefined) expect(range.to > range.from).toBe(true);
        });
        expect(ranges[0]).toMatchObject({ from: 0n });
      }),
    );
  });

  test("every key falls into exactly one range, also one that was not there when the ranges were made", () => {
    const keys = fc.array(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(keys, fc.integer({ min: 2, max: 50 }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (values, count, key) => {
        const ranges = cutValues(
          "k",
          values.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)),
          count,
        );
        expect(ranges.length).toBeLessThanOrEqual(count);
        const holding = ranges.filter((range) => {
          if (range.kind !== "key") return range.kind === "whole";
          return (range.from === undefined || key >= range.from) && (range.to === undefined || key < range.to);
        });
        expect(holding).toHaveLength(1);
      }),
    );
  });

  test("bounds of a histogram give ranges with as many rows each", () => {
    const ranges = cutValues("k", [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 1_000_000n], 4);
    expect(ranges.map(conditionOf)).toEqual([`"k" < '3'`, `"k" >= '3' AND "k" < '5'`, `"k" >= '5' AND "k" < '7'`, `"k" >= '7'`]);
  });
});

describe("what is copied", () => {
  const planOf = (each: LoadTable): TablePlan => planLoad([each], settings, { sourceVersionNum: 170_000 })[0] as TablePlan;

  test("columns are those that were pinned, without generated ones, whatever their names", () => {
    const columns = [column('a"b'), column("sum", 23, { isGenerated: true }), column("new")];
    const plan = planOf(table('t".x', 1, { columns, sourceColumns: ['a"b', "sum"] }));
    expect(copyToSql(plan, WHOLE)).toBe(`COPY "public"."t"".x" ("a""b") TO STDOUT (FORMAT binary)`);
    expect(copyFromSql(plan)).toBe(`COPY "public"."t"".x" ("a""b") FROM STDIN (FORMAT binary)`);
  });

  test("a range reads the table without its children", () => {
    expect(copyToSql(planOf(table("t", 1)), { kind: "ctid", from: 5n, to: undefined })).toBe(
      `COPY (SELECT "id", "note" FROM ONLY "public"."t" WHERE ctid >= '(5,0)') TO STDOUT (FORMAT binary)`,
    );
  });

  test.each([
    ["the same built-in types", 23, 23, 170_000, "binary"],
    ["a wider type on the target", 23, 20, 170_000, "text"],
    ["a type that was made by the user", 16_400, 16_400, 170_000, "text"],
    ["regclass, whose binary form is an oid", 2205, 2205, 170_000, "text"],
    ["an array of a built-in type", 1007, 1007, 170_000, "binary"],
    ["a source before 10, where times may be floats", 23, 23, 90_600, "text"],
  ] as const)("%s", (_title, sourceOid, targetOid, version, format) => {
    expect(copyFormat([column("a", sourceOid)], new Map([["a", column("a", targetOid)]]), version)).toBe(format);
  });
});

describe("going on after an interruption", () => {
  const lsn = parseLsn("1/10");
  const later = parseLsn("1/20");
  const plan = planLoad([table("large", 250), table("small", 1)], settings, { sourceVersionNum: 170_000 });
  const large = plan[0] as TablePlan;
  const entry = (name: string, part: number, isDone: boolean, snapshotLsn = lsn): LedgerPart => ({
    schema: "public",
    name,
    part,
    range: { kind: "ctid", from: BigInt(part * 7), to: undefined },
    isDone,
    snapshotLsn: isDone ? snapshotLsn : null,
    sourceFile: isDone ? 16_384 : null,
    rows: 0,
    bytes: 0,
    startedOn: null,
    endedOn: null,
  });
  const names = (parts: readonly { plan: TablePlan; part: number }[]): string[] =>
    parts.map(({ plan: p, part }) => `${p.table.name}/${part}`);

  test("an empty ledger: everything is entered and loaded, and nothing emptied", () => {
    const decision = decideLoad(plan, [], lsn, "refuse");
    expect(names(decision.left)).toEqual(["large/0", "large/1", "large/2", "small/0"]);
    expect(decision.enter).toEqual(plan);
    expect(decision.empty).toEqual([]);
  });

  test("what is done stays done; what is left of a table goes on under the same snapshot, with the ledger's ranges", () => {
    const ledger = [entry("large", 0, true), entry("large", 1, false), entry("small", 0, true)];
    const decision = decideLoad(plan, ledger, lsn, "refuse");
    expect(decision.left).toEqual([{ plan: large, part: 1, range: ledger[1]?.range }]);
    expect([decision.enter, decision.empty]).toEqual([[], []]);
  });

  test("a table that was half loaded under another snapshot is emptied and begun again, with the ranges of now", () => {
    const decision = decideLoad(plan, [entry("large", 0, true), entry("large", 1, false), entry("small", 0, true, lsn)], later, "refuse");
    expect(names(decision.left)).toEqual(["large/0", "large/1", "large/2"]);
    expect(decision.enter).toEqual([large]);
    expect(decision.empty).toEqual([large.table]);
  });

  test("a table of which nothing was loaded is not emptied", () => {
    const decision = decideLoad(plan, [entry("large", 0, false), entry("large", 1, false), entry("small", 0, true)], later, "append");
    expect(decision.enter).toEqual([large]);
    expect(decision.empty).toEqual([]);
  });

  test("truncate empties each target once: when its table is entered for the first time", () => {
    expect(decideLoad(plan, [], lsn, "truncate").empty).toEqual(plan.map((each) => each.table));
    expect(decideLoad(plan, [entry("large", 0, false), entry("small", 0, true)], later, "truncate").empty).toEqual([]);
  });

  test("tables that go to one target begin again together, since it can only be emptied as a whole", () => {
    const target = { schema: "public", name: "root" };
    const shared = { target, isTargetPartitioned: true };
    const two = planLoad([table("p1", 250, shared), table("p2", 1, shared)], settings, { sourceVersionNum: 170_000 });
    const decision = decideLoad(two, [entry("p1", 0, true), entry("p1", 1, false), entry("p2", 0, true)], later, "refuse");
    expect(names(decision.left)).toEqual(["p1/0", "p1/1", "p1/2", "p2/0"]);
    expect(decision.enter).toEqual(two);
    expect(decision.empty.map((each) => each.target)).toEqual([target]);
    expect(decideLoad(two, [entry("p2", 0, true)], later, "truncate").empty).toEqual([]);
  });
});
