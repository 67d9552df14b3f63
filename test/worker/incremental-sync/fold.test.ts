import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LSN_ZERO } from "../../../contracts/lsn.ts";
import { type Change } from "../../../worker/incremental-sync/change.ts";
import { fold } from "../../../worker/incremental-sync/fold.ts";
import { statementFor } from "../../../worker/incremental-sync/in-order.ts";
import { type SyncTable, toSyncTable } from "../../../worker/incremental-sync/sync-table.ts";
import { type Tuple, valuesOf } from "../../../worker/incremental-sync/tuple.ts";
import { tuple } from "./tuples.ts";

const column = (name: string) => ({
  name,
  typeName: "text",
  typeOid: 25,
  isBuiltInType: true,
  isNotNull: false,
  isGenerated: false,
  identity: "none" as const,
});

const table: SyncTable = toSyncTable(
  {
    id: 1,
    schema: "public",
    name: "t",
    replicaIdentity: "d",
    columns: ["id", "large", "n"].map((name) => ({ name, isKey: name === "id", typeOid: 25 })),
  },
  {
    schema: "public",
    name: "t",
    target: { schema: "public", name: "t" },
    isTargetPartitioned: false,
    targetColumns: new Map(["id", "large", "n"].map((name) => [name, column(name)])),
    sourceColumns: ["id", "large", "n"],
    keyColumns: ["id"],
    snapshotLsn: LSN_ZERO,
    isInsertOnly: false,
  },
  0,
);

type Rows = Map<string, (string | null)[]>;
const text = (value: Buffer | null | undefined): string | null | undefined => (Buffer.isBuffer(value) ? value.toString() : value);
const read = (row: Tuple): (string | null | undefined)[] => valuesOf(row).map(text);

/** What one change does to the rows of a table, with the strictness of a database: wrong keys are errors. */
function applyPlainly(rows: Rows, change: Change): void {
  if (change.kind === "truncate") return rows.clear();
  if (change.kind === "insert") return insert(rows, read(change.row));
  const old = read(change.kind === "delete" ? change.old : (change.old ?? change.row));
  const known = rows.get(String(old[0]));
  if (!known) throw new Error("no such row");
  rows.delete(String(old[0]));
  if (change.kind === "update")
    insert(
      rows,
      read(change.row).map((value, n) => (value === undefined ? known[n] : value)),
    );
}

function insert(rows: Rows, row: (string | null | undefined)[]): void {
  if (row.includes(undefined)) throw new Error("a value was not sent");
  if (rows.has(String(row[0]))) throw new Error("the row is there already");
  rows.set(String(row[0]), row as (string | null)[]);
}

/** What the set-wise application does: deletes, then updates, then inserts. */
function applyFolded(rows: Rows, changes: readonly Change[]): void {
  for (const segment of fold(changes)) {
    if (segment.kind === "single") {
      applyPlainly(rows, segment.change);
      continue;
    }
    for (const { deletes, updates, inserts } of segment.tables) {
      for (const old of deletes) applyPlainly(rows, { kind: "delete", table, old });
      for (const row of updates) applyPlainly(rows, { kind: "update", table, old: undefined, row });
      for (const row of inserts) applyPlainly(rows, { kind: "insert", table, row });
    }
  }
}

/** Turns arbitrary numbers into a history that a source could have had, starting from the rows "0" to "2". */
function history(steps: readonly { op: number; key: number; other: number; value: string | null; isUnchanged: boolean }[]): Change[] {
  const live = new Set(["0", "1", "2"]);
  const changes: Change[] = [];
  for (const { op, key, other, value, isUnchanged } of steps) {
    const id = String(key);
    const large = isUnchanged ? undefined : value;
    if (op === 0 && !live.has(id)) {
      live.add(id);
      changes.push({ kind: "insert", table, row: tuple([id, value, "new"]) });
    } else if (op === 1 && live.has(id)) {
      changes.push({ kind: "update", table, old: undefined, row: tuple([id, large, value]) });
    } else if (op === 2 && live.has(id)) {
      live.delete(id);
      changes.push({ kind: "delete", table, old: tuple([id, null, null]) });
    } else if (op === 3 && live.has(id) && !live.has(String(other))) {
      live.delete(id);
      live.add(String(other));
      changes.push({ kind: "update", table, old: tuple([id, null, null]), row: tuple([String(other), large, value]) });
    } else if (op === 4) {
      live.clear();
      changes.push({ kind: "truncate", tables: [table], partial: [], cascade: false, restartIdentity: false, sparesOthers: false });
    }
  }
  return changes;
}

const start = (): Rows => new Map(["0", "1", "2"].map((id) => [id, [id, `large ${id}`, "old"]]));

describe("folding changes", () => {
  test("has the same outcome as applying them one by one, for any history", () => {
    const step = fc.record({
      op: fc.oneof({ weight: 10, arbitrary: fc.integer({ min: 0, max: 3 }) }, { weight: 1, arbitrary: fc.constant(4) }),
      key: fc.integer({ min: 0, max: 4 }),
      other: fc.integer({ min: 0, max: 4 }),
      value: fc.option(fc.string(), { nil: null }),
      isUnchanged: fc.boolean(),
    });
    // Also histories of few kinds: where a table has changes of one kind only, its rows are not looked for by their keys.
    const kinds = fc.subarray([0, 1, 2, 3, 4], { minLength: 1 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), kinds, (steps, some) => {
        const changes = history(steps.map((each) => ({ ...each, op: some[each.op % some.length] ?? 0 })));
        const plain = start();
        for (const change of changes) applyPlainly(plain, change);
        const folded = start();
        applyFolded(folded, changes);
        expect([...folded].sort()).toEqual([...plain].sort());
      }),
      { numRuns: 2_000 },
    );
  });

  test("touches each row of a stretch once", () => {
    const changes = history([1, 1, 1, 2, 0, 1].map((op) => ({ op, key: 1, other: 0, value: "x", isUnchanged: false })));
    expect(fold(changes)).toEqual([
      { kind: "net", tables: [{ table, deletes: [tuple(["1", null, null])], updates: [], inserts: [tuple(["1", "x", "x"])] }] },
    ]);
  });

  test("a table that is described again is a stretch of its own where others go to the same target: order decides there", () => {
    const shared = { ...table, definition: { ...table.definition, isTargetShared: true } };
    const again = { ...shared, number: 1 };
    const row = tuple(["1", "x", "x"]);
    const segments = fold([
      { kind: "insert", table: shared, row },
      { kind: "delete", table: again, old: row },
    ]);
    expect(
      segments.map((segment) => segment.kind === "net" && segment.tables.map((net) => [net.inserts.length, net.deletes.length])),
    ).toEqual([[[1, 0]], [[0, 1]]]);
  });

  test("a key that changes together with a value that was not sent stands alone", () => {
    const changes = history([{ op: 3, key: 1, other: 4, value: "x", isUnchanged: true }]);
    expect(fold(changes).map(({ kind }) => kind)).toEqual(["single"]);
  });

  test("an update whose key was not sent stands alone, and is refused where no old row tells the key", () => {
    const row = tuple([undefined, "x", "1"]);
    const update = { kind: "update", table, row } as const;
    const withOld = { ...update, old: tuple(["u", null, null]) };
    expect(fold([withOld])).toEqual([{ kind: "single", change: withOld }]);
    expect(statementFor(withOld)).toMatchObject({ rowCount: 1, values: [Buffer.from("x"), Buffer.from("1"), Buffer.from("u")] });
    expect(() => statementFor({ ...update, old: undefined })).toThrow(/without its key, column id/);
  });
});
