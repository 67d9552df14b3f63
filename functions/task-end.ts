import { reported } from "../contracts/errors.ts";
import { CUTOVER_COMMAND } from "../contracts/wire.ts";
import { seeToLeftovers } from "./clean-up.ts";
import { type ControlPlane } from "./control-plane.ts";
import { dispatchService } from "./dispatch.ts";
import { announceCutovers } from "./events/announce.ts";
import { type Log } from "./log.ts";
import { commandsOfTask, isCommandOpen, type CommandRow } from "./store/commands.ts";
import { type Row } from "./store/document-table.ts";
import { retryingRaces } from "./store/races.ts";
import { databaseOutputKey } from "./store/task-outputs.ts";
import { type TaskRow } from "./store/tasks.ts";
import { updateTask } from "./task-updates.ts";

/**
 * What is due once a task is over: its passwords go (once nothing is left on its source), its open commands get their
 * outcome, and the next task gets its seat. May be run again: the watchdog does, for what was left undone.
 */
export async function settleTask(plane: ControlPlane, row: Row<TaskRow>, log: Log): Promise<void> {
  const { key, value } = row;
  await closeCommands(plane, value);
  await announceCutovers(plane, value, log);
  if (!(await seeToLeftovers(plane, row, log))) {
    await deleteSecrets(plane, value.secretNames);
    await updateTask(plane, key, value.taskId, withoutDues);
  }
  await dispatchService(plane, value.path, log);
}

function withoutDues({ cleanUp, ...task }: TaskRow): TaskRow | undefined {
  return task.secretNames.length > 0 || cleanUp !== undefined ? { ...task, secretNames: [] } : undefined;
}

export async function deleteSecrets({ secrets }: ControlPlane, names: readonly string[]): Promise<void> {
  for (const name of names) await secrets.delete(name);
}

/** A command whose task is over has an outcome, also when the worker's report of it was lost. */
export async function closeCommands({ store, now }: ControlPlane, task: TaskRow): Promise<void> {
  for (const { key } of await store.commands.list(`${commandsOfTask(task.taskId)} and open eq true`)) {
    await retryingRaces(async () => {
      const row = await store.commands.get(key);
      if (row === undefined || !isCommandOpen(row.value)) return;
      const database = await store.taskOutputs.get(databaseOutputKey(task.taskId, row.value.databaseName));
      const item = database?.value.item;
      const complete = item?.kind === "database" && item.state === "COMPLETE";
      const isDone = complete && row.value.commandType === CUTOVER_COMMAND;
      await store.commands.replace(row, { ...closed(row.value, task, isDone), endedOn: task.endedOn ?? now().toISOString() });
    });
  }
}

const closed = (command: CommandRow, task: TaskRow, complete: boolean): CommandRow =>
  complete
    ? { ...command, state: "Succeeded" }
    : {
        ...command,
        state: "Failed",
        errors: [
          reported("Conflict", {
            detail: `The task ended as ${task.state} before the command was carried out.`,
            databaseName: command.databaseName,
          }),
        ],
      };
