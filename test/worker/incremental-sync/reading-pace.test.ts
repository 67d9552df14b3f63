import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { ReadingPace } from "../../../worker/incremental-sync/reading-pace.ts";

let server: Server;
let socket: Socket;

beforeAll(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("data", () => undefined);
  await once(socket, "connect");
});

afterAll(() => {
  socket.destroy();
  server.close();
});

/** Reads that come in one turn of the event loop. */
async function oneTurn(pace: ReadingPace, ...reads: readonly number[]): Promise<void> {
  for (const bytes of reads) pace.arrived(bytes);
  await turn();
  await turn();
}

test("a reader that is behind rests when a turn brings little, and then reads on", async () => {
  const pace = new ReadingPace(socket);
  pace.setBehind(true);
  await oneTurn(pace, 65_536);
  expect(pace.isResting).toBe(false);
  await oneTurn(pace, 100);
  expect(pace.isResting).toBe(true);
  await vi.waitUntil(() => !pace.isResting);
  pace.end();
});

test("small reads that come together are not little: so an encrypted socket and a small window are read", async () => {
  const pace = new ReadingPace(socket);
  pace.setBehind(true);
  await oneTurn(pace, ...Array.from({ length: 120 }, () => 100));
  expect(pace.isResting).toBe(false);
  pace.end();
});

test("a reader that is not behind never rests", async () => {
  const pace = new ReadingPace(socket);
  await oneTurn(pace, 100);
  expect(pace.isResting).toBe(false);
  pace.setBehind(true);
  pace.arrived(100);
  pace.setBehind(false);
  await turn();
  expect(pace.isResting).toBe(false);
  pace.end();
});

test("what is held stays closed when a rest ends, and a rest goes on when it is let go", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const pace = new ReadingPace(socket);
  pace.setBehind(true);
  await oneTurn(pace, 100);
  pace.hold();
  pace.release();
  expect(pace.isResting).toBe(true);
  pace.hold();
  vi.runAllTimers(); // the rest is over
  expect(pace.isResting).toBe(true);
  pace.release();
  expect(pace.isResting).toBe(false);
  pace.end();
});
