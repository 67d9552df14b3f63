import { randomUUID } from "node:crypto";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { TASK_TYPES, SelectedDatabase } from "../../contracts/commands.ts";
import { unreportedDatabase } from "../../contracts/reports.ts";
import { type DatabaseThreadEvents } from "../../worker/database-host.ts";
import { type ToDatabase } from "../../worker/database-job.ts";
import { createLogger } from "../../worker/log.ts";
import { MigrationRun, type MigrationRunOptions } from "../../worker/migration-run.ts";

/** Stands for the threads of the databases. */
const threads = new Map<string, { events: DatabaseThreadEvents; told: ToDatabase[] }>();
const startThread: MigrationRunOptions["startThread"] = ({ selected }, events) => {
  const told: ToDatabase[] = [];
  threads.set(selected.name, { events, told });
  return { databaseName: selected.name, tell: (message) => void told.push(message), kill: () => Promise.resolve() };
};

const databases = ["one", "two"];
const taskId = randomUUID();
let run: MigrationRun;
beforeEach(() => {
  threads.clear();
  const done = Promise.resolve();
  run = new MigrationRun({
    work: {
      taskType: TASK_TYPES.migrateV2,
      source: {},
      target: {},
      selectedDatabases: databases.map((name) => SelectedDatabase.parse({ name, targetDatabaseName: name })),
    },
    lease: { taskId, epoch: 1, ended: {}, signal: new AbortController().signal, databaseEnded: () => done, movedForward: () => done },
    workerId: "test",
    logLevel: "silent",
    secrets: {},
    pgDumpPath: undefined,
    trace: { logFields: {}, database: () => ({ items: () => undefined, cutoverAsked: () => undefined }) },
    log: createLogger("silent", "test"),
    report: () => undefined,
    flushReports: () => done,
    startThread,
  } as unknown as MigrationRunOptions);
  void run.run();
});

const threadOf = (name: string) => threads.get(name) as { events: DatabaseThreadEvents; told: ToDatabase[] };
const cutover = (commandId: string) => ({ version: 1, type: "cutover", taskId, commandId, databaseName: "one" }) as const;

test("a command that is delivered twice is carried out once, and both messages get its outcome", async () => {
  const command = cutover(randomUUID());
  const outcomes = [run.cutOver(command), run.cutOver(command)];
  expect(threadOf("one").told).toHaveLength(1);
  threadOf("one").events.onMessage({ kind: "commandDone", commandId: command.commandId, errors: [] });
  expect(await Promise.all(outcomes)).toEqual([[], []]);
});

describe("a migration can move to another worker", () => {
  const inState = (name: string, state: "RUNNING" | "READY_TO_COMPLETE"): void =>
    threadOf(name).events.onMessage({ kind: "items", items: [{ ...unreportedDatabase(name, name), state }] });

  test("when all its databases follow the changes, and not while one of them is loaded", () => {
    expect(run.canMove).toBe(false);
    inState("one", "READY_TO_COMPLETE");
    expect(run.canMove).toBe(false);
    inState("two", "RUNNING");
    expect(run.canMove).toBe(false);
    inState("two", "READY_TO_COMPLETE");
    expect(run.canMove).toBe(true);
  });

  test("not while a command is carried out", async () => {
    for (const name of databases) inState(name, "READY_TO_COMPLETE");
    const command = cutover(randomUUID());
    const outcome = run.cutOver(command);
    expect(run.canMove).toBe(false);
    threadOf("one").events.onMessage({ kind: "commandDone", commandId: command.commandId, errors: [] });
    await outcome;
    expect(run.canMove).toBe(true);
  });

  test("when the others have ended, and not when all have", async () => {
    inState("two", "READY_TO_COMPLETE");
    threadOf("one").events.onMessage({ kind: "ended", end: "COMPLETE", wasRefused: false, errors: [] });
    await vi.waitUntil(() => run.canMove);
    threadOf("two").events.onMessage({ kind: "ended", end: "COMPLETE", wasRefused: false, errors: [] });
    await vi.waitUntil(() => !run.canMove);
  });
});
