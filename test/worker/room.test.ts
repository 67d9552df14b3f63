import { expect, test } from "vitest";
import { databasesIn, memoryBytes, Room } from "../../worker/room.ts";

const GB = 1024 ** 3;
const [a, b] = [{}, {}];

test("a worker takes tasks up to its limit, counted from the moment that their sessions are accepted", () => {
  const room = new Room({ tasksMax: 2, databasesMax: 10 });
  room.enter(a, () => 0);
  expect(room.hasMore()).toBe(true);
  room.enter(b, () => 0);
  expect(room.hasMore()).toBe(false);
  room.leave(a);
  expect(room.hasMore()).toBe(true);
});

test("a worker whose databases fill its memory takes no further task, and takes one again when they are fewer", () => {
  const room = new Room({ tasksMax: 8, databasesMax: 3 });
  let databases = 5; // known only after the task was taken
  room.enter(a, () => databases);
  expect(room.hasMore()).toBe(false);
  databases = 2;
  expect(room.hasMore()).toBe(true);
  room.enter(b, () => 0); // its databases are about to start
  expect(room.hasMore()).toBe(false);
});

test("a worker that was told its share keeps to it for a while", () => {
  const room = new Room({ tasksMax: 8, databasesMax: 100 });
  room.enter(a, () => 1);
  room.keepTo(1, 0);
  expect(room.hasMore(1_000)).toBe(false);
  expect(room.hasMore(30_000)).toBe(true);
});

test("memory decides how many databases a worker may have: twenty fit into 4 GB, one is always taken", () => {
  expect(databasesIn(2 * GB)).toBe(17);
  expect(databasesIn(4 * GB)).toBeGreaterThanOrEqual(20);
  expect(databasesIn(0.1 * GB)).toBe(1);
  expect(memoryBytes()).toBeGreaterThan(0);
});
