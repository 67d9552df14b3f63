import { type ReportedError } from "../contracts/errors.ts";
import { nextTaskState, isTaskOver } from "../contracts/lifecycle.ts";
import { foldItem, isNewer, type ReportStamp } from "../contracts/progress.ts";
import { ReportMessage, type ReportItem, type TaskReport } from "../contracts/reports.ts";
import { type ControlPlane } from "./control-plane.ts";
import { forgetTask } from "./deletion.ts";
import { announceCutovers, announceTask } from "./events/announce.ts";
import { type PgdmsEvent } from "./events/event.ts";
import { publishRecorded, recordEvents, type RecordedEvents } from "./events/outbox.ts";
import { eventsOfItem, mayTell } from "./events/report-events.ts";
import { newRevision } from "./http/etag.ts";
import { type Log } from "./log.ts";
import { ofKind, type ItemOf } from "./output-items.ts";
import { commandsOfTask, isCommandOpen, type CommandRow } from "./store/commands.ts";
import { type RowKey } from "./store/keys.ts";
import { retryingRaces } from "./store/races.ts";
import { outputKey, type OutputRow } from "./store/task-outputs.ts";
import { taskIndexKey, taskKey, type TaskRow } from "./store/tasks.ts";
import { workerKey } from "./store/workers.ts";
import { settleTask } from "./task-end.ts";
import { updateTask } from "./task-updates.ts";
import { tracedReport } from "./telemetry.ts";

/**
 * Takes in one message of the queue `reports`. What cannot be parsed, and what is about a task that is gone, is let go:
 * throwing would only bring it back. Throws when the tables fail; the message then comes again.
 */
