import { TASK_TYPES } from "../contracts/commands.ts";
import { isTaskOver } from "../contracts/lifecycle.ts";
import { type ReportItem } from "../contracts/reports.ts";
import { type ConnectToSourceOutput, type ConnectToTargetOutput, type TaskOutput, type UserTablesOutput } from "../contracts/wire.ts";
import { findingView, validationErrors } from "./output-errors.ts";
import { ofKind, type OutputTask } from "./output-items.ts";
import { initialDatabase, migrateOutput } from "./output-migration.ts";

/** The `output` of a task as the wire has it, from what the worker reported. */
export function outputOf(task: OutputTask, items: readonly ReportItem[]): TaskOutput[] {
  switch (task.work.taskType) {
    case TASK_TYPES.connectToSource:
    case TASK_TYPES.connectToTarget:
      return connectOutput(task, items);
    case TASK_TYPES.getUserTables:
      return userTablesOutput(task, task.work.selectedDatabases, items);
    case TASK_TYPES.migrate:
    case TASK_TYPES.migrateV2:
      return migrateOutput(
        task,
        task.work.selectedDatabases.map(({ name, targetDatabaseName }) => initialDatabase(task, name, targetDatabaseName)),
        items,
      );
  }
}

/** One item once the task has looked; a login that failed is there as a validation error too. */
function connectOutput(task: OutputTask, items: readonly ReportItem[]): (ConnectToSourceOutput | ConnectToTargetOutput)[] {
  const side = task.work.taskType === TASK_TYPES.connectToTarget ? "target" : "source";
  const output = ofKind(items, "connectOutput").find((item) => item.side === side);
  const further = ofKind(items, "finding");
  if (output === undefined && further.length === 0 && !isTaskOver(task.state)) return [];
  const all = [...(output?.findings ?? []), ...further.map(findingView), ...task.errors];
  const findings = all.filter((finding, at) => all.findIndex((other) => sameError(other, finding)) === at);
  const common = { id: task.path.task, databases: output?.databases ?? [], validationErrors: validationErrors(findings), findings };
  const [version, brand] = [output?.serverVersion ?? "", output?.serverBrandVersion ?? ""];
  return side === "source"
    ? [{ ...common, sourceServerVersion: version, sourceServerBrandVersion: brand }]
    : [{ ...common, targetServerVersion: version, targetServerBrandVersion: brand }];
}

const sameError = (a: { code: string; message: string }, b: { code: string; message: string }): boolean =>
  a.code === b.code && a.message === b.message;

/** One item for each database that has been read. */
function userTablesOutput(task: OutputTask, databases: readonly string[], items: readonly ReportItem[]): UserTablesOutput[] {
  const pages = ofKind(items, "tablesOutput");
  return databases.flatMap((databaseName) => {
    const ours = pages.filter((page) => page.databaseName === databaseName).sort((a, b) => a.page - b.page);
    const findings = [...ours.flatMap((page) => page.findings), ...task.errors.filter((error) => error.databaseName === databaseName)];
    if (ours.length === 0 && findings.length === 0) return [];
    const tables = ours.flatMap((page) => page.tables);
    return [{ id: `${task.path.task}|${databaseName}`, databaseName, tables, validationErrors: validationErrors(findings), findings }];
  });
}
