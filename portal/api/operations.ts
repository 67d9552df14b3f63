import type { OperationStatus, Task } from "../../contracts/wire.ts";
import { isTaskOver } from "../../contracts/lifecycle.ts";
import { ApiError, type ApiAnswer, type ApiClient } from "./client.ts";
import { deleteTask, ensureProject, getTask, putTask, type ProjectRef } from "./resources.ts";

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

const operationPollMs = 700;
const operationPollsMax = 600;

/**
 * Waits for the end of a long-running operation of the API, where the answer names one.
 * @throws ApiError when it failed, or when it has not ended after several minutes.
 */
export async function finished(api: ApiClient, answer: ApiAnswer): Promise<void> {
  const address = answer.headers.get("azure-asyncoperation");
  if (!address) return;
  for (let poll = 0; poll < operationPollsMax; poll++) {
    const operation = (await api.follow(address)).body as OperationStatus;
    if (operation.status === "Succeeded") return;
    if (operation.status !== "Running") throw new ApiError(409, operation.error ?? { code: operation.status, message: operation.status });
    await pause(operationPollMs);
  }
  throw new ApiError(0, { code: "OperationTimeout", message: "The operation has not ended after several minutes." });
}

const taskPollMs = 500;

/**
 * Runs one of the short tasks (connect, list tables) to its end and takes it away again: what it found lives on the
 * page, and a deleted task leaves no password in the secret store.
 * @param location of the project, made first where it does not exist
 * @param waiting is told why the task does not run yet (no worker), null while it runs
 * @throws ApiError, or the signal's reason when it is aborted (the task is taken away all the same)
 */
export async function runShortTask(
  api: ApiClient,
  project: ProjectRef,
  location: string,
  task: { readonly name: string; readonly taskType: string; readonly input: unknown },
  waiting: (why: string | null) => void,
  signal: AbortSignal,
): Promise<Task> {
  const ref = { ...project, task: `${task.name}-${crypto.randomUUID().slice(0, 8)}` };
  await ensureProject(api, project, location);
  await putTask(api, ref, task.taskType, task.input);
  try {
    for (;;) {
      const current = await getTask(api, ref, "output", signal);
      if (isTaskOver(current.properties.state)) return current;
      waiting(current.properties.waitingFor);
      await pause(taskPollMs);
    }
  } finally {
    await deleteTask(api, ref, "end").catch(() => undefined); // a check that stays behind harms nobody
  }
}
