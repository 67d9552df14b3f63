import { TASK_TYPES, type TaskType } from "../../contracts/commands.ts";
import { type Task } from "../../contracts/wire.ts";
import { connectOutput, userTables } from "../client.ts";
import { DEFAULT_SERVICE } from "../environment.ts";
import { changedRows } from "../sample/writer.ts";
import { finishTask } from "../tasks.ts";
import { findingLines } from "../watch.ts";
import { DATABASE } from "./servers.ts";
import { connection, DemoFailed, type Stage } from "./stage.ts";

/** Steps 7 to 12: service, project, both connections, databases and tables. */
export async function checkAndSelect(stage: Stage): Promise<{ checksMs: number; checksWriterRows: number }> {
  const { terminal, client, source, target, writer } = stage;
  const beganMs = performance.now();
  const before = writer.counts;
  const sourceConnectionInfo = connection(source);
  const targetConnectionInfo = connection(target);

  const service = terminal.step("7", "Service");
  await client.putService();
  const { status, workers = [] } = await client.checkStatus();
  service.done(`${DEFAULT_SERVICE} is ${status}, ${workers.length} worker`);

  const project = terminal.step("8", "Project");
  const { properties } = await client.putProject();
  project.done(`${properties.sourcePlatform} to ${properties.targetPlatform}`);

  await smallTask(stage, { label: "9", name: "Connect to source", taskType: TASK_TYPES.connectToSource, input: { sourceConnectionInfo } });
  await smallTask(stage, {
    label: "10",
    name: "Connect to target",
    taskType: TASK_TYPES.connectToTarget,
    input: { sourceConnectionInfo, targetConnectionInfo },
  });
  await smallTask(stage, {
    label: "12",
    name: "Tables",
    taskType: TASK_TYPES.getUserTables,
    input: { connectionInfo: sourceConnectionInfo, selectedDatabases: [DATABASE] },
  });
  return { checksMs: performance.now() - beganMs, checksWriterRows: changedRows(before, writer.counts) };
}

interface SmallTask {
  readonly label: string;
  readonly name: string;
  readonly taskType: TaskType;
  readonly input: object;
}

/** A task that looks and ends. @throws DemoFailed with what it found when it does not succeed */
async function smallTask({ client, terminal, teardown }: Stage, { label, name, taskType, input }: SmallTask): Promise<void> {
  const step = terminal.step(label, name);
  step.show(taskType);
  const taskName = name.toLowerCase().replaceAll(" ", "-");
  await client.putTask(taskName, taskType, input);
  const task = await finishTask(client, taskName, teardown.signal);
  const trouble = findingLines([...(connectOutput(task)?.findings ?? []), ...userTables(task).flatMap(({ findings }) => findings)]);
  if (task.properties.state !== "Succeeded") {
    step.fail(task.properties.state);
    throw new DemoFailed([...trouble, ...task.properties.errors.map(({ code, message }) => `${code}: ${message}`)].join("\n"));
  }
  step.done(describeSmallTask(task));
  for (const line of trouble) terminal.print(`        ${terminal.style("yellow", line)}`);
}

function describeSmallTask(task: Task): string {
  const connect = connectOutput(task);
  if (connect) {
    const version = "sourceServerVersion" in connect ? connect.sourceServerVersion : connect.targetServerVersion;
    return `PostgreSQL ${version}, databases ${connect.databases.join(", ")}`;
  }
  const tables = userTables(task).flatMap((item) => item.tables);
  return `${tables.length} tables, ${tables.filter(({ hasRows }) => hasRows).length} with rows, ${tables.filter(({ hasKey }) => !hasKey).length} without a key`;
}
