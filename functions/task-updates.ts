import { type ControlPlane } from "./control-plane.ts";
import { type Row } from "./store/document-table.ts";
import { type RowKey } from "./store/keys.ts";
import { retryingRaces } from "./store/races.ts";
import { type TaskRow } from "./store/tasks.ts";

/**
 * Reads a task, decides, and writes; again from the reading when somebody else wrote in between.
 * @param taskId the task that is meant: another one may have the same name by now
 * @param decide the task as it shall be, or undefined when nothing changes
 * @returns the row after that, or undefined when the task is gone
 */
export const updateTask = (
  { store }: ControlPlane,
  key: RowKey,
  taskId: string,
  decide: (task: TaskRow) => TaskRow | undefined,
): Promise<Row<TaskRow> | undefined> =>
  retryingRaces(async () => {
    const row = await store.tasks.get(key);
    if (row === undefined || row.value.taskId !== taskId) return undefined;
    const changed = decide(row.value);
    return changed === undefined ? row : store.tasks.replace(row, changed);
  });
