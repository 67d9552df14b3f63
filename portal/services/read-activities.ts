import type { Project, Task } from "../../contracts/wire.ts";
import type { ApiClient } from "../api/client.ts";
import { listProjects, listTasks, type ServiceRef } from "../api/resources.ts";

/** A project with its tasks, newest first. */
export interface ProjectActivities {
  readonly project: Project;
  readonly tasks: readonly Task[];
}

/** Every project of a service and every task of each. */
export async function readActivities(api: ApiClient, ref: ServiceRef, signal: AbortSignal): Promise<ProjectActivities[]> {
  const projects = await listProjects(api, ref, signal);
  const all = await Promise.all(
    projects.map(async (project) => ({ project, tasks: await listTasks(api, { ...ref, project: project.name }, signal) })),
  );
  return all.map(({ project, tasks }) => ({ project, tasks: tasks.toSorted(byNewest) }));
}

const byNewest = (a: Task, b: Task): number => Date.parse(b.properties.createdOn) - Date.parse(a.properties.createdOn);

export const isMigration = (task: Task): boolean => task.properties.taskType.startsWith("Migrate.");
