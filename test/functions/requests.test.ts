import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorBody, type Page, type Task } from "../../contracts/wire.ts";
import { type ReplyMessage } from "../../functions/automation/messages.ts";
import { readRequest } from "../../functions/automation/read-request.ts";
import { type ControlPlane } from "../../functions/control-plane.ts";
import { endpointsOf } from "../../functions/endpoints.ts";
import { ApiError } from "../../functions/http/api-error.ts";
import { startAutomation, type Automation } from "./fixtures/bus.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import { connectBody, migrateBody, project, projectBody, restOf, service, services, task, type Rest } from "./fixtures/rest.ts";
import { database, startWorker, type FakeWorker } from "./fixtures/worker.ts";

let plane: Plane;
let rest: Rest;
let automation: Automation;
let worker: FakeWorker;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  automation = startAutomation(plane.serviceBus);
  worker = startWorker(plane.serviceBus);
}, 150_000);
afterAll(async () => {
  await automation.close();
  await worker.close();
  await plane.stop();
});

let name = "";
beforeEach(() => {
  name = `dms-${randomUUID().slice(0, 8)}`;
});

const errorOf = (reply: ReplyMessage): ErrorBody["error"] => (reply.body as unknown as ErrorBody).error;
const taskOf = (reply: ReplyMessage): Task => reply.body as unknown as Task;
const location = { location: "westeurope" };
const makeParents = async (): Promise<void> => {
  expect((await automation.ask("services-put", service(name), { body: location })).status).toBe(201);
  expect((await automation.ask("projects-put", project(name), { body: projectBody })).status).toBe(201);
};

test("a whole migration is driven by messages alone, as the REST API would answer", async () => {
  await makeParents();
  const made = await automation.ask("tasks-put", task(name, "mig"), { body: migrateBody() });
  expect(made).toMatchObject({ status: 201, operation: "tasks-put", resourceId: task(name, "mig"), body: { name: "mig" } });
  const { taskId } = taskOf(made).properties;
  const shown = await rest.get<Task>(task(name, "mig"));
  expect(taskOf(made).etag).toBe(shown.body.etag);
  const early = await automation.ask("tasks-command", task(name, "mig"), {
    body: { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "listdb" } },
  });
  expect(early.status).toBe(409);
  expect(errorOf(early).message).toContain("READY_TO_COMPLETE");
  await worker.report(taskId, 1, [{ kind: "task", event: "started", errors: [] }, database({ state: "READY_TO_COMPLETE" })]);
  await automation.event("pgdms.database.readyToCutover", ({ data }) => data.taskId === taskId);
  const cutover = await automation.ask("tasks-command", task(name, "mig"), {
    body: { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "listdb" } },
  });
  expect(cutover).toMatchObject({ status: 200, body: { state: "Accepted" } });
  expect((await worker.commands(name, taskId, 2)).map(({ type }) => type)).toEqual(["run", "cutover"]);
  const seen = await automation.ask("tasks-get", task(name, "mig"), { parameters: { $expand: "output,command" } });
  expect(taskOf(seen).properties.commands).toHaveLength(1);
  expect(JSON.stringify(taskOf(seen).properties.output)).toContain("DatabaseLevelOutput");
  expect(taskOf(await automation.ask("tasks-cancel", task(name, "mig"))).properties.state).toBe("Canceling");
  const refused = await automation.ask("tasks-delete", task(name, "mig"));
  expect(refused.status).toBe(409);
  expect((await automation.ask("tasks-delete", task(name, "mig"), { parameters: { deleteRunningTasks: true } })).status).toBe(200);
  expect((await automation.ask("services-delete", service(name))).status).toBe(200);
  expect((await rest.get(service(name))).status).toBe(404);
});

test("lists, states and preconditions are there too, and ids know no case in their fixed words", async () => {
  await makeParents();
  await automation.ask("tasks-put", task(name, "connect"), { body: connectBody() });
  const tasks = (await automation.ask("tasks-list", project(name))).body as unknown as Page<Task>;
  expect(tasks.value.map((item) => item.name)).toEqual(["connect"]);
  const groups = (await automation.ask("services-list-by-group", services.slice(0, services.indexOf("/providers")))).body;
  expect(JSON.stringify(groups)).toContain(name);
  expect((await automation.ask("services-check-status", service(name).replace("/providers/", "/PROVIDERS/"))).body).toMatchObject({
    status: "Offline",
  });
  expect((await automation.ask("services-put", service(name), { body: location, ifNoneMatch: "*" })).status).toBe(412);
  expect((await automation.ask("services-stop", service(name))).status).toBe(400); // a task runs, as far as anybody knows
});

test("a request that comes again is answered as before and not run again", async () => {
  await makeParents();
  const correlationId = randomUUID();
  const message = {
    version: 1,
    correlationId,
    operation: "tasks-put",
    resourceId: task(name, "once"),
    body: connectBody(),
    replyTo: { queue: `replies-${name}` },
  };
  await automation.request(message);
  const first = await automation.reply(message.replyTo.queue);
  expect(first).toMatchObject({ status: 201, correlationId });
  expect((await automation.ask("tasks-delete", task(name, "once"), { parameters: { deleteRunningTasks: true } })).status).toBe(200);
  await automation.request(message);
  expect(await automation.reply(message.replyTo.queue)).toEqual(first);
  expect((await rest.get(task(name, "once"))).status).toBe(404);
  await automation.request({ ...message, resourceId: task(name, "other") });
  expect(await automation.reply(message.replyTo.queue)).toMatchObject({ status: 409, correlationId });
});

