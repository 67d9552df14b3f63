import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { fromChunks, RowTooLarge, toChunks } from "../../functions/store/document.ts";
import { afterPrefix, encodeKey, encodeNames } from "../../functions/store/keys.ts";
import { LostRace, retryingRaces } from "../../functions/store/races.ts";
import { openStore, type Store } from "../../functions/store/store.ts";
import { workerKey, workersOfService, type WorkerRow } from "../../functions/store/workers.ts";
import { anyText } from "../setup/any-text.ts";
import { emptyTables } from "./fixtures/tables.ts";

/** As it travels in UTF-8: half a character becomes a replacement. */
const wellFormed = (text: string): string => Buffer.from(text).toString();

describe("keys", () => {
  test("hold only what the table service allows, and no two texts share one", () => {
    const text = anyText({ maxLength: 300 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        for (const key of [encodeKey(a), encodeNames(a, b)]) expect(key).toMatch(/^[A-Za-z0-9._|=-]*$/);
        expect(encodeKey(a).length).toBeLessThanOrEqual(450);
        if (wellFormed(a) !== wellFormed(b)) expect(encodeKey(a)).not.toBe(encodeKey(b));
      }),
    );
    expect(encodeKey("x".repeat(2_000))).not.toBe(encodeKey(`${"x".repeat(1_999)}y`));
  });

  test("of names know no case and keep their parts apart", () => {
    expect(encodeNames("A", "bC")).toBe("a|bc");
    expect(encodeNames("a|b", "c")).not.toBe(encodeNames("a", "b|c"));
    expect(encodeNames("a", "b") < afterPrefix(encodeNames("a"))).toBe(true);
    expect(encodeNames("ab", "b") > afterPrefix(encodeNames("a"))).toBe(false);
  });
});

describe("documents", () => {
  test("come back as they were, whatever characters they hold and wherever they are cut", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(5), (value, shift) => {
        const document = { pad: "x".repeat(31_990 + shift), text: "😀".repeat(40_000), value };
        const chunks = toChunks(document);
        for (const chunk of Object.values(chunks)) expect(chunk.length <= 32_000 && wellFormed(chunk) === chunk).toBe(true);
        expect(JSON.stringify(fromChunks(chunks))).toBe(JSON.stringify(document));
      }),
      { numRuns: 20 },
    );
  });

  test("that do not fit into a row are refused before they are sent", () => {
    expect(() => toChunks("x".repeat(500_000))).toThrow(RowTooLarge);
  });
});

describe("tables", () => {
  let store: Store;
  beforeAll(async () => {
    store = openStore({ connectionString: await emptyTables() }, () => {
      throw new Error("a connection string needs no identity");
    });
  });

  const worker = (workerId: string, maxTasks = 1): WorkerRow => ({
    version: 1,
    type: "heartbeat",
    workerId,
    serviceName: "dms",
    softwareVersion: "0",
    startedOn: "2026-01-01T00:00:00Z",
    sentAt: "2026-01-01T00:00:00Z",
    stopping: false,
    taskIds: [],
    movableTaskIds: [],
    maxTasks,
    rssBytes: 0,
  });

  test("let one of many racing writers win, and the losers decide again", async () => {
    const key = workerKey(worker("racing"));
    await store.workers.create(key, worker("racing", 0));
    await expect(store.workers.create(key, worker("racing", 0))).rejects.toThrow(LostRace);
    const addOne = () =>
      retryingRaces(async () => {
        const row = await store.workers.get(key);
        if (!row) throw new Error("it was made");
        await store.workers.replace(row, { ...row.value, maxTasks: row.value.maxTasks + 1 });
      });
    await Promise.all([addOne(), addOne(), addOne(), addOne()]);
    expect((await store.workers.get(key))?.value.maxTasks).toBe(4);
  });

  test("take many rows at once, give them in pages, and lose a partition whole", async () => {
    const rows = Array.from({ length: 250 }, (_, index) => worker(`w${String(index).padStart(3, "0")}`));
    await store.workers.upsertAll(rows.map((value) => ({ key: workerKey({ ...value, serviceName: "many" }), value })));
    const filter = workersOfService("many");
    const first = await store.workers.page(filter, 100, undefined);
    const second = await store.workers.page(filter, 100, first.continuation);
    expect([...first.rows, ...second.rows].map(({ value }) => value.workerId)).toEqual(rows.slice(0, 200).map(({ workerId }) => workerId));
    expect(await store.workers.list(filter)).toHaveLength(250);
    await store.workers.deletePartition(workerKey({ serviceName: "many", workerId: "" }).partitionKey);
    expect(await store.workers.list(filter)).toEqual([]);
  });
});
