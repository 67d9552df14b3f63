import { randomUUID } from "node:crypto";
import { isTaskOver, type DatabaseState } from "../contracts/lifecycle.ts";
import { CommandRequest } from "../contracts/wire.ts";
import { routes, taskPath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { sent } from "./dispatch.ts";
import { requireTask } from "./find.ts";
import { ApiError, invalid } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { parsed } from "./http/validation.ts";
import { type Log } from "./log.ts";
import { commandKey, commandsOfTask, isCommandOpen, type CommandRow } from "./store/commands.ts";
import { type Row } from "./store/document-table.ts";
import { LostRace, retryingRaces } from "./store/races.ts";
import { type ServicePath } from "./store/services.ts";
import { databaseOutputKey } from "./store/task-outputs.ts";
import { type TaskRow } from "./store/tasks.ts";
import { commandView } from "./task-view.ts";

/** The one command of a PostgreSQL migration: the cutover of one database. */
export const commandEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "tasks-command", method: "POST", route: `${routes.task}/command`, handle: (call) => retryingRaces(() => post(plane, call)) },
];

async function post(plane: ControlPlane, call: Call): Promise<Answer> {
  const { input } = parsed(CommandRequest, await call.body());
  const task = await requireTask(plane.store, taskPath(call.params));
  requireSelected(task.value, input.databaseName);
  const commands = await plane.store.commands.list(commandsOfTask(task.value.taskId));
  const ours = commands.filter(({ value }) => value.databaseName === input.databaseName);
  const standing = standingCommand(ours);
  if (standing) return { status: 200, body: commandView(standing) };
  await requireReady(plane, task.value, input.databaseName);
  const command = await create(plane, task.value, input, ours.length + 1);
  await sendCutover(plane, task.value.path, command, call.log);
  return { status: 200, body: commandView(command.value) };
}

/** The command that this request repeats: one that is on its way, or has done what is asked for. */
function standingCommand(commands: readonly Row<CommandRow>[]): CommandRow | undefined {
  return commands.find(({ value }) => isCommandOpen(value) || value.state === "Succeeded")?.value;
}

/** @throws ApiError (400) when the task migrates no such database */
function requireSelected({ work }: TaskRow, databaseName: string): void {
  if (!("selectedDatabases" in work) || !("target" in work)) {
    throw new ApiError("InvalidRequest", {
      detail: `A task of type ${work.taskType} has nothing to cut over.`,
      remedy: "Send the command to the migration's task.",
    });
  }
  const names = work.selectedDatabases.map(({ name }) => name);
  if (!names.includes(databaseName))
    throw invalid("input.databaseName", `"${databaseName}" is not migrated by this task. Give the source's name: ${names.join(", ")}.`);
}

const reasons: Partial<Record<DatabaseState, string>> = {
  RUNNING: "its full load is not finished, or the changes since have not caught up",
  COMPLETING: "a cutover is going on",
  COMPLETE: "it has been cut over",
  CANCELLING: "the task is being cancelled",
  CANCELLED: "the task was cancelled",
  FAILED: "its migration failed",
};

/** @throws ApiError (409) that says why not yet, or why never */
async function requireReady({ store }: ControlPlane, task: TaskRow, databaseName: string): Promise<void> {
  if (isTaskOver(task.state))
    throw new ApiError("Conflict", { detail: `The task has ended: it is ${task.state}.`, remedy: "Start a new migration." });
  const item = (await store.taskOutputs.get(databaseOutputKey(task.taskId, databaseName)))?.value.item;
  const state = item?.kind === "database" ? item.state : "UNDEFINED";
  if (task.state === "Running" && state === "READY_TO_COMPLETE") return;
  const reason = task.state === "Canceling" ? reasons.CANCELLING : (reasons[state] ?? "its full load has not begun");
  throw new ApiError("Conflict", {
    detail: `Database ${databaseName} cannot be cut over: its migrationState is ${state}, ${reason}.`,
    remedy: "Wait until its migrationState is READY_TO_COMPLETE.",
  });
}

async function create(
  { store, now }: ControlPlane,
  task: TaskRow,
  input: CommandRequest["input"],
  attempt: number,
): Promise<Row<CommandRow>> {
  const command: CommandRow = {
    taskId: task.taskId,
    commandId: randomUUID(),
    attempt,
    databaseName: input.databaseName,
    ...(input.commitTimeStamp ? { commitTimeStamp: input.commitTimeStamp } : {}),
    ...(input.fence ? { fence: input.fence } : {}),
    state: "Accepted",
    createdOn: now().toISOString(),
    endedOn: null,
    errors: [],
    dispatch: "pending",
    stamp: null,
    announced: false,
  };
  return store.commands.create(commandKey(command), command);
}

/** Sends a cutover that is pending, then marks it sent. Sending twice delivers once. */
export async function sendCutover(plane: ControlPlane, path: ServicePath, row: Row<CommandRow>, log: Log): Promise<void> {
  const { taskId, commandId, databaseName, fence } = row.value;
  const command = { version: 1, type: "cutover", taskId, commandId, databaseName, ...(fence ? { fence } : {}) } as const;
  const send = (): Promise<void> => plane.bus.sendCommand(path.service, command);
  if (!(await sent(send, { what: "cutover", taskId, databaseName }, log))) return;
  try {
    await plane.store.commands.replace(row, { ...row.value, dispatch: "sent" });
  } catch (error) {
    if (!(error instanceof LostRace)) throw error; // the worker's report was here first; the watchdog marks it
  }
}
