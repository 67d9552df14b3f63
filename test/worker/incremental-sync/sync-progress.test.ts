import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { IncrementalSync, type SyncOptions } from "../../../worker/incremental-sync/sync.ts";
import { SyncProgress } from "../../../worker/incremental-sync/sync-progress.ts";
import { createLogger } from "../../../worker/log.ts";
import { type Migration } from "../../../worker/migration.ts";
import { ProgressBoard } from "../../../worker/progress-board.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

let source: TestDatabase;
beforeAll(async () => {
  source = await createDatabase("source", inject("postgres13Port"));
});
afterAll(() => source.drop());

test("what a worker before had applied is shown until the sync has a position of its own", async () => {
  const log = createLogger("silent", "test");
  const board = new ProgressBoard({ databaseName: "a", targetDatabaseName: "a", send: () => undefined, log });
  board.change({ appliedLsn: "0/10" });
  const migration = { source: source.server, job: { taskId: randomUUID() }, board } as Migration;
  const progress = new SyncProgress(migration, "slot");
  const sync = new IncrementalSync({ ownership: { taskId: randomUUID(), epoch: 1 } } as SyncOptions); // never connected: the source's name is not resolved, say
  await progress.measure(sync);
  expect(board.database.appliedLsn).toBe("0/10");
  await progress.close(sync);
});
