import { createServer, type Server } from "node:http";
import { type AddressInfo } from "node:net";
import { ServiceBusClient } from "@azure/service-bus";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Task } from "../../contracts/wire.ts";
import { cutOverWhenReady } from "../../docs/examples/cut-over-when-ready.ts";
import { FILTER, tellPeople } from "../../docs/examples/tell-people.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import { makeService, migrateBody, restOf, task, until, type Rest } from "./fixtures/rest.ts";
import { database, startWorker, type FakeWorker } from "./fixtures/worker.ts";

/** The examples of docs/automation.md, run as they are. */

let plane: Plane;
let rest: Rest;
let bus: ServiceBusClient;
let worker: FakeWorker;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  bus = new ServiceBusClient(plane.serviceBus);
  worker = startWorker(plane.serviceBus);
}, 150_000);
afterAll(async () => {
  await worker.close();
  await bus.close();
  await plane.stop();
});

let name = "";
let taskId = "";
let count = 0;
beforeEach(async () => {
  name = `dms-example-${count++}`;
  await makeService(rest, name);
  taskId = (await rest.put<Task>(task(name, "mig"), migrateBody())).body.properties.taskId;
  await worker.report(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "RUNNING" })]);
});

/** Plays the worker's part of a cutover: takes the command, says how it went. */
async function workerCutsOver(state: "Succeeded" | "Failed"): Promise<void> {
  const [, cutover] = await worker.commands(name, taskId, 2);
  if (cutover?.type !== "cutover") throw new Error("no cutover came");
  const errors = state === "Failed" ? [{ code: "PG1209", severity: "error" as const, message: "Writes still arrive." }] : [];
  await worker.report(taskId, 3, [
    database({ state: state === "Succeeded" ? "COMPLETE" : "READY_TO_COMPLETE" }),
    { kind: "command", commandId: cutover.commandId, state, errors },
  ]);
}

async function runPipeline(): Promise<string[]> {
  const steps: string[] = [];
  const resourceId = task(name, "mig");
  const pipeline = cutOverWhenReady(bus, {
    taskId: resourceId,
    databaseName: "listdb",
    subscription: "all",
    replyQueue: `replies-${name}`,
    stopWrites: async () => {
      const commands = (await rest.get<Task>(resourceId, "?$expand=command")).body.properties.commands;
      steps.push(`writes stopped after ${commands?.length ?? "?"} cutovers`);
    },
    timeoutMs: 45_000,
  }).then(
    () => steps.push("done"),
    (error: unknown) => steps.push(error instanceof Error ? error.message : String(error)),
  );
  await worker.report(taskId, 2, [database({ state: "READY_TO_COMPLETE" })]);
  const hasCommand = async (): Promise<boolean> =>
    (await rest.get<Task>(resourceId, "?$expand=command")).body.properties.commands?.length === 1;
  await until(hasCommand, "the cutover");
  await workerCutsOver(name.endsWith("1") ? "Failed" : "Succeeded");
  await pipeline;
  return steps;
}

test("the pipeline stops the writes when the database is ready, and cuts over", async () => {
  expect(await runPipeline()).toEqual(["writes stopped after 0 cutovers", "done"]);
});

test("the pipeline fails with the reason when the cutover is refused", async () => {
  expect(await runPipeline()).toEqual(["writes stopped after 0 cutovers", "the cutover was refused: PG1209 Writes still arrive."]);
});

test("the subscriber tells people what its subscription's filter lets through, and nothing else", async () => {
  const rules = bus.createRuleManager("events", "all");
  await rules.createRule("people", { sqlExpression: FILTER });
  await rules.deleteRule("$Default");
  const left = bus.createReceiver("events", "all", { receiveMode: "receiveAndDelete" });
  while ((await left.receiveMessages(50, { maxWaitTimeInMs: 500 })).length > 0); // what came before the filter
  await left.close();
  const posts: string[] = [];
  let isDown = true;
  const chat = await listen((text) => {
    if (isDown) return ((isDown = false), 503); // the first time nobody hears: it must come again
    posts.push(text);
    return 200;
  });
  const ending = new AbortController();
  const telling = tellPeople(bus, "all", `http://127.0.0.1:${(chat.address() as AddressInfo).port}`, ending.signal);
  try {
    await worker.report(taskId, 2, [database({ state: "READY_TO_COMPLETE" })]);
    await until(() => Promise.resolve(posts.length > 0), "the first post");
    const errors = [{ code: "PG1203", severity: "error" as const, message: "The slot is lost." }];
    await worker.report(taskId, 3, [database({ state: "FAILED" }), { kind: "task", event: "failed", errors }]);
    await until(() => Promise.resolve(posts.some((post) => post.includes("mig is Failed"))), "the failure");
    expect(posts).toEqual(["listdb is ready to be cut over.", "listdb is FAILED. ", "mig is Failed. PG1203: The slot is lost."]);
  } finally {
    ending.abort();
    await telling;
    chat.close();
  }
});

function listen(take: (text: string) => number): Promise<Server> {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => response.writeHead(take((JSON.parse(body) as { text: string }).text)).end());
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}