export async function takeReport(plane: ControlPlane, message: unknown, log: Log): Promise<void> {
  const parsed = ReportMessage.safeParse(message);
  if (!parsed.success) {
    // Where it is wrong, never what it said.
    const places = parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join(".")}: ${issue.code}`);
    log.error({ event: "report.refused", error: places.join("; ") }, "a report was not understood and is dropped");
    return;
  }
  const { data } = parsed;
  if (data.type === "heartbeat") await plane.store.workers.upsert(workerKey(data), data);
  else await tracedReport(data, () => foldReport(plane, data, log));
}

async function foldReport(plane: ControlPlane, report: TaskReport, log: Log): Promise<void> {
  const { taskId, items } = report;
  const index = await plane.store.taskIndex.get(taskIndexKey(taskId));
  if (index === undefined) return;
  if (index.value.deleted) {
    if (endsTask(items)) await forgetTask(plane, taskId, index.value);
    return;
  }
  const key = taskKey(index.value.path);
  const row = await plane.store.tasks.get(key);
  if (row === undefined || row.value.taskId !== taskId) return;
  const stamp = { epoch: report.epoch, sequence: report.sequence };
  const commands = ofKind(items, "command");
  // A refusal is there before its database is seen to be ready again, a success only once all that it brought about is.
  await foldCommands(plane, report, stamp, commands.filter(isRefusal));
  const told = await foldOutputs(plane, row.value, report, stamp);
  await publishRecorded(plane, told, log);
  await foldCommands(
    plane,
    report,
    stamp,
    commands.filter((command) => !isRefusal(command)),
  );
  if (commands.length > 0) await announceCutovers(plane, row.value, log);
  const updated = await updateTask(plane, key, taskId, (task) => foldTask(task, report));
  if (updated && isTaskOver(updated.value.state)) await settleTask(plane, updated, log);
  if (updated && updated.value.state !== row.value.state) logState(updated.value, log);
  if (updated) await announceTask(plane, updated, log);
}

function logState({ taskId, path: { service }, state, errors: [first] }: TaskRow, log: Log): void {
  const fields = { event: "task.state", service, taskId, state, ...(first === undefined ? {} : { error: first.code }) };
  if (first === undefined) log.info(fields, "the state of a task");
  else log.warn(fields, "the state of a task, with errors");
}

const endsTask = (items: readonly ReportItem[]): boolean => items.some((item) => item.kind === "task" && item.event !== "started");

/** Things of which the task's output is made. */
const isOutput = (item: ReportItem): boolean => item.kind !== "task" && item.kind !== "command";

/**
 * Every output row is as old as the newest report seen, or older: so a newer report needs no look at the rows, and only
 * a late or a doubled one is compared with each. What may be an occasion for an event is compared always. Events are
 * written down first: when the rows are not, the report comes again and leads to the same events.
 */
async function foldOutputs(plane: ControlPlane, task: TaskRow, report: TaskReport, stamp: ReportStamp): Promise<RecordedEvents> {
  const rows = new Map<string, { key: RowKey; value: OutputRow }>();
  const events: PgdmsEvent[] = [];
  const late = task.stamp !== null && !isNewer(stamp, task.stamp);
  const context = { task, stamp, sentAt: report.sentAt, levels: plane.levels };
  for (const [index, item] of report.items.entries()) {
    if (!isOutput(item)) continue;
    const key = outputKey(task.taskId, item);
    const known = late || mayTell(item) ? (await plane.store.taskOutputs.get(key))?.value : undefined;
    const folded = foldItem(known, item, stamp);
    if (!folded) continue;
    const told = eventsOfItem(context, rows.get(key.rowKey)?.value ?? known, item, index);
    events.push(...told.events);
    const above = told.above.length > 0 ? { above: [...told.above] } : {};
    rows.set(key.rowKey, { key, value: { ...folded, ...above } }); // twice in one report: the later one holds
  }
  const recorded = await recordEvents(plane, task.taskId, events);
  await plane.store.taskOutputs.upsertAll([...rows.values()]);
  return recorded;
}

const isRefusal = ({ state }: ItemOf<"command">): boolean => state === "Failed";

async function foldCommands(
  { store }: ControlPlane,
  { taskId, sentAt }: TaskReport,
  stamp: ReportStamp,
  outcomes: readonly ItemOf<"command">[],
): Promise<void> {
  if (outcomes.length === 0) return;
  const known = await store.commands.list(commandsOfTask(taskId));
  for (const outcome of outcomes) {
    const key = known.find(({ value }) => value.commandId === outcome.commandId)?.key;
    if (key === undefined) continue;
    await retryingRaces(async () => {
      const row = await store.commands.get(key);
      const folded = row && foldCommand(row.value, outcome, stamp);
      if (folded) await store.commands.replace(row, isCommandOpen(folded) ? folded : { ...folded, endedOn: sentAt });
    });
  }
}

/** The command after a report, or undefined when the report changes nothing. */
function foldCommand(command: CommandRow, outcome: ItemOf<"command">, stamp: ReportStamp): CommandRow | undefined {
  if (command.stamp !== null && !isNewer(stamp, command.stamp)) return undefined;
  if (!isCommandOpen(command)) return undefined;
  return { ...command, state: outcome.state, errors: outcome.errors, dispatch: "sent", stamp };
}

/** The task after a report, or undefined when the report changes nothing. */
function foldTask(task: TaskRow, report: TaskReport): TaskRow | undefined {
  const stamp = { epoch: report.epoch, sequence: report.sequence };
  const newer = task.stamp === null || isNewer(stamp, task.stamp);
  const events = ofKind(report.items, "task");
  let folded: TaskRow = newer ? { ...task, stamp } : task;
  // An end counts whenever it comes; "started" by an earlier worker says nothing new.
  for (const item of events) if (newer || item.event !== "started") folded = applyEvent(folded, item, report.sentAt);
  return folded === task ? undefined : folded;
}

/** A row holds 480,000 characters, of which what a caller writes may take 400,000 (see requireRoom). */
const ERROR_CHARS_MAX = 60_000;

/** The first errors, as many as a row has room for. The outputs of databases and tables have theirs besides. */
function fitting(errors: readonly ReportedError[]): ReportedError[] {
  let chars = 0;
  return errors.filter((error, n) => (chars += JSON.stringify(error).length) <= ERROR_CHARS_MAX || n === 0);
}

function applyEvent(task: TaskRow, { event, errors: reported }: ItemOf<"task">, on: string): TaskRow {
  const state = nextTaskState(task.state, event);
  if (state === undefined) return task;
  const errors = fitting(reported);
  const same = state === task.state && errors.length === task.errors.length;
  return {
    ...task,
    state,
    stateSince: state === task.state ? task.stateSince : on,
    errors,
    startedOn: task.startedOn ?? on,
    endedOn: isTaskOver(state) ? on : null,
    dispatch: "sent", // a worker has it
    revision: same ? task.revision : newRevision(),
  };
}
