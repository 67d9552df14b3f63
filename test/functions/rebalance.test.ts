import { describe, expect, test } from "vitest";
import { tasksToHandOn } from "../../functions/rebalance.ts";
import { type WorkerRow } from "../../functions/store/workers.ts";

/** A worker with so many tasks, of which the first ones can move. */
const worker = (workerId: string, tasks: number, { movable = tasks, maxTasks = 8 } = {}): WorkerRow => {
  const taskIds = Array.from({ length: tasks }, (_, n) => `${workerId}${n}`);
  return {
    version: 1,
    type: "heartbeat",
    workerId,
    serviceName: "dms",
    softwareVersion: "1",
    startedOn: "2026-01-01T00:00:00Z",
    sentAt: "2026-01-01T00:00:10Z",
    stopping: false,
    taskIds,
    movableTaskIds: taskIds.slice(0, movable),
    maxTasks,
    rssBytes: 0,
  };
};

/** Who hands on how many, and what is left to each of them. */
const plan = (...workers: WorkerRow[]): Record<string, { handsOn: number; share: number }> => {
  const orders = tasksToHandOn(workers);
  const of = (id: string) => orders.filter(({ workerId }) => workerId === id);
  return Object.fromEntries(
    [...new Set(orders.map(({ workerId }) => workerId))].map((id) => [id, { handsOn: of(id).length, share: of(id)[0]?.share ?? -1 }]),
  );
};

describe("tasks are handed on", () => {
  test("to a worker that joined, until all have as many", () => {
    expect(plan(worker("a", 4), worker("b", 0))).toEqual({ a: { handsOn: 2, share: 2 } });
    expect(plan(worker("a", 3), worker("b", 3), worker("c", 0))).toEqual({ a: { handsOn: 1, share: 2 }, b: { handsOn: 1, share: 2 } });
  });

  test("not to and fro: a difference of one stays", () => {
    expect(plan(worker("a", 3), worker("b", 2))).toEqual({});
    expect(plan(worker("a", 1), worker("b", 0))).toEqual({});
  });

  test("only as far as they can move", () => {
    expect(plan(worker("a", 6, { movable: 1 }), worker("b", 0))).toEqual({ a: { handsOn: 1, share: 5 } });
    expect(plan(worker("a", 6, { movable: 0 }), worker("b", 0))).toEqual({});
    expect(plan(worker("a", 6, { movable: 0 }), worker("b", 4), worker("c", 0))).toEqual({ b: { handsOn: 2, share: 2 } });
  });

  test("not to a worker that is full, and by nobody who is alone", () => {
    expect(plan(worker("a", 6), worker("b", 2, { maxTasks: 2 }))).toEqual({});
    expect(plan(worker("a", 6), worker("b", 1, { maxTasks: 2 }))).toEqual({ a: { handsOn: 1, share: 5 } });
    expect(plan(worker("a", 6))).toEqual({});
    expect(plan()).toEqual({});
  });

  test("each once, with the same message as long as nothing new is heard of its worker", () => {
    const orders = tasksToHandOn([worker("a", 5), worker("b", 0)]);
    expect(orders.map(({ taskId }) => taskId)).toEqual(["a0", "a1"]);
    expect(tasksToHandOn([worker("a", 5), worker("b", 0)])).toEqual(orders);
  });
});
