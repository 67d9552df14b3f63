import { SUPPORTED_TASK_TYPES } from "../contracts/commands.ts";
import { TaskPatch } from "../contracts/wire.ts";
import { routes, taskPath } from "./addresses.ts";
import { cancelTask } from "./cancellation.ts";
import { type ControlPlane } from "./control-plane.ts";
import { deleteTask } from "./deletion.ts";
import { findTask, requireParentProject, requireTask } from "./find.ts";
import { invalid } from "./http/api-error.ts";
import { type Answer, type Call, type Endpoint } from "./http/endpoint.ts";
import { checkPreconditions } from "./http/etag.ts";
import { answerPage } from "./http/paging.ts";
import { flag } from "./http/query.ts";
import { parsed } from "./http/validation.ts";
import { outputOf } from "./output.ts";
import { commandsOfTask } from "./store/commands.ts";
import { retryingRaces } from "./store/races.ts";
import { outputsOfTask } from "./store/task-outputs.ts";
import { tasksOfProject, type TaskRow } from "./store/tasks.ts";
import { keepClientData, putTask, requireSameInput } from "./task-creation.ts";
import { planTask } from "./task-request.ts";
import { commandView, taskView, type Expansion } from "./task-view.ts";

/** Tasks: to make one is to start it. */
export const taskEndpoints = (plane: ControlPlane): Endpoint[] => [
  { name: "tasks-list", method: "GET", route: routes.tasks, handle: (call) => list(plane, call) },
  { name: "tasks-put", method: "PUT", route: routes.task, handle: (call) => retryingRaces(() => putTask(plane, call)) },
  { name: "tasks-get", method: "GET", route: routes.task, handle: (call) => get(plane, call) },
  { name: "tasks-patch", method: "PATCH", route: routes.task, handle: (call) => retryingRaces(() => patch(plane, call)) },
  { name: "tasks-delete", method: "DELETE", route: routes.task, handle: (call) => retryingRaces(() => remove(plane, call)) },
  { name: "tasks-cancel", method: "POST", route: `${routes.task}/cancel`, handle: (call) => retryingRaces(() => cancel(plane, call)) },
];

async function list({ store }: ControlPlane, call: Call): Promise<Answer> {
  const path = taskPath(call.params);
  await requireParentProject(store, path);
  const asked = call.query("taskType")?.toLowerCase() ?? "";
  const taskType = SUPPORTED_TASK_TYPES.find((type) => type.toLowerCase() === asked);
  if (asked !== "" && taskType === undefined) return { status: 200, body: { value: [] } }; // a type that we never run
  const filter = taskType === undefined ? tasksOfProject(path) : `${tasksOfProject(path)} and taskType eq '${taskType}'`;
  return answerPage(
    call,
    (sizeMax, from) => store.tasks.page(filter, sizeMax, from),
    (task) => taskView(task),
  );
}

async function get(plane: ControlPlane, call: Call): Promise<Answer> {
  const asked = expansions(call);
  const { value } = await requireTask(plane.store, taskPath(call.params));
  return { status: 200, body: taskView(value, await expand(plane, value, asked)), etag: value.revision };
}

const EXPANSIONS = ["output", "command"] as const;

/** `$expand`: one of the two, or both with a comma between them. */
function expansions(call: Call): ReadonlySet<string> {
  const words = (call.query("$expand") ?? "").split(",").map((word) => word.trim().toLowerCase());
  const asked = new Set(words.filter((word) => word !== ""));
  for (const word of asked) if (!EXPANSIONS.some((known) => known === word)) throw invalid("$expand", 'give "output" or "command"');
  return asked;
}

async function expand({ store }: ControlPlane, task: TaskRow, asked: ReadonlySet<string>): Promise<Expansion> {
  const [outputs, commands] = await Promise.all([
    asked.has("output") ? store.taskOutputs.list(outputsOfTask(task.taskId)) : undefined,
    asked.has("command") ? store.commands.list(commandsOfTask(task.taskId)) : undefined,
  ]);
  return {
    ...(outputs
      ? {
          output: outputOf(
            task,
            outputs.map(({ value }) => value.item),
          ),
        }
      : {}),
    ...(commands ? { commands: commands.map(({ value }) => commandView(value)) } : {}),
  };
}

async function patch(plane: ControlPlane, call: Call): Promise<Answer> {
  const { properties } = parsed(TaskPatch, await call.body());
  const known = await requireTask(plane.store, taskPath(call.params));
  checkPreconditions(call.preconditions, known.value.revision);
  const taskType = properties?.taskType ?? known.value.taskType;
  const input = properties?.input ?? undefined;
  if (taskType !== known.value.taskType || input !== undefined) requireSameInput(known.value, taskType, planTask(taskType, input));
  const value = await keepClientData(plane.store.tasks, known, properties?.clientData);
  return { status: 200, body: taskView(value), etag: value.revision };
}

async function remove(plane: ControlPlane, call: Call): Promise<Answer> {
  const row = await findTask(plane.store, taskPath(call.params));
  checkPreconditions(call.preconditions, row?.value.revision);
  if (row === undefined) return { status: 204 };
  await deleteTask(plane, row, flag(call, "deleteRunningTasks"), call.log);
  return { status: 200 };
}

async function cancel(plane: ControlPlane, call: Call): Promise<Answer> {
  const row = await requireTask(plane.store, taskPath(call.params));
  checkPreconditions(call.preconditions, row.value.revision);
  const { value } = await cancelTask(plane, row, call.log);
  return { status: 200, body: taskView(value), etag: value.revision };
}
