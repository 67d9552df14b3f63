import { expect, test } from "vitest";
import { type Lsn } from "../../../contracts/lsn.ts";
import { type Applier } from "../../../worker/incremental-sync/apply.ts";
import { type Change } from "../../../worker/incremental-sync/change.ts";
import { type ChangeCounts } from "../../../worker/incremental-sync/counts.ts";
import { type Group, GroupBuilder } from "../../../worker/incremental-sync/group.ts";
import { type Frame } from "../../../worker/incremental-sync/change-source.ts";
import { SyncConnection } from "../../../worker/incremental-sync/sync-connection.ts";

const change: Change = { kind: "truncate", tables: [], partial: [], cascade: false, restartIdentity: false, sparesOthers: false };

test("a transaction of which little is kept is applied in pieces before what came with it fills the memory", () => {
  const pieces: Group[] = [];
  const applier = {
    isWorn: false,
    apply: (group: Group): Promise<ChangeCounts> => {
      pieces.push(group);
      return new Promise(() => undefined);
    },
  } as unknown as Applier;
  const connection = new SyncConnection({
    applier,
    builder: new GroupBuilder({ maxChanges: 1_000, maxBytes: 10 * 64 * 1024 }),
    decoder: {
      decode: ({ start, end }: Frame) =>
        start === 0 ? { kind: "begin", committedAtMs: 0 } : end - start > 1_000 ? { kind: "nothing" } : change,
      reached: () => undefined,
      learnsFirst: () => false,
    },
    onDurable: () => undefined,
    onIdle: () => undefined,
    onPending: () => undefined,
    isAwaited: () => false,
    confirmable: (lsn: Lsn) => lsn,
    leavesSmall: () => false,
  });
  const bytes = Buffer.alloc(100_000);
  connection.onMessage({ bytes, start: 0, end: 40 });
  for (let n = 0; n < 10; n++) {
    expect(pieces).toEqual([]);
    for (let left = 0; left < 3; left++) connection.onMessage({ bytes, start: 100, end: 50_000 });
    connection.onMessage({ bytes, start: 100, end: 200 });
  }
  expect(pieces.map(({ changes, bytes: counted }) => [changes.length, counted])).toEqual([[10, 10 * 64 * 1024]]);
});
