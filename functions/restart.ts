import { type SelectedDatabase, type TaskWork } from "../contracts/commands.ts";
import { errors } from "../contracts/errors.ts";
import { isTaskOver, mayRestart } from "../contracts/lifecycle.ts";
import { requireSettings } from "../contracts/settings.ts";
import { RESTART_COMMAND, type CommandView, type RestartRequest } from "../contracts/wire.ts";
import { type ControlPlane } from "./control-plane.ts";
import { removeTraces, untoldOf } from "./deletion.ts";
import { tellingOf } from "./events/outbox.ts";
import { ApiError, invalid } from "./http/api-error.ts";
import { type Answer, type Call } from "./http/endpoint.ts";
import { ofKind } from "./output-items.ts";
import { type Row } from "./store/document-table.ts";
import { outputKey, outputsOfTask, type OutputRow } from "./store/task-outputs.ts";
import { taskIndexKey, type TaskRow } from "./store/tasks.ts";
import { beginTask, newRun, storeTask } from "./task-creation.ts";
import { closeCommands, deleteSecrets } from "./task-end.ts";
import { planTask, type Side, type TaskPlan } from "./task-request.ts";

type MigrationWork = Extract<TaskWork, { selectedDatabases: unknown; target: unknown }>;

/**
 * Begins an ended migration anew, in its own place and under a new id: all that is known of the ended run stays true of
 * that run alone, and nothing that comes late of it can touch the new one.
 * @throws ApiError when it cannot be; LostRace when somebody else changed it meanwhile
 */
export async function restartTask(plane: ControlPlane, known: Row<TaskRow>, { input }: RestartRequest, call: Call): Promise<Answer> {
  const task = known.value;
  const work = requireMigration(task);
  // Asked twice, as after an answer that was lost.
  if (!isTaskOver(task.state) && work.earlierTaskIds !== undefined) return answerOf(task);
  requireRestartable(plane, task);
  const plan = planAgain(task, work, input ?? {});
  await closeCommands(plane, task);
  const outputs = (await plane.store.taskOutputs.list(outputsOfTask(task.taskId))).map(({ value }) => value);
  const left = databasesLeft(work, outputs);
  const index = await plane.store.taskIndex.get(taskIndexKey(task.taskId));
  // Should this be cut short, the watchdog finds the ended run's traces by it.
  if (index) await plane.store.taskIndex.replace(index, { ...index.value, made: false });
  const next = { ...withoutRun(task), ...newRun(plane, call) };
  const earlierTaskIds = [...(work.earlierTaskIds ?? []), task.taskId].slice(-EARLIER_RUNS_MAX);
  const again: Pick<TaskPlan, "passwords" | "work"> = {
    passwords: plan.passwords,
    work: (secretIds) => ({ ...work, ...connectionsOf(plan.work(secretIds)), selectedDatabases: left, earlierTaskIds }),
  };
  const created = await storeTask(plane, next, again, async (value) => {
    await keepComplete(plane, value.taskId, outputs);
    return tellingOf(plane, task.taskId, await untoldOf(plane, task), () => plane.store.tasks.replace(known, value), call.log);
  });
  await deleteSecrets(plane, task.secretNames);
  await removeTraces(plane, task.taskId);
  return answerOf(await beginTask(plane, created, call.log));
}

/** The ended run's trace and clean-up are not the new one's. */
const withoutRun = ({ traceparent: _traceparent, cleanUp: _cleanUp, ...task }: TaskRow): TaskRow => task;

/** Whatever an earlier run left was cleaned up by one of so many after it, or never will be. */
const EARLIER_RUNS_MAX = 20;

const answerOf = ({ taskId }: TaskRow): Answer => {
  const body: CommandView = { commandType: RESTART_COMMAND, state: "Succeeded", input: {}, output: { id: taskId, errors: [] } };
  return { status: 200, body };
};

/** @throws ApiError (400) */
function requireMigration({ work }: TaskRow): MigrationWork {
  if ("selectedDatabases" in work && "target" in work) return work;
  throw new ApiError("InvalidRequest", {
    detail: `A task of type ${work.taskType} takes no commands.`,
    remedy: "Make a new task: it is over in seconds.",
  });
}

/** A clean-up that was asked for is over by then, or was not begun. */
const CLEANING_MS = 120_000;

