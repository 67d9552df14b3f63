import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type TaskType } from "../contracts/commands.ts";
import { TaskRequest } from "../contracts/wire.ts";
import { taskPath } from "./addresses.ts";
import { type ControlPlane } from "./control-plane.ts";
import { removeTraces } from "./deletion.ts";
import { dispatchTask, runCommand } from "./dispatch.ts";
import { announceTask } from "./events/announce.ts";
import { findTask, requireParentProject, requireParentService } from "./find.ts";
import { ApiError } from "./http/api-error.ts";
import { type Answer, type Call } from "./http/endpoint.ts";
import { checkPreconditions, newRevision } from "./http/etag.ts";
import { requireName } from "./http/names.ts";
import { parsed } from "./http/validation.ts";
import { secretName } from "./secrets/secret-store.ts";
import { type Log } from "./log.ts";
import { isPremium } from "./skus.ts";
import { type Row } from "./store/document-table.ts";
import { needsSeat, taskIndexKey, taskKey, type TaskPath, type TaskRow } from "./store/tasks.ts";
import { deleteSecrets } from "./task-end.ts";
import { planTask, type Side, type TaskPlan } from "./task-request.ts";
import { taskView } from "./task-view.ts";
import { armTime } from "./times.ts";

type ClientData = Record<string, string> | null | undefined;

/** PUT of a task: to make one is to start it. @throws ApiError; LostRace when another request made it meanwhile */
export async function putTask(plane: ControlPlane, call: Call): Promise<Answer> {
  const { properties } = parsed(TaskRequest, await call.body());
  const path = taskPath(call.params);
  requireName("task", path.task);
  const plan = planTask(properties.taskType, properties.input);
  const service = await requireParentService(plane.store, path);
  const project = await requireParentProject(plane.store, path);
  const known = await findTask(plane.store, path);
  checkPreconditions(call.preconditions, known?.value.revision);
  if (known) return putAgain(plane, known, properties.taskType, plan, properties.clientData);
  if (needsSeat(properties) && !isPremium(service.value.sku)) throw new ApiError("OnlineNeedsPremium");
  const task = newTask(plane, { ...project.value.path, task: path.task }, properties.taskType, plan, properties.clientData ?? {}, call);
  const created = await storeTask(plane, task, plan, (value) => plane.store.tasks.create(taskKey(value.path), value));
  const value = await beginTask(plane, created, call.log);
  return { status: 201, body: taskView(value), etag: value.revision };
}

/** Sends a task that was just written, if there is room, and tells of it. @returns the task after that */
export async function beginTask(plane: ControlPlane, created: Row<TaskRow>, log: Log): Promise<TaskRow> {
  await dispatchTask(plane, created, log);
  const { value } = (await plane.store.tasks.get(created.key)) ?? created;
  if (value.dispatch !== "pending") await announceTask(plane, created, log); // else the bus is out of reach
  return value;
}

/** A task is not run twice and its input does not change; only what the caller keeps with it may. */
async function putAgain(
  { store }: ControlPlane,
  known: Row<TaskRow>,
  taskType: TaskType,
  plan: TaskPlan,
  clientData: ClientData,
): Promise<Answer> {
  requireSameInput(known.value, taskType, plan);
  const value = await keepClientData(store.tasks, known, clientData);
  return { status: 200, body: taskView(value), etag: value.revision };
}

/** @throws ApiError (409) when the task that exists is another one */
export function requireSameInput(known: TaskRow, taskType: TaskType, plan: TaskPlan): void {
  if (known.taskType === taskType && isDeepStrictEqual(known.input, storable(plan.view))) return;
  throw new ApiError("Conflict", {
    detail: `The task exists with another input and is ${known.state}. The input of a task cannot be changed.`,
    remedy: "DELETE the task first, or choose another name.",
  });
}

