import fc from "fast-check";
import { expect, test } from "vitest";
import { type NetChanges } from "../../../worker/incremental-sync/fold.ts";
import { spread, type Spread } from "../../../worker/incremental-sync/lanes.ts";
import { type SyncTable } from "../../../worker/incremental-sync/sync-table.ts";
import { type Tuple, tupleOf } from "../../../worker/incremental-sync/tuple.ts";

const row = (key: number): Tuple => tupleOf(Buffer.from([0x74, 0, 0, 0, 1, key]));
const keyIn = ({ bytes, end }: Tuple): number => bytes[end - 1] ?? -1;

const table = (name: string, howSpread: Spread, isTargetShared: boolean): SyncTable =>
  ({ definition: { target: { schema: "s", name }, spread: howSpread, isTargetShared }, keyPositions: [0] }) as unknown as SyncTable;

const rows = fc.array(fc.nat(255), { maxLength: 20 }).map((keys) => keys.map(row));
const net = fc.record({
  table: fc.constantFrom(
    table("a", "rows", false),
    table("b", "table", false),
    table("b", "rows", true),
    table("c", "rows", false),
    table("d", "table", false),
  ),
  deletes: rows,
  updates: rows,
  inserts: rows,
});

/** Everything that is done, in order: table, kind and key. */
const done = (nets: readonly NetChanges[]): string[] =>
  nets.flatMap(({ table: { definition }, deletes, updates, inserts }) =>
    Object.entries({ deletes, updates, inserts }).flatMap(([kind, tuples]) =>
      tuples.map((tuple) => `${definition.target.name} ${keyIn(tuple)} ${kind}`),
    ),
  );

test("each change goes to one lane, with all others of its row or its table, in the same order", () => {
  fc.assert(
    fc.property(fc.array(net, { maxLength: 6 }), fc.integer({ min: 2, max: 5 }), (nets, lanes) => {
      const parts = spread(nets, lanes).map(done);
      expect(parts).toHaveLength(lanes);
      expect(parts.flat().sort()).toEqual(done(nets).sort());
      // What must stay together: rows of one key where tables are spread by rows, else all of a table.
      const together = (text: string): string => (/^[ac] /.test(text) ? text.split(" ").slice(0, 2).join(" ") : (text.split(" ")[0] ?? ""));
      for (const what of new Set(done(nets).map(together))) {
        const of = parts.map((part) => part.filter((text) => together(text) === what)).filter((part) => part.length > 0);
        expect(of).toEqual([done(nets).filter((text) => together(text) === what)]);
      }
    }),
  );
});

test("many rows of one table, and many tables, keep all lanes busy", () => {
  const many = Array.from({ length: 256 }, (_, key) => row(key));
  const byRows = spread([{ table: table("a", "rows", false), deletes: [], updates: many, inserts: [] }], 4).map(done);
  for (const part of byRows) expect(part.length).toBeGreaterThan(256 / 8);
  const tables = ["a", "b", "c", "d"].map((name) => ({
    table: table(name, "table", false),
    deletes: [],
    updates: many.slice(0, 10),
    inserts: [],
  }));
  expect(spread(tables, 4).map(({ length }) => length)).toEqual([1, 1, 1, 1]);
});