/** @throws ApiError (409) that says why not, or why not yet */
function requireRestartable({ now }: ControlPlane, { state, cleanUp }: TaskRow): void {
  if (!mayRestart(state))
    throw new ApiError("Conflict", {
      detail: `The task is ${state}; only one that failed or was cancelled is restarted.`,
      remedy: isTaskOver(state) ? "Start a new migration." : "Cancel it first, or wait for its end.",
    });
  // It would take back what the new run prepares on the source.
  if (cleanUp !== undefined && cleanUp.attempt > 0 && now().getTime() - Date.parse(cleanUp.askedOn) < CLEANING_MS)
    throw new ApiError("Conflict", { detail: "The source of the ended run is being cleaned up.", remedy: "Try again in two minutes." });
}

/** The task's own input, with the passwords, which were deleted at its end. @throws ApiError (400) for one that is missing. */
function planAgain(task: TaskRow, work: MigrationWork, { sourcePassword, targetPassword }: NonNullable<RestartRequest["input"]>): TaskPlan {
  const withPassword = (side: Side, password: string | null | undefined): object => {
    const connection = task.input[`${side}ConnectionInfo`] as { readonly passwordSecretUri?: string };
    const isOurs = work[side].credential.kind === "secret" && connection.passwordSecretUri === undefined;
    if (isOurs && !password) throw invalid(`input.${side}Password`, `is required: the ${side}'s password was deleted at the task's end.`);
    if (!isOurs && password) throw invalid(`input.${side}Password`, `The ${side} is signed in to without one. Leave it out.`);
    return { ...connection, ...(isOurs ? { password } : {}) };
  };
  return planTask(task.taskType, {
    ...task.input,
    sourceConnectionInfo: withPassword("source", sourcePassword),
    targetConnectionInfo: withPassword("target", targetPassword),
  });
}

function connectionsOf(work: TaskWork): Partial<Pick<MigrationWork, "source" | "target">> {
  return "source" in work && "target" in work ? { source: work.source, target: work.target } : {};
}

const completeOf = (outputs: readonly OutputRow[]): ReadonlySet<string> => {
  const databases = ofKind(
    outputs.map(({ item }) => item),
    "database",
  );
  return new Set(databases.filter(({ state }) => state === "COMPLETE").map(({ databaseName }) => databaseName));
};

/**
 * The databases that are not cut over. A table is only listed once the checks have found nothing against its migration: the
 * rows of such a database's tables are ours, so those that equal the source are kept and the others go.
 */
function databasesLeft({ selectedDatabases }: MigrationWork, outputs: readonly OutputRow[]): SelectedDatabase[] {
  const complete = completeOf(outputs);
  const tables = ofKind(
    outputs.map(({ item }) => item),
    "table",
  );
  const begun = new Set(tables.map(({ databaseName }) => databaseName));
  return selectedDatabases
    .filter(({ name }) => !complete.has(name))
    .map((database) => {
      if (!begun.has(database.name)) return database;
      requireOwnRows(database);
      return { ...database, migrationSetting: { ...database.migrationSetting, onExistingRows: "keepEqual" } };
    });
}

/** @throws ApiError (409) when rows of somebody else may be among those of the ended run */
function requireOwnRows(database: SelectedDatabase): void {
  const { onExistingRows, skipChecks } = requireSettings(database);
  if (onExistingRows !== "append" && !(onExistingRows === "refuse" && skipChecks.includes(errors.TargetTableNotEmpty.code))) return;
  throw new ApiError("Conflict", {
    detail: `The target's tables of ${database.name} may have held rows before the migration, which cannot be told from the migrated ones.`,
    remedy: "Put the target's tables into the state that they are to begin with, then start a new migration.",
  });
}

/** What was reported of databases that are done is reported by nobody again. */
async function keepComplete({ store }: ControlPlane, taskId: string, outputs: readonly OutputRow[]): Promise<void> {
  const complete = completeOf(outputs);
  const kept = outputs.filter(({ item }) => "databaseName" in item && item.databaseName !== undefined && complete.has(item.databaseName));
  const stamp = { epoch: 0, sequence: 0 };
  await store.taskOutputs.upsertAll(kept.map((row) => ({ key: outputKey(taskId, row.item), value: { ...row, stamp } })));
}