/** Writes other client data down, when there is any. */
export async function keepClientData(tasks: ControlPlane["store"]["tasks"], known: Row<TaskRow>, clientData: ClientData): Promise<TaskRow> {
  if (!clientData || isDeepStrictEqual(clientData, known.value.clientData)) return known.value;
  const changed = { ...known.value, clientData, revision: newRevision() };
  requireRoom(changed);
  return (await tasks.replace(known, changed)).value;
}

/** As it comes back from a row: without what is undefined. */
const storable = (view: object): Record<string, unknown> => JSON.parse(JSON.stringify(view)) as Record<string, unknown>;

function newTask(
  plane: ControlPlane,
  path: TaskPath,
  taskType: TaskType,
  plan: TaskPlan,
  clientData: Record<string, string>,
  call: Call,
): TaskRow {
  return { path, taskType, clientData, input: storable(plan.view), work: plan.work({}), ...newRun(plane, call) };
}

/** What is true of a task that has just been made, and of one that begins anew: an id of its own, and nothing done yet. */
export function newRun({ now }: ControlPlane, { traceparent }: Call): Omit<TaskRow, "path" | "taskType" | "clientData" | "input" | "work"> {
  const on = now();
  return {
    taskId: randomUUID(),
    revision: newRevision(),
    state: "Queued",
    stateSince: on.toISOString(),
    announced: null,
    createdOn: armTime(on),
    startedOn: null,
    endedOn: null,
    secretNames: [],
    dispatch: "waiting",
    cancelDispatch: "waiting",
    errors: [],
    stamp: null,
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

/** The largest message that Service Bus takes is 256 KiB with its headers (Standard tier). */
const MESSAGE_BYTES_MAX = 200 * 1024;

/**
 * Passwords go to the secret store before the task is written, and go again when it cannot be. The index row comes first
 * and says `made` last, so that the watchdog finds what a crash in between left over.
 * @param write writes the row
 */
export async function storeTask(
  plane: ControlPlane,
  task: TaskRow,
  plan: Pick<TaskPlan, "passwords" | "work">,
  write: (task: TaskRow) => Promise<Row<TaskRow>>,
): Promise<Row<TaskRow>> {
  requireSendable({ ...task, work: plan.work({}) });
  requireRoom(task);
  const { store, secrets } = plane;
  const index = await store.taskIndex.create(taskIndexKey(task.taskId), { path: task.path, made: false });
  const names = plan.passwords.map(({ side }) => secretName(task.taskId, side));
  const tags = { taskId: task.taskId, service: task.path.service, project: task.path.project, task: task.path.task };
  let created: Row<TaskRow>;
  try {
    const secretIds: Partial<Record<Side, string>> = {};
    for (const { side, password } of plan.passwords) secretIds[side] = await secrets.put(secretName(task.taskId, side), password, tags);
    created = await write({ ...task, work: plan.work(secretIds), secretNames: names });
  } catch (error) {
    await deleteSecrets(plane, names);
    await removeTraces(plane, task.taskId);
    throw error;
  }
  await store.taskIndex.replace(index, { ...index.value, made: true });
  return created;
}

/** Of the 480,000 that a row holds. */
const TASK_CHARS_MAX = 400_000;

/** What a caller writes leaves room for what workers report: a task whose errors do not fit into its row would never end. */
function requireRoom(task: TaskRow): void {
  const chars = JSON.stringify({ ...task, errors: [] }).length;
  if (chars <= TASK_CHARS_MAX) return;
  throw new ApiError("PayloadTooLarge", { detail: `Input and client data would have ${chars} characters of ${TASK_CHARS_MAX}.` });
}

function requireSendable(task: TaskRow): void {
  const messageBytes = Buffer.byteLength(JSON.stringify(runCommand(task)));
  if (messageBytes <= MESSAGE_BYTES_MAX) return;
  throw new ApiError("PayloadTooLarge", { detail: `The message to the worker would have ${messageBytes} bytes of ${MESSAGE_BYTES_MAX}.` });
}
