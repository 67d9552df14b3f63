import { randomUUID } from "node:crypto";
import { type ServiceBusReceivedMessage } from "@azure/service-bus";
import { describe, expect, test } from "vitest";
import { type ReportItem, type TaskReport } from "../../contracts/reports.ts";
import { createLogger } from "../../worker/log.ts";
import { TaskRun, type TaskRunOptions } from "../../worker/task-run.ts";

/** A task whose session holds one message. */
async function receive(taskId: string, body: unknown, attempts = 1): Promise<{ reports: ReportItem[]; deadLettered: unknown[] }> {
  const reports: ReportItem[] = [];
  const deadLettered: unknown[] = [];
  let process: (message: ServiceBusReceivedMessage) => Promise<void> = () => Promise.resolve();
  const done = Promise.resolve();
  const options = {
    receiver: {
      subscribe: (handlers: { processMessage: typeof process }) => (process = handlers.processMessage),
      deadLetterMessage: (message: ServiceBusReceivedMessage, why: unknown) => Promise.resolve(void deadLettered.push(why)),
    },
    lease: { taskId, epoch: 1, attempts, ended: {}, signal: new AbortController().signal, forget: () => done, release: () => done },
    sender: { sendMessages: (message: { body: TaskReport }) => Promise.resolve(void reports.push(...message.body.items)) },
    workerId: "test",
    logLevel: "silent",
    secrets: {},
    pgDumpPath: undefined,
    log: createLogger("silent", "test"),
  } as unknown as TaskRunOptions;
  const run = new TaskRun(options);
  const finished = run.finished();
  await process({ body } as ServiceBusReceivedMessage);
  await run.stop();
  await finished;
  return { reports, deadLettered };
}

describe("a command that the worker does not understand goes to the dead-letter queue", () => {
  const taskId = randomUUID();

  test("and its task fails with an error when it is the start command", async () => {
    const { reports, deadLettered } = await receive(taskId, { version: 99, type: "run", taskId, work: {} });
    expect(deadLettered).toMatchObject([{ deadLetterReason: "MalformedCommand" }]);
    expect(reports).toMatchObject([{ kind: "task", event: "faulted", errors: [{ code: "PG1298" }] }]);
  });

  test("and it fails when it has an id", async () => {
    const commandId = randomUUID();
    const { reports, deadLettered } = await receive(taskId, { version: 2, type: "cutover", taskId, commandId });
    expect(deadLettered).toHaveLength(1);
    expect(reports).toMatchObject([{ kind: "command", commandId, state: "Failed", errors: [{ code: "PG1298" }] }]);
  });

  test("and nobody is told of one that is about another task", async () => {
    const { reports, deadLettered } = await receive(taskId, { version: 1, type: "cancel", taskId: randomUUID() });
    expect(deadLettered).toMatchObject([{ deadLetterErrorDescription: "the task id is not the session's" }]);
    expect(reports).toEqual([]);
  });
});

test("a migration that was taken up too often ends, and its sources are named to be cleaned up", async () => {
  const taskId = randomUUID();
  const login = { userName: "u", credential: { kind: "none" }, encryptConnection: false, trustServerCertificate: false };
  const end = (serverName: string): object => ({ serverName, port: 5432, databaseName: "one", ...login });
  const work = {
    taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
    source: end("a.invalid"),
    target: end("b.invalid"),
    selectedDatabases: [{ name: "one", targetDatabaseName: "one" }],
  };
  const { reports } = await receive(taskId, { version: 1, type: "run", taskId, resourceId: "/tasks/poison", work }, 21);
  expect(reports).toMatchObject([
    { kind: "task", event: "faulted", errors: [{ message: expect.stringContaining("taken up 20 times") as string }] },
    { kind: "finding", databaseName: "one", error: { code: "PG1212" }, resolved: false },
  ]);
});
