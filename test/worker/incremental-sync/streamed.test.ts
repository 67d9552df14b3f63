import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LSN_NEVER, type Lsn } from "../../../contracts/lsn.ts";
import { type Change } from "../../../worker/incremental-sync/change.ts";
import { GroupBuilder } from "../../../worker/incremental-sync/group.ts";
import { ConnectionLost } from "../../../worker/postgres/failures.ts";
import { ServerError } from "../../../worker/postgres/wire/server-error.ts";
import { isInVain, LongWait, mayStream, StreamedInVain } from "../../../worker/incremental-sync/streamed.ts";
import { type SyncTarget } from "../../../worker/incremental-sync/sync-table.ts";

const lsn = (n: number): Lsn => BigInt(n) as Lsn;
const targets = (...tables: readonly Partial<SyncTarget>[]): ReadonlyMap<string, SyncTarget> =>
  new Map(tables.map((table, n) => [`t${n}`, table as SyncTarget]));

describe("where large transactions may be streamed", () => {
  const from = (startLsn: number, tables: ReadonlyMap<string, SyncTarget>): boolean =>
    mayStream({ plugin: "pgoutput", sourceVersionNum: 140_000, startLsn: lsn(startLsn), targets: tables });

  test("all that is behind the stream's start must be behind all loaded rows", () => {
    const tables = targets({ snapshotLsn: lsn(5) }, { snapshotLsn: lsn(7) });
    expect([from(6, tables), from(7, tables), from(8, tables)]).toEqual([false, true, true]);
  });

  test("so must parts of a table that were loaded later; tables that are left out do not matter", () => {
    const tables = targets({ snapshotLsn: lsn(5), parts: { parts: [], alikeFrom: lsn(9) } }, { snapshotLsn: LSN_NEVER });
    expect([from(8, tables), from(9, tables)]).toEqual([false, true]);
  });

  test("by pgoutput of a source that knows the protocol", () => {
    const options = { startLsn: lsn(1), targets: targets() };
    expect(mayStream({ ...options, plugin: "pgoutput", sourceVersionNum: 130_099 })).toBe(false);
    expect(mayStream({ ...options, plugin: "test_decoding", sourceVersionNum: 170_000 })).toBe(false);
    expect(mayStream({ ...options, plugin: "pgoutput", sourceVersionNum: 140_000 })).toBe(true);
  });
});

test("what a transaction under way is to blame for is tried again without streaming, and nothing else", () => {
  const refused = new Error("refused");
  const broken = new ServerError("cannot decode", { code: "XX000", severity: "ERROR" });
  expect(isInVain(refused, { streams: true, isStreamed: true })).toBe(true);
  expect(isInVain(broken, { streams: true, isStreamed: false })).toBe(true);
  expect(isInVain(new StreamedInVain("undone"), { streams: true, isStreamed: false })).toBe(true);
  expect(isInVain(refused, { streams: true, isStreamed: false })).toBe(false);
  expect(isInVain(broken, { streams: false, isStreamed: false })).toBe(false);
  expect(isInVain(new ConnectionLost("source"), { streams: true, isStreamed: true })).toBe(false);
});

test("what is up to date waits for five seconds, what is not for ten minutes, until nothing waits", () => {
  const wait = new LongWait();
  expect([1_000, 4_000, 6_000, 6_001].map((nowMs) => wait.isTooLong(nowMs, false))).toEqual([false, false, false, true]);
  wait.over();
  expect(wait.isTooLong(20_000, false)).toBe(false);
  expect(wait.isTooLong(24_000, true)).toBe(false); // it has fallen behind again
  expect([26_000, 620_000, 620_001].map((nowMs) => wait.isTooLong(nowMs, true))).toEqual([false, false, true]);
});

/** One thing that the stream says: a whole transaction of so many changes, a block of one under way, the end of that. */
type Said = { readonly whole: number } | { readonly block: number; readonly of: number } | { readonly end: number };

const said: fc.Arbitrary<Said> = fc.oneof(
  fc.record({ whole: fc.nat(4) }),
  fc.record({ block: fc.nat(4), of: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ end: fc.integer({ min: 1, max: 3 }) }),
);

test("groups have all changes in the order of the stream, and none is whole while a transaction is under way", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ what: said, takes: fc.boolean() }), { maxLength: 40 }), (steps) => {
      const builder = new GroupBuilder({ maxChanges: 3, maxBytes: 1_000_000 });
      const underWay = new Set<number>();
      const arrived: number[] = [];
      const taken: number[] = [];
      let [ends, open] = [0, 0]; // how many commits there were; changes that are not committed yet
      const add = (count: number): void => {
        for (let n = 0; n < count; n++) builder.add(arrived.push(arrived.length) as unknown as Change, 1);
        open += count;
      };
      const commit = (xid?: number): void => {
        builder.commit(lsn(++ends), 0, xid);
        if (xid !== undefined) underWay.delete(xid);
        if (underWay.size === 0) open = 0;
      };
      for (const { what, takes } of steps) {
        if ("whole" in what) {
          builder.begin();
          add(what.whole);
          commit();
        } else if ("block" in what) {
          builder.stream(what.of);
          add(what.block);
          if (what.block > 0) underWay.add(what.of);
          builder.stream(undefined);
        } else commit(what.end);
        expect(builder.isUnderWay).toBe(underWay.size > 0);
        expect(builder.keepsWaiting && underWay.size === 0).toBe(false);
        for (let group = takes ? builder.take() : undefined; group; group = builder.take()) {
          taken.push(...(group.changes as unknown as number[]));
          // What is whole ends where a commit found nothing under way: nothing that is open was in it.
          if (group.endLsn !== undefined) expect(taken.length).toBe(arrived.length - open);
        }
      }
      for (const xid of [...underWay]) commit(xid);
      builder.begin();
      commit();
      taken.push(...((builder.takeWhole()?.changes ?? []) as unknown as number[]));
      expect(taken).toEqual(arrived.map((_, n) => n + 1));
      expect(builder.isEmpty).toBe(true);
    }),
    { numRuns: 500 },
  );
});
