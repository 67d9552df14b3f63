import { randomUUID } from "node:crypto";
import { type Command } from "../contracts/commands.ts";
import { isTaskOver, type DatabaseState } from "../contracts/lifecycle.ts";
import { parseTableName } from "../contracts/tables.ts";
import { AnyCommand, CommandRequest, CUTOVER_COMMAND, RELOAD_COMMAND, RESTART_COMMAND, RestartRequest } from "../contracts/wire.ts";
import { routes, taskPath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { sent } from "./dispatch.ts";
import { requireTask } from "./find.ts";
import { ApiError, invalid } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { checkPreconditions } from "./http/etag.ts";
import { parsed } from "./http/validation.ts";
import { type Log } from "./log.ts";
import { restartTask } from "./restart.ts";
import { commandKey, commandsOfTask, isCommandOpen, type CommandRow } from "./store/commands.ts";
import { type Row } from "./store/document-table.ts";
import { LostRace, retryingRaces } from "./store/races.ts";
import { type ServicePath } from "./store/services.ts";
import { databaseOutputKey } from "./store/task-outputs.ts";
import { type TaskRow } from "./store/tasks.ts";
import { commandView } from "./task-view.ts";

/** The commands of a PostgreSQL migration: the cutover of one database, the reload of tables, and the restart of it all. */
export const commandEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "tasks-command", method: "POST", route: `${routes.task}/command`, handle: (call) => retryingRaces(() => post(plane, call)) },
];

async function post(plane: ControlPlane, call: Call): Promise<Answer> {
  const body = await call.body();
  const { commandType } = parsed(AnyCommand, body);
  if (commandType === RESTART_COMMAND) {
    const request = parsed(RestartRequest, body);
    return restartTask(plane, await requireItsTask(plane, call), request, call);
  }
  const request = parsed(CommandRequest, body);
  const { databaseName } = request.input;
  requireItsInput(request);
  const task = await requireItsTask(plane, call);
  requireSelected(task.value, databaseName);
  const commands = await plane.store.commands.list(commandsOfTask(task.value.taskId));
  const ours = commands.filter(({ value }) => value.databaseName === databaseName);
  const standing = standingCommand(ours, request);
  if (standing) return { status: 200, body: commandView(standing) };
  await requireReady(plane, task.value, request);
  const command = await create(plane, task.value, request, ours.length + 1);
  await sendCommand(plane, task.value.path, command, call.log);
  return { status: 200, body: commandView(command.value) };
}

async function requireItsTask({ store }: ControlPlane, { params, preconditions }: Call): Promise<Row<TaskRow>> {
  const task = await requireTask(store, taskPath(params));
  checkPreconditions(preconditions, task.value.revision);
  return task;
}

/** The command that this request repeats: one that is on its way, or a cutover that is done. */
function standingCommand(commands: readonly Row<CommandRow>[], { commandType, input }: CommandRequest): CommandRow | undefined {
  const alike = commands.filter(({ value }) => value.commandType === commandType);
  if (commandType === CUTOVER_COMMAND) return alike.find(({ value }) => isCommandOpen(value) || value.state === "Succeeded")?.value;
  const tables = JSON.stringify(input.tableNames);
  return alike.find(({ value }) => isCommandOpen(value) && JSON.stringify(value.tableNames) === tables)?.value;
}

/** @throws ApiError (400) when a reload says not what, or a cutover says too much */
function requireItsInput({ commandType, input: { tableNames, fence } }: CommandRequest): void {
  if (commandType === CUTOVER_COMMAND && tableNames)
    throw invalid("input.tableNames", "A cutover is of the whole database. Leave the tables out.");
  if (commandType === CUTOVER_COMMAND) return;
  if (fence) throw invalid("input.fence", "A reload fences nothing. Leave the fence out.");
  if (!tableNames) throw invalid("input.tableNames", 'Give the tables to load anew, schema-qualified: ["public.orders"].');
  const wrong = tableNames.find((name) => parseTableName(name) === undefined);
  if (wrong !== undefined)
    throw invalid("input.tableNames", `"${wrong}" is no table name. Write schema.table; names that hold dots stand in double quotes.`);
}

/** @throws ApiError (400) when the task migrates no such database */
function requireSelected({ work }: TaskRow, databaseName: string): void {
  if (!("selectedDatabases" in work) || !("target" in work)) {
    throw new ApiError("InvalidRequest", {
      detail: `A task of type ${work.taskType} takes no commands.`,
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
async function requireReady(
  { store }: ControlPlane,
  task: TaskRow,
  { commandType, input: { databaseName } }: CommandRequest,
): Promise<void> {
  if (isTaskOver(task.state))
    throw new ApiError("Conflict", { detail: `The task has ended: it is ${task.state}.`, remedy: "Start a new migration." });
  const item = (await store.taskOutputs.get(databaseOutputKey(task.taskId, databaseName)))?.value.item;
  const database = item?.kind === "database" ? item : undefined;
  const state = database?.state ?? "UNDEFINED";
  const isReload = commandType === RELOAD_COMMAND;
  const isReady = state === "READY_TO_COMPLETE" || (isReload && state === "RUNNING");
  if (task.state === "Running" && isReady) return;
  const reason = task.state === "Canceling" ? reasons.CANCELLING : (reasons[state] ?? "its full load has not begun");
  throw new ApiError("Conflict", {
    detail: `${isReload ? `Tables of ${databaseName} cannot be loaded anew` : `Database ${databaseName} cannot be cut over`}: its migrationState is ${state}, ${reason}.`,
    remedy: `Wait until its migrationState is ${isReload ? "RUNNING or " : ""}READY_TO_COMPLETE.`,
  });
}

async function create(
  { store, now }: ControlPlane,
  task: TaskRow,
  { commandType, input }: CommandRequest,
  attempt: number,
): Promise<Row<CommandRow>> {
  const command: CommandRow = {
    taskId: task.taskId,
    commandId: randomUUID(),
    commandType,
    attempt,
    databaseName: input.databaseName,
    ...(input.commitTimeStamp ? { commitTimeStamp: input.commitTimeStamp } : {}),
    ...(input.fence ? { fence: input.fence } : {}),
    ...(input.tableNames ? { tableNames: input.tableNames } : {}),
    state: "Accepted",
    createdOn: now().toISOString(),
    endedOn: null,
    errors: [],
    dispatch: "pending",
    stamp: null,
    // There is an event for cutovers only; of a reload the states of its tables tell.
    announced: commandType === RELOAD_COMMAND,
  };
  return store.commands.create(commandKey(command), command);
}

/** Sends a command that is pending, then marks it sent. Sending twice delivers once. */
export async function sendCommand(plane: ControlPlane, path: ServicePath, row: Row<CommandRow>, log: Log): Promise<void> {
  const { taskId, commandId, commandType, databaseName, fence, tableNames = [] } = row.value;
  const common = { version: 1, taskId, commandId, databaseName } as const;
  const command: Command =
    commandType === RELOAD_COMMAND
      ? { ...common, type: "reload", tableNames }
      : { ...common, type: "cutover", ...(fence ? { fence } : {}) };
  const send = (): Promise<void> => plane.bus.sendCommand(path.service, command);
  if (!(await sent(send, { what: command.type, taskId, databaseName }, log))) return;
  try {
    await plane.store.commands.replace(row, { ...row.value, dispatch: "sent" });
  } catch (error) {
    if (!(error instanceof LostRace)) throw error; // the worker's report was here first; the watchdog marks it
  }
}