test("ten copies of a request at once make one task, and all are answered alike", async () => {
  await makeParents();
  const message = { version: 1, correlationId: randomUUID(), operation: "tasks-put", resourceId: task(name, "ten") };
  const queue = `replies-${name}`;
  await Promise.all(Array.from({ length: 10 }, () => automation.request({ ...message, body: connectBody(), replyTo: { queue } })));
  const replies: ReplyMessage[] = [];
  while (replies.length < 10) replies.push(await automation.reply(queue));
  expect(new Set(replies.map((reply) => taskOf(reply).properties.taskId)).size).toBe(1);
  expect(replies.every(({ status }) => status === 200 || status === 201)).toBe(true);
});

test("an answer that no message can hold says so, and where to read it", async () => {
  await makeParents();
  const { taskId } = taskOf(await automation.ask("tasks-put", task(name, "wide"), { body: migrateBody() })).properties;
  const findings = Array.from({ length: 400 }, (_, at) => ({
    kind: "finding" as const,
    databaseName: "listdb",
    subject: `s${at}`,
    error: { code: "PG1146", severity: "information" as const, message: "x".repeat(600) },
    since: "2026-03-01T10:00:00Z",
    resolved: false,
  }));
  await worker.report(taskId, 1, findings.slice(0, 200));
  await worker.report(taskId, 2, findings.slice(200));
  await expect
    .poll(async () => (await automation.ask("tasks-get", task(name, "wide"), { parameters: { $expand: "output" } })).status, {
      timeout: 20_000,
    })
    .toBe(413);
});

describe("what cannot be run is dead-lettered, with the reason as an event", () => {
  const id = randomUUID();
  const message = { version: 1, correlationId: id, operation: "tasks-get", resourceId: task("a-service", "a-task") };
  test.each<[string, unknown, string]>([
    ["text that is no JSON", "no { json", "The message is not JSON"],
    ["an unknown operation", { ...message, operation: "tasks-eat" }, "operation: not allowed; give"],
    [
      "an id of another kind",
      { ...message, resourceId: service("x") },
      "resourceId: tasks-get takes an id like /subscriptions/{subscriptionId}",
    ],
    ["a misspelt field", { ...message, replyto: { queue: "replies" } }, "replyto"],
    ["an answer to pgdms' own queue", { ...message, replyTo: { queue: "commands-dms" } }, 'is no queue for answers: its name is "replies"'],
    ["an answer to a queue by a path", { ...message, replyTo: { queue: "replies/../reports" } }, "is no queue for answers"],
    ["no correlation id", { ...message, correlationId: undefined }, "correlationId: is required"],
    ["a refused request that nobody waits for", { ...message, operation: "tasks-cancel" }, "was not found"],
  ])("%s", async (_, body, reason) => {
    const messageId = randomUUID();
    await automation.request(body, messageId);
    expect(await automation.dead()).toMatchObject({ messageId, reason: "MaxDeliveryCountExceeded" });
    const event = await automation.event("pgdms.request.rejected", ({ data }) => data.messageId === messageId);
    expect(event.data.reason).toContain(reason);
    expect(event.severity).toBe("error");
    expect(plane.logged.some((entry) => entry.message.includes(messageId) && entry.message.includes(reason))).toBe(true);
    expect(automation.events.filter((other) => other.id === event.id)).toHaveLength(1);
  });

  test("and whoever waits is answered, once", async () => {
    const replyTo = { queue: `replies-${name}`, sessionId: "a" };
    await automation.request({ ...message, operation: "tasks-eat", replyTo });
    const reply = await automation.reply(replyTo.queue);
    expect(reply).toMatchObject({ status: 400, correlationId: id });
    expect(errorOf(reply).message).toContain("operation: not allowed");
    await automation.dead();
    await automation.request({
      version: 1,
      correlationId: randomUUID(),
      operation: "services-list",
      resourceId: "/subscriptions/s",
      replyTo,
    });
    expect(await automation.reply(replyTo.queue)).toMatchObject({ status: 200 });
  });
});

test("whatever comes, it is read or refused by name", () => {
  const endpoints = endpointsOf({} as ControlPlane);
  const valid = {
    version: 1,
    correlationId: "c",
    operation: "tasks-put",
    resourceId: task("a-service", "a-task"),
    body: {},
    parameters: {},
  };
  const odd = fc.oneof(fc.jsonValue(), fc.record({ ...Object.fromEntries(Object.keys(valid).map((key) => [key, fc.jsonValue()])) }));
  const almost = fc
    .tuple(fc.constantFrom(...Object.keys(valid)), fc.jsonValue())
    .map(([key, value]): unknown => ({ ...valid, [key]: value }));
  fc.assert(
    fc.property(fc.oneof(odd, almost), (message) => {
      try {
        readRequest(endpoints, message);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});
