import { createRequire } from "node:module";
import { type Duplex } from "node:stream";
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import pg from "pg";
import { z } from "zod";
import { MigrationError } from "../../contracts/errors.ts";
import { clientConfig, connectError } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { whenAborted } from "../signals.ts";
import { DumpRelay } from "./wasm-relay.ts";

/** The version of pg_dump in @electric-sql/pglite-tools. */
export const WASM_DUMP_MAJOR = 18;

/** Where the module is; undefined when it is not installed (it comes with development only). */
export function findWasmDump(): string | undefined {
  try {
    return createRequire(import.meta.url).resolve("@electric-sql/pglite-tools/pg_dump");
  } catch {
    return undefined;
  }
}

/**
 * What runs in the thread: pg_dump wants each answer before it goes on, so the thread blocks while the main one does the
 * talking. Plain JavaScript in a text, because a thread loads what it runs by itself and would have to find a compiled file
 * in every way that we are started (from sources, from tests, from the bundle).
 */
const THREAD = `
const { workerData, parentPort, receiveMessageOnPort } = require("node:worker_threads");
const { pgDump } = require(workerData.modulePath);
const turn = new Int32Array(workerData.turn);
function exchange(bytes) {
  Atomics.store(turn, 0, 0);
  workerData.port.postMessage(bytes.slice());
  // A loop: the call that wakes us may come late, when the flag has told us already, and then it ends our next wait.
  while (Atomics.load(turn, 0) === 0) Atomics.wait(turn, 0, 0);
  return receiveMessageOnPort(workerData.port).message;
}
const server = {
  execProtocolRawStream(bytes, { onRawData }) {
    const answer = exchange(bytes);
    if (answer.length > 0) onRawData(answer);
  },
  query: async () => ({ rows: [{ search_path: "" }] }),
  exec: async () => [],
};
pgDump({ pg: server, args: workerData.args })
  .then((file) => file.text())
  .then((text) => parentPort.postMessage({ text }))
  .catch((error) => parentPort.postMessage({ error: String(error && error.message || error) }));
`;

const Outcome = z.union([z.object({ text: z.string() }), z.object({ error: z.string() })]);

/**
 * Runs the pg_dump that is compiled to WebAssembly, over a session that we opened and logged in to ourselves: TLS and
 * passwords are the same as everywhere, and it never sees them.
 * @throws MigrationError PgDumpUnusable, what connecting throws, or the signal's reason.
 */
export async function runWasmDump(
  modulePath: string,
  server: Server,
  dumpArguments: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  signal.throwIfAborted();
  const client = new pg.Client(await clientConfig(server, "schema dump"));
  client.on("error", () => undefined);
  try {
    await client.connect();
  } catch (thrown) {
    throw connectError(server, thrown);
  }
  const { stream } = client.connection;
  try {
    const { rows } = await client.query<{ v: string }>("SELECT current_setting('server_version') AS v");
    stream.removeAllListeners("data"); // from here on the session is the relay's
    return await dumpOver(modulePath, stream, rows[0]?.v ?? "", dumpArguments, signal);
  } finally {
    stream.destroy();
  }
}

async function dumpOver(
  modulePath: string,
  stream: Duplex,
  serverVersion: string,
  dumpArguments: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const { port1, port2 } = new MessageChannel();
  const turn = new SharedArrayBuffer(4);
  const thread = new Worker(THREAD, {
    eval: true,
    workerData: { modulePath, port: port2, turn, args: [...dumpArguments] },
    transferList: [port2],
    stdout: true,
    stderr: true,
  });
  const relay = new DumpRelay(stream, serverVersion);
  port1.on("message", (bytes: Uint8Array) => void relay.exchange(Buffer.from(bytes)).then((answer) => answerThread(port1, turn, answer)));
  const unhook = whenAborted(signal, () => void thread.terminate());
  try {
    return await outcomeOf(thread, signal);
  } finally {
    unhook();
    port1.close();
    await thread.terminate();
  }
}

function answerThread(port: MessagePort, turn: SharedArrayBuffer, answer: Buffer): void {
  port.postMessage(new Uint8Array(answer));
  const flag = new Int32Array(turn);
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
}

function outcomeOf(thread: Worker, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(signal.aborted ? (signal.reason as Error) : new MigrationError("PgDumpUnusable", { detail: `pg_dump failed: ${why}`, cause }));
    thread.once("message", (message: unknown) => {
      const outcome = Outcome.parse(message);
      if ("text" in outcome) resolve(outcome.text);
      else fail(outcome.error);
    });
    thread.once("error", (error) => fail(error.message, error));
    thread.once("exit", (code) => fail(`its thread ended with code ${code}`));
  });
}
