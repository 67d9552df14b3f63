import { ApiError, type ApiClient } from "../api/client.ts";
import { ensureProject, getTask, putTask, type ServiceRef, type TaskRef } from "../api/resources.ts";
import { texts } from "../texts.ts";
import { activityName, migrationInput } from "./decisions.ts";
import type { Draft, Unkept } from "./draft.ts";

/**
 * Makes the project where needed and starts the migration.
 * @throws ApiError, also when the project has an activity of that name: a second PUT would answer with the first one.
 */
export async function startMigration(
  api: ApiClient,
  service: ServiceRef,
  location: string,
  draft: Draft,
  unkept: Unkept,
): Promise<TaskRef> {
  const ref: TaskRef = { ...service, project: draft.projectName, task: activityName(draft) };
  await ensureProject(api, ref, location);
  if (await exists(api, ref)) throw new ApiError(409, { code: "Conflict", message: texts.wizard.activityExists(ref.task) });
  await putTask(api, ref, "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2", migrationInput(draft, unkept));
  return ref;
}

async function exists(api: ApiClient, ref: TaskRef): Promise<boolean> {
  try {
    await getTask(api, ref, "command");
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  }
}
