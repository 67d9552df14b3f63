import type {
  DatabaseLevelOutput,
  FindingView,
  MigrateOutput,
  MigrationLevelOutput,
  SelectedDatabaseView,
  TableLevelOutput,
  Task,
} from "../../contracts/wire.ts";
import { type Fence, readSetting, settingDefinitions } from "../../contracts/settings.ts";
import { keepUnchanged, sampleOf, withSample, type Sample } from "../figures/history.ts";

/** One database of a migration, with its tables and what was seen of it since the page is open. */
export interface DatabaseView {
  readonly output: DatabaseLevelOutput;
  readonly tables: readonly TableLevelOutput[];
  readonly history: readonly Sample[];
  /** Everything that is wrong with it or its tables. */
  readonly findings: readonly FindingView[];
  /** What the migration's settings say of the fence at cutover. */
  readonly fence: Fence;
}

export interface MigrationView {
  readonly task: Task;
  readonly migration: MigrationLevelOutput | undefined;
  readonly databases: readonly DatabaseView[];
  readonly findings: readonly FindingView[];
}

/** The flat list of a task's output, sorted by what it is about, and joined with what the last poll knew. */
export function viewOf(task: Task, before: MigrationView | undefined, nowMs: number): MigrationView {
  const outputs = (task.properties.output ?? []) as readonly MigrateOutput[];
  const tables = byDatabase(outputs.filter(isTable));
  const known = new Map(before?.databases.map((database) => [database.output.databaseName, database]));
  const migration = outputs.find((output) => output.resultType === "MigrationLevelOutput");
  const databases = outputs.filter(isDatabase).map((output): DatabaseView => {
    const earlier = known.get(output.databaseName);
    const own = keepUnchanged(earlier?.tables ?? [], tables.get(output.databaseName) ?? []);
    const isOver = output.endedOn !== null;
    return {
      output,
      tables: own,
      history: isOver && earlier ? earlier.history : withSample(earlier?.history ?? [], sampleOf(output, nowMs)),
      findings: withoutDoubles([...output.findings, ...own.flatMap(tableFinding)]),
      fence: fenceOf(selectedDatabase(task, output.databaseName)),
    };
  });
  return { task, migration, databases, findings: migration?.findings ?? [] };
}

/** What went wrong with a table may be told of the table and of its database. */
function withoutDoubles(findings: readonly FindingView[]): FindingView[] {
  const keyOf = ({ code, table, message }: FindingView) => JSON.stringify([code, table, message]);
  return [...new Map(findings.map((finding) => [keyOf(finding), finding])).values()];
}

function byDatabase(tables: readonly TableLevelOutput[]): ReadonlyMap<string, readonly TableLevelOutput[]> {
  const groups = new Map<string, TableLevelOutput[]>();
  for (const table of tables) {
    const group = groups.get(table.databaseName);
    if (group) group.push(table);
    else groups.set(table.databaseName, [table]);
  }
  return groups;
}

const isTable = (output: MigrateOutput): output is TableLevelOutput => output.resultType === "TableLevelOutput";
const isDatabase = (output: MigrateOutput): output is DatabaseLevelOutput => output.resultType === "DatabaseLevelOutput";

const tableFinding = ({ error, tableName }: TableLevelOutput): FindingView[] =>
  error ? [{ ...error, table: error.table ?? tableName }] : [];

function selectedDatabase(task: Task, name: string): SelectedDatabaseView | undefined {
  const selected = task.properties.input.selectedDatabases ?? [];
  return selected.find((database): database is SelectedDatabaseView => typeof database !== "string" && database.name === name);
}

function fenceOf(selected: SelectedDatabaseView | undefined): Fence {
  const read = readSetting("fence", selected?.migrationSetting["fence"] ?? settingDefinitions.fence.default);
  return read.ok ? read.value : settingDefinitions.fence.default;
}

/** Problems that still hold: what is over, and mere notes, are no reason to worry anyone. */
export const openProblems = (findings: readonly FindingView[]): readonly FindingView[] =>
  findings.filter(({ severity, resolved }) => severity !== "information" && !resolved);
