import { type CleanUpCommand } from "../contracts/commands.ts";
import { reported } from "../contracts/errors.ts";
import { type Finding } from "../contracts/reports.ts";
import { type ControlPlane } from "./control-plane.ts";
import { sent } from "./dispatch.ts";
import { type Log } from "./log.ts";
import { type Row } from "./store/document-table.ts";
import { databaseOutputKey, outputKey } from "./store/task-outputs.ts";
import { needsSeat, type TaskRow } from "./store/tasks.ts";
import { updateTask } from "./task-updates.ts";

/** A worker has tried for a minute by itself; a source that is away stays away for a while. */
const ASK_EVERY_MS = 600_000;

/** After that somebody has seen to it, or nobody ever will. */
const TRIED_FOR_MS = 7 * 86_400_000;

/**
 * Asks a worker now and then to clean up what an ended migration left on its source, as long as the worker said that it
 * could not.
 * @returns whether it is still tried, so that the task's passwords are still needed.
 */
export async function seeToLeftovers(plane: ControlPlane, { key, value: task }: Row<TaskRow>, log: Log): Promise<boolean> {
  const databases = await databasesLeft(plane, task);
  const nowMs = plane.now().getTime();
  if (databases.length === 0 || nowMs - Date.parse(task.endedOn ?? task.createdOn) > TRIED_FOR_MS) return false;
  const { cleanUp } = task;
  if (cleanUp !== undefined && nowMs - Date.parse(cleanUp.askedOn) < ASK_EVERY_MS) return true;
  // Whoever counts it asks; the watchdog and a report may come here at once.
  const attempt = cleanUp === undefined ? 0 : cleanUp.attempt + 1;
  const asked = await updateTask(plane, key, task.taskId, (now) =>
    now.cleanUp?.attempt === cleanUp?.attempt ? { ...now, cleanUp: { attempt, askedOn: plane.now().toISOString() } } : undefined,
  );
  if (asked?.value.cleanUp?.attempt === attempt && attempt > 0) await ask(plane, asked.value, { attempt, databases }, log);
  return true;
}

async function ask(
  plane: ControlPlane,
  { taskId, path, work, stamp }: TaskRow,
  { attempt, databases }: Pick<CleanUpCommand, "attempt" | "databases">,
  log: Log,
): Promise<void> {
  if (!("selectedDatabases" in work) || !("target" in work)) return;
  const command: CleanUpCommand = { version: 1, type: "cleanUp", taskId, attempt, afterEpoch: stamp?.epoch ?? 0, work, databases };
  await sent(() => plane.bus.sendCommand(path.service, command), { what: "clean-up", taskId }, log);
}

/** Databases whose worker said that the source could not be cleaned up, with how they ended. */
async function databasesLeft({ store }: ControlPlane, task: TaskRow): Promise<CleanUpCommand["databases"]> {
  const { taskId, work } = task;
  if (!needsSeat(task) || !("selectedDatabases" in work)) return [];
  const left: CleanUpCommand["databases"] = [];
  for (const selected of work.selectedDatabases) {
    const name = typeof selected === "string" ? selected : selected.name;
    const finding = (await store.taskOutputs.get(outputKey(taskId, leftFinding(name))))?.value.item;
    if (finding?.kind !== "finding" || finding.resolved) continue;
    const database = (await store.taskOutputs.get(databaseOutputKey(taskId, name)))?.value.item;
    const state = database?.kind === "database" ? database.state : undefined;
    left.push({ name, end: state === "COMPLETE" || state === "CANCELLED" ? state : "FAILED" });
  }
  return left;
}

/** As far as its key needs it. */
const leftFinding = (databaseName: string): Finding => ({
  kind: "finding",
  databaseName,
  subject: "",
  error: reported("SourceLeftovers"),
  since: "",
  resolved: false,
});
